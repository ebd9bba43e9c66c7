"""Bodies of requests: JSON read strictly, then fitted to the struct that a route declares.

What is sound is read by the fast decoder of the standard library. What looks odd in any way
is read once more by the careful reader of definitions, which names every fault with its place.
"""

import asyncio
import json
import re
from typing import Any, Final, cast

import msgspec
from litestar import Request

from podium.authoring.json_text import read_json
from podium.authoring.tree import DEPTH_MAX
from podium.errors import DefinitionError, did_you_mean
from podium.server.problems import BadParts, ProblemFault, refusal

__all__ = ["PodiumRequest", "fit", "parse"]

ASIDE_BYTES: Final = 64 * 1024
"""A body larger than this is read in a thread: others must not wait for it."""

ODD_RE: Final = re.compile(
    rb"\\u(?:0000|[dD][89a-fA-F])|\x00|[0-9]{19}|[eE][+]?[0-9]{3}|NaN|Infinity"
)
"""Text that cannot be stored, or numbers that may not fit; a match is a reason to look twice."""
STRING_RE: Final = re.compile(rb'"(?:[^"\\]++|\\.?)*+(?:"|\Z)', re.DOTALL)
"""Nothing is looked at twice: a string that never ends is one up to the end of the text."""
BRACKET_RE: Final = re.compile(rb"[\[\]{}]+")
RANGE_RE: Final = re.compile(r" (?:[<>]=? |of length|matching regex)")
"""What msgspec says of a value that has the right type and not the right size."""
WHERE_RE: Final = re.compile(r" - at (?:`key` in )?`\$(?P<path>.*)`$")


class PodiumRequest(Request[Any, Any, Any]):
    """A request whose body is JSON, read as described above and fitted to its route's struct."""

    async def json(self) -> Any:
        """Return the body as the struct of the route; raises `DefinitionError` or `BadParts`."""
        body = await self.body()
        check_media_type(self.headers.get("content-type", ""))
        large = len(body) > ASIDE_BYTES
        value = await asyncio.to_thread(parse, body) if large else parse(body)
        field = self.route_handler.parsed_data_field
        return value if field is None else fit(value, field.annotation)


def check_media_type(header: str) -> None:
    """Refuse what is not JSON in UTF-8; raises `RequestError` with status 415."""
    kind, _, rest = header.lower().partition(";")
    charset = rest.partition("charset=")[2].strip(' "')
    if kind.strip() not in ("application/json", "") or charset not in ("utf-8", "utf8", ""):
        raise refusal(415, f"The body is declared as {header!r}; this path reads JSON in UTF-8.")


class _Odd(ValueError):
    """The fast reader cannot vouch for this text."""


def parse(body: bytes) -> Any:
    """Return the value of a JSON text; raises `DefinitionError` with every fault in it."""
    try:
        return _parse_fast(body)
    except (ValueError, RecursionError):
        return _parse_carefully(body)


def _parse_fast(body: bytes) -> Any:
    if ODD_RE.search(body) or _depth(body) > DEPTH_MAX:
        raise _Odd
    return json.loads(body.decode(), object_pairs_hook=_object)


def _depth(body: bytes) -> int:
    """Return how deep the brackets of a text are nested, those inside of strings apart."""
    deepest = level = 0
    for brackets in BRACKET_RE.findall(STRING_RE.sub(b"", body)):
        for bracket in brackets:
            level += 1 if bracket in b"[{" else -1
            deepest = max(deepest, level)
        if deepest > DEPTH_MAX:
            break
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Odd
    return found


def _parse_carefully(body: bytes) -> Any:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise refusal(415, "The body is not UTF-8 text.") from None
    tree = read_json(text)
    if tree.faults:
        faults = [
            msgspec.structs.replace(fault, fix="Correct the JSON text.")
            if fault.code == "PDM-D001"
            else fault
            for fault in tree.faults
        ]
        raise DefinitionError(faults, source="body")
    return tree.value


def fit(value: Any, kind: Any) -> Any:
    """Return a value as the struct `kind`; raises `BadParts` (422) that names the place."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _misfit(str(error), value, kind) from None


def _misfit(text: str, value: Any, kind: Any) -> BadParts:
    where = WHERE_RE.search(text)
    path = _pointer(where["path"]) if where else ""
    message = text[: where.start()] if where else text
    code, fix = "wrong_type", ""
    if "unknown field" in message:
        name = message.rpartition("unknown field")[2].strip(" `")
        code, path = "unknown_field", f"{path}/{name}"
        message = f"There is no field {name!r}"
        fix = did_you_mean(name, _fields(kind, path), what="field")
    elif "missing required field" in message:
        code = "missing_field"
        message = message.replace("Object missing required field", "A field is missing:")
    elif "enum value" in message:
        code = "unknown_choice"
    elif RANGE_RE.search(message):
        code = "out_of_range"
    part = ProblemFault(code=code, detail=f"{message}.", path=path, fix=fix)
    return BadParts((part,), code="PDM-R131", status=422)


def _pointer(path: str) -> str:
    """Return msgspec's path, such as `.labels[...]` or `.items[0].name`, as a JSON pointer."""
    return path.replace("[...]", "/*").replace("[", "/").replace("]", "").replace(".", "/")


def _fields(kind: Any, path: str) -> list[str]:
    """Return the names that stand to choice where an unknown one was given."""
    if path.count("/") > 1:
        return []
    kinds = [
        each for each in getattr(kind, "__args__", (kind,)) if hasattr(each, "__struct_fields__")
    ]
    return [
        name for each in kinds for name in cast("tuple[str, ...]", each.__struct_encode_fields__)
    ]
