"""Whether a JSON Schema is one that providers can force an answer to follow."""

from typing import Any

__all__ = ["is_closed", "schema_name"]


def is_closed(schema: Any, *, all_required: bool) -> bool:
    """Tell whether every object in a schema says that it has no other properties.

    OpenAI's strict mode also wants every property to be required.
    """
    if isinstance(schema, list):
        return all(is_closed(each, all_required=all_required) for each in schema)
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        if schema.get("additionalProperties") is not False:
            return False
        named = set(schema.get("properties", {}))
        if all_required and named != set(schema.get("required", ())):
            return False
    return all(is_closed(each, all_required=all_required) for each in schema.values())


def schema_name(schema: Any) -> str:
    """Return a name for a schema, of the letters that providers allow."""
    title = schema.get("title", "") if isinstance(schema, dict) else ""
    kept = "".join(letter for letter in str(title) if letter.isascii() and letter.isalnum())
    return kept[:48] or "answer"
