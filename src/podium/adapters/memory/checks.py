"""What a real store refuses to hold, for the reference store: NUL, big numbers, broken CHECKs."""

from collections.abc import Iterator
from typing import Any, Final, cast

import msgspec

from podium.core.ids import EVENTS_MAX, RUN_NO_MAX, SLOTS
from podium.core.states import RunStatus, StepKind, StepStatus
from podium.ports.store import (
    ApprovalDecision,
    ApprovalRow,
    ApprovalStatus,
    RunRow,
    RunWrite,
    StepRow,
)

__all__ = ["fault_in_message", "fault_in_values", "fault_in_write"]

INT_MAX: Final = (1 << 63) - 1
DEAD_LETTER_STATUSES: Final = ("parked", "replayed", "discarded", "expired")


def fault_in_values(row: msgspec.Struct) -> str:
    """Return what no column can hold, in words; empty if there is nothing."""
    for name, value in zip(row.__struct_fields__, msgspec.structs.astuple(row), strict=True):
        fault = _fault_in_value(value)
        if fault:
            return f"{name}: {fault}"
    return ""


def _fault_in_value(value: Any) -> str:
    match value:
        case str():
            return _fault_in_text(value)
        case int() if not -INT_MAX - 1 <= value <= INT_MAX:
            return "the number does not fit into 64 bits"
        case dict():
            return _fault_in_labels(cast("dict[str, str]", value))
        case int() | bytes() | None:
            return ""
        case _:
            return f"a {type(value).__name__} cannot be stored"


def _fault_in_labels(labels: dict[str, str]) -> str:
    texts = [*labels.keys(), *labels.values()]
    return next((fault for fault in map(_fault_in_text, texts) if fault), "")


def _fault_in_text(text: str) -> str:
    if "\0" in text:
        return "the text contains NUL"
    return "" if _is_unicode(text) else "the text is not valid Unicode"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def fault_in_message(message: msgspec.Struct) -> str:
    """Return what is wrong with a message."""
    return fault_in_values(message)


def fault_in_write(write: RunWrite) -> str:
    """Return what is wrong with the data of a write, in words; empty if nothing is."""
    return next(filter(None, _faults(write)), "")


def _faults(write: RunWrite) -> Iterator[str]:
    if write.row is not None:
        yield fault_in_values(write.row)
        yield _broken_run(write.row)
    if write.body and not 0 <= write.old_seq < write.new_seq <= EVENTS_MAX:
        yield f"a run holds at most {EVENTS_MAX} events"
    for step in write.steps:
        yield fault_in_values(step)
        yield _broken_step(step)
    for approval in write.approvals:
        yield fault_in_values(approval)
        yield _broken_approval(approval)
    for decision in write.decisions:
        yield fault_in_values(decision)
        yield _broken_approval(decision)
    yield from map(fault_in_values, write.escalations)
    for letter in write.dead_letters:
        yield fault_in_values(letter)
        yield "" if letter.status in DEAD_LETTER_STATUSES else "dead letter status"
    for receipt in write.receipts:
        yield from (fault_in_values(booked.charge) for booked in receipt.booked)
    yield from map(fault_in_values, write.outcomes)
    yield from map(fault_in_values, write.posts)


def _broken_run(row: RunRow) -> str:
    rules = {
        "run_no": 1 <= row.run_no <= RUN_NO_MAX,
        "slot": 0 <= row.slot < SLOTS,
        "status": 0 <= row.status < len(RunStatus),
        "priority": 0 <= row.priority <= 100,
        "generation": row.generation > 0,
        "recoveries": row.recoveries >= 0,
        "ended_us": (row.status >= RunStatus.COMPLETED) == (row.ended_us is not None),
    }
    return _first_broken(rules)


def _broken_step(row: StepRow) -> str:
    has_result = row.status in {StepStatus.COMPLETED, StepStatus.FAILED}
    rules = {
        "step_no": 0 <= row.step_no <= EVENTS_MAX,
        "kind": 0 <= row.kind < len(StepKind),
        "status": 0 <= row.status < len(StepStatus),
        "attempts": row.attempts >= 0,
        "ended_us": row.ended_us is not None or not has_result,
    }
    return _first_broken(rules)


def _broken_approval(row: ApprovalRow | ApprovalDecision) -> str:
    is_decided = row.decided_us is not None
    answers = {ApprovalStatus.APPROVED, ApprovalStatus.REJECTED, ApprovalStatus.EDITED}
    rules = {
        "status": 0 <= row.status < len(ApprovalStatus),
        "generation": isinstance(row, ApprovalDecision) or row.generation > 0,
        "decided_us of a pending one": row.status != ApprovalStatus.PENDING or not is_decided,
        "decided_us": row.status not in answers or is_decided,
        "rework": not row.rework or row.status == ApprovalStatus.REJECTED,
    }
    return _first_broken(rules)


def _first_broken(rules: dict[str, bool]) -> str:
    return next((f"CHECK of {name} failed" for name, holds in rules.items() if not holds), "")
