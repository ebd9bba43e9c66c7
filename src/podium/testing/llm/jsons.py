"""JSON as the wire carries it: compact text, and the smallest value a schema allows."""

from typing import Any

import msgspec

__all__ = ["compact", "smallest"]

_encode = msgspec.json.Encoder().encode


def compact(value: Any) -> str:
    """Return a value as JSON without spaces."""
    return _encode(value).decode()


def smallest(schema: Any, root: Any = None, depth: int = 0) -> Any:
    """Return a small value that the common kinds of schema accept: a model's dull answer."""
    root = schema if root is None else root
    if not isinstance(schema, dict) or depth > 20:
        return None
    if "$ref" in schema:
        return smallest(_pointed(root, schema["$ref"]), root, depth + 1)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return smallest(schema[key][0], root, depth + 1)
    return schema["enum"][0] if "enum" in schema else _of_type(schema, root, depth)


def _of_type(schema: dict[str, Any], root: Any, depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "null")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        wanted = schema.get("required", ())
        properties = schema.get("properties", {}).items()
        return {k: smallest(v, root, depth + 1) for k, v in properties if k in wanted}
    if kind == "array":
        item = smallest(schema.get("items"), root, depth + 1)
        return [item] * schema.get("minItems", 0)
    if kind == "string":
        return "x" * schema.get("minLength", 1)
    plain = {"integer": 0, "number": 0.0, "boolean": False}
    return schema.get("minimum", plain.get(kind)) if kind in plain else None


def _pointed(root: Any, pointer: str) -> Any:
    for name in pointer.removeprefix("#").strip("/").split("/"):
        root = root.get(name, {}) if name and isinstance(root, dict) else root
    return root
