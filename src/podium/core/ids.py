"""Public ids: short text forms of the numbers the engine works with.

A run id is `run_` and eight characters of Crockford's base 32 (no i, l, o, u), so that it can
be read aloud, sorts by time of creation, and needs no look-up to become a number again.
"""

import re
from contextlib import suppress
from typing import Final

from podium.errors import RequestError

__all__ = [
    "EVENTS_MAX",
    "RUN_NO_MAX",
    "SLOTS",
    "approval_id",
    "approval_no",
    "pack_key",
    "parse_approval_id",
    "parse_run_id",
    "parse_schedule_id",
    "parse_step_id",
    "run_id",
    "schedule_id",
    "slot_of",
    "step_id",
    "unpack_key",
]

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
VALUES: Final = {char: value for value, char in enumerate(ALPHABET)} | {"i": 1, "l": 1, "o": 0}
RUN_DIGITS: Final = 8
SEQ_BITS: Final = 24
EVENTS_MAX: Final = (1 << SEQ_BITS) - 1
RUN_NO_MAX: Final = (1 << 39) - 1
SLOTS: Final = 4096
# One text for each number: no leading zeros, no digits of other scripts, no number without end.
STEP_RE: Final = re.compile(r"0|[1-9][0-9]{0,8}")


def run_id(run_no: int) -> str:
    """Return the public id of a run.

    >>> run_id(1025)
    'run_00000101'
    """
    digits = []
    for _ in range(RUN_DIGITS):
        run_no, value = divmod(run_no, 32)
        digits.append(ALPHABET[value])
    return "run_" + "".join(reversed(digits))


def parse_run_id(text: str) -> int:
    """Return the run number of a public id; raises `RequestError` if it is not one."""
    body = text.removeprefix("run_").lower()
    is_ours = text.isascii() and text.startswith("run_") and len(body) == RUN_DIGITS
    if is_ours and all(char in VALUES for char in body):
        number = 0
        for char in body:
            number = number * 32 + VALUES[char]
        if number <= RUN_NO_MAX:
            return number
    raise RequestError(
        f"{text!r} is not a run id.",
        why="A run id is 'run_' and eight letters or digits, such as run_00000101.",
        fix="List the runs with `podium runs list`.",
        code="PDM-R001",
    )


def step_id(run_no: int, step_no: int) -> str:
    """Return the public id of a step (`stepRecordId`)."""
    return f"stp_{run_id(run_no)[4:]}_{step_no}"


def parse_step_id(text: str) -> tuple[int, int]:
    """Return run and step number of a step id; raises `RequestError` if it is not one."""
    prefix, _, rest = text.partition("_")
    run, _, step = rest.partition("_")
    if prefix == "stp" and STEP_RE.fullmatch(step) and len(run) == RUN_DIGITS:
        number = int(step)
        if number <= EVENTS_MAX:
            return parse_run_id("run_" + run), number
    raise RequestError(
        f"{text!r} is not a step id.",
        why="A step id looks like stp_00000101_3.",
        fix="List the steps with `podium runs show RUN`.",
        code="PDM-R001",
    )


def pack_key(run_no: int, low: int) -> int:
    """Return the 63-bit key of an event, step or approval of a run."""
    return run_no << SEQ_BITS | low


def unpack_key(key: int) -> tuple[int, int]:
    """Return run number and low part of a packed key."""
    return key >> SEQ_BITS, key & EVENTS_MAX


def approval_no(run_no: int, step_no: int) -> int:
    """Return the number of the approval a step waits for."""
    return pack_key(run_no, step_no)


def approval_id(number: int) -> str:
    """Return the public id of an approval."""
    run_no, step_no = unpack_key(number)
    return f"apr_{run_id(run_no)[4:]}_{step_no}"


def parse_approval_id(text: str) -> int:
    """Return the number of an approval id; raises `RequestError` if it is not one."""
    prefix, _, rest = text.partition("_")
    if prefix == "apr" and "_" in rest:
        return approval_no(*parse_step_id("stp_" + rest))
    raise RequestError(
        f"{text!r} is not an approval id.",
        why="An approval id looks like apr_00000101_3.",
        fix="List what waits with `podium approvals list`.",
        code="PDM-R001",
    )


def schedule_id(schedule_no: int) -> str:
    """Return the public id of a schedule."""
    return f"sch_{run_id(schedule_no)[4:]}"


def parse_schedule_id(text: str) -> int:
    """Return the number of a schedule id; raises `RequestError` if it is not one."""
    if text.startswith("sch_"):
        with suppress(RequestError):
            return parse_run_id(f"run_{text[4:]}")
    raise RequestError(
        f"{text!r} is not a schedule id.",
        why="A schedule id is 'sch_' and eight letters or digits, such as sch_00000101.",
        fix="List the schedules with `podium schedules list`.",
        code="PDM-R001",
    )


def slot_of(organization: str) -> int:
    """Return the shard slot of an organization: stable over processes and releases.

    FNV-1a, 32 bits, because Python's own `hash` of text differs from process to process.
    """
    number = 0x811C9DC5
    for byte in organization.encode():
        number = (number ^ byte) * 0x01000193 & 0xFFFFFFFF
    return number % SLOTS
