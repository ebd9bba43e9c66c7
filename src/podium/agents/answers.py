"""What a model answered, as text or as the object that was asked for."""

from functools import lru_cache
from importlib import import_module
from typing import Any, Final

import msgspec

__all__ = ["misfits", "read_answer"]

Json = Any

FAULTS_SHOWN: Final = 5
MESSAGE_MAX: Final = 300


def read_answer(text: str, schema: Json) -> tuple[Json, str]:
    r"""Return the value of an answer and "", or None and what is wrong with it.

    >>> read_answer("fine", None)
    ('fine', '')
    >>> read_answer('```json\n{"a": 1}\n```', {"type": "object"})
    ({'a': 1}, '')
    """
    if schema is None:
        return (text, "") if text else (None, "The answer is empty.")
    try:
        value = msgspec.json.decode(_unfenced(text))
    except (msgspec.DecodeError, RecursionError) as error:
        return None, f"The answer is not JSON: {error}."
    faults = misfits(value, schema)
    return (None, faults) if faults else (value, "")


def _unfenced(text: str) -> str:
    """Return what is inside a code fence; models like to put JSON into one."""
    lines = text.strip().splitlines()
    if len(lines) > 1 and lines[0].startswith("```") and lines[-1].strip() == "```":
        return "\n".join(lines[1:-1])
    return text.strip()


def misfits(value: Json, schema: Json) -> str:
    """Return where `value` does not fit `schema`, in words for a model; "" if it does."""
    told = []
    for error in _validator(msgspec.json.encode(schema)).iter_errors(value):
        path = "/".join(str(part) for part in error.instance_path)
        told.append(f"{path or 'The whole'}: {error.message[:MESSAGE_MAX]}")
        if len(told) == FAULTS_SHOWN:
            break
    return "; ".join(told)


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> Any:
    """Return a validator that fetches nothing and matches patterns in linear time."""
    # Imported here: it is large, and answers in plain text need none.
    rules: Any = import_module("jsonschema_rs")
    return rules.validator_for(
        msgspec.json.decode(schema), offline=True, pattern_options=rules.RegexOptions()
    )
