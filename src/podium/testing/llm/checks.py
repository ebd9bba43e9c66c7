"""What every provider checks of a request, told in the provider's way by who calls."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any, Final

import jsonschema_rs

from podium.ports.models import Image

__all__ = ["image_fault", "schema_fault", "strictness_faults"]

SIGNATURES: Final[Mapping[str, tuple[bytes, ...]]] = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}


def image_fault(image: Image) -> str:
    """Return what is wrong with a picture: "", "type", "base64" or "content"."""
    if image.url:
        return "" if image.url.startswith(("http://", "https://")) else "type"
    if image.media_type not in SIGNATURES:
        return "type"
    try:
        content = base64.b64decode(image.data, validate=True)
    except binascii.Error:
        return "base64"
    return "" if content.startswith(SIGNATURES[image.media_type]) else "content"


def schema_fault(schema: Any) -> str:
    """Return why something is no JSON Schema of an object; "" if it is one."""
    if not isinstance(schema, dict):
        return "schema must be an object"
    if schema.get("type") != "object" and "$ref" not in schema:
        return f"schema must have type 'object', got {schema.get('type')!r}"
    try:
        jsonschema_rs.meta.validate(schema)
    except (jsonschema_rs.ValidationError, ValueError) as error:
        return str(error).partition("\n")[0]
    return ""


def strictness_faults(schema: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield where a schema is too free for strict output: `(place, what)`.

    A place is as OpenAI names it; what is additionalProperties, or a property that is optional.
    """
    for name, part in parts_of(schema, path):
        if "properties" in part or part.get("type") == "object":
            if part.get("additionalProperties") is not False:
                yield str(name), "additionalProperties"
            required = part.get("required", ())
            for key in part.get("properties", {}):
                if key not in required:
                    yield str(name), key


def parts_of(
    schema: Any, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield a schema and all schemas in it."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for group in ("properties", "$defs", "definitions"):
        for name, part in schema.get(group, {}).items():
            yield from parts_of(part, (*path, group, name))
    if "items" in schema:
        yield from parts_of(schema["items"], (*path, "items"))
    for number, part in enumerate(schema.get("anyOf", ())):
        yield from parts_of(part, (*path, "anyOf", str(number)))
