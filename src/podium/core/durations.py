"""Durations as people write them, in microseconds; bare numbers are seconds."""

import math
import re
from typing import Final

from podium.core.definition import SECOND_US

__all__ = ["DURATION_EXAMPLES", "duration_text", "parse_duration"]

DURATION_EXAMPLES: Final = '90, "90s", "5m", "1h30m", "250ms", "1d", "PT1H"'

UNITS_US: Final = {
    "w": 604_800 * SECOND_US,
    "d": 86_400 * SECOND_US,
    "h": 3_600 * SECOND_US,
    "m": 60 * SECOND_US,
    "s": SECOND_US,
    "ms": 1_000,
    "us": 1,
}
PART_RE: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|us|[wdhms])")
SHORT_RE: Final = re.compile(rf"(?:{PART_RE.pattern})+")
NUMBER_RE: Final = re.compile(r"[-+]?\d+(?:\.\d+)?")
ISO_RE: Final = re.compile(
    r"P(?:(?P<w>\d+)W)?(?:(?P<d>\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(?P<h>\d+(?:\.\d+)?)H)?(?:(?P<m>\d+(?:\.\d+)?)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?"
)
TEXT_CHARS_MAX: Final = 64


def parse_duration(value: object) -> int | None:
    """Return microseconds for a number of seconds or a text such as "1h30m"; None if neither.

    Negative numbers are accepted: whether one makes sense is for the caller to say.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value * SECOND_US
    if isinstance(value, float):
        micros = value * SECOND_US
        return round(micros) if math.isfinite(micros) else None
    if not isinstance(value, str) or len(value) > TEXT_CHARS_MAX:
        return None
    return _parse_text(value.strip())


def _parse_text(text: str) -> int | None:
    if NUMBER_RE.fullmatch(text):
        return round(float(text) * SECOND_US)
    if SHORT_RE.fullmatch(text):
        return sum(round(float(n) * UNITS_US[unit]) for n, unit in PART_RE.findall(text))
    iso = ISO_RE.fullmatch(text)
    if iso is None or not any(iso.groupdict().values()):
        return None
    return sum(round(float(n) * UNITS_US[unit]) for unit, n in iso.groupdict().items() if n)


def duration_text(duration_us: int) -> str:
    """Return the shortest exact text of a duration, such as "1h30m"; "0s" for nothing."""
    sign, left, text = ("-" if duration_us < 0 else ""), abs(duration_us), ""
    for unit in ("d", "h", "m", "s", "ms", "us"):
        count, left = divmod(left, UNITS_US[unit])
        text += f"{count}{unit}" if count else ""
    return sign + (text or "0s")
