"""Rows as the database holds them, and as the port defines them: one function per direction."""

from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec

from podium.core.ids import EVENTS_MAX, pack_key
from podium.ports.store import (
    ApprovalRow,
    DeadLetterRow,
    DefinitionRow,
    JournalRecord,
    MessageRow,
    NodeRow,
    OutcomeRow,
    RunRow,
    RunWrite,
    StepRow,
)

__all__ = [
    "approval",
    "create_params",
    "dead_letter",
    "definition",
    "guard_params",
    "journal_params",
    "journal_record",
    "label_params",
    "listed_params",
    "message",
    "node",
    "outcome",
    "run",
    "run_params",
    "start_params",
    "step",
    "step_params",
]

Values = tuple[Any, ...]
R = TypeVar("R", bound=msgspec.Struct)

NODE_FIELDS: Final = NodeRow.__struct_fields__

row_values: Final = attrgetter(
    "status", "reason", "priority", "generation", "wake_us", "started_us", "ended_us",
    "recoveries", "format", "min_engine", "steps_open", "steps_done", "steps_failed", "output",
    "error",
)  # fmt: skip


def guard_params(write: RunWrite, node_id: int, node_epoch: int) -> Values:
    """Return parameters 1–7 of the tick statements: new sequence and time, and both guards.

    Raises `ValueError` when the run's numbers are used up.
    """
    if write.new_seq > EVENTS_MAX:
        raise ValueError(
            f"A run holds at most {EVENTS_MAX} events. Use continue_as_new in long loops."
        )
    return (
        write.new_seq,
        write.updated_us or (write.row.updated_us if write.row else 0),
        write.run_no,
        node_id,
        write.home_epoch,
        write.old_seq,
        node_epoch,
    )


def run_params(write: RunWrite, row: RunRow, node_id: int, node_epoch: int) -> Values:
    """Return the parameters of `tick_run_row`: the guards, then what a tick may change."""
    return guard_params(write, node_id, node_epoch) + row_values(row)


def create_params(write: RunWrite, row: RunRow, node_id: int, node_epoch: int) -> Values:
    """Return the parameters of `tick_create`; only the own node may be the home of a new run."""
    if row.home not in {None, node_id}:
        raise ValueError(f"A new run cannot have node {row.home} as its home.")
    return (*run_params(write, row, node_id, node_epoch), row.home, row.slot)


def start_params(row: RunRow) -> Values:
    """Return the row of `run_start`."""
    return (
        row.run_no,
        row.organization,
        row.workflow,
        row.def_hash,
        row.created_us,
        row.parent_run,
        row.parent_step,
        row.forked_from,
        row.idempotency_key,
        row.request_hash,
        msgspec.json.encode(row.labels).decode() if row.labels else None,
        row.input,
    )


def label_params(row: RunRow) -> list[Values]:
    """Return one row of `run_label` per label."""
    return [(name, value, row.run_no) for name, value in row.labels.items()]


def listed_params(row: RunRow) -> Values:
    """Return the row of `run_listed`."""
    return (row.run_no, row.organization, row.workflow, row.status, row.created_us)


def journal_params(write: RunWrite) -> Values:
    """Return the journal row of a write."""
    first = write.old_seq + 1
    return (pack_key(write.run_no, first), write.new_seq - write.old_seq, write.format, write.body)


def step_params(row: StepRow) -> Values:
    """Return the row of a step; raises `ValueError` when its number does not fit into the key."""
    if not 0 <= row.step_no <= EVENTS_MAX:
        raise ValueError(f"A run holds at most {EVENTS_MAX} steps.")
    return msgspec.structs.astuple(row)


def run(values: Values) -> RunRow:
    """Return a run from the columns of the queries `run` and `children`."""
    row = dict(zip(RunRow.__struct_fields__, values, strict=True))
    row["labels"] = msgspec.json.decode(row["labels"]) if row["labels"] else {}
    return RunRow(**row)


def _struct(kind: type[R], values: Values) -> R:
    return kind(**dict(zip(kind.__struct_fields__, values, strict=True)))


def step(values: Values) -> StepRow:
    """Return a step."""
    return _struct(StepRow, values)


def journal_record(values: Values) -> JournalRecord:
    """Return a journal record."""
    return _struct(JournalRecord, values)


def approval(values: Values) -> ApprovalRow:
    """Return an approval."""
    row = dict(zip(ApprovalRow.__struct_fields__, values, strict=True))
    row["four_eyes"], row["rework"] = bool(row["four_eyes"]), bool(row["rework"])
    return ApprovalRow(**row)


def dead_letter(values: Values) -> DeadLetterRow:
    """Return parked work."""
    return _struct(DeadLetterRow, values)


def message(values: Values) -> MessageRow:
    """Return a message."""
    return _struct(MessageRow, values)


def outcome(values: Values) -> OutcomeRow:
    """Return an outcome."""
    number, run_no, applied, *rest = values
    return _struct(OutcomeRow, (number, run_no, bool(applied), *rest))


def node(values: Values) -> NodeRow:
    """Return a node; its boot clock lease is the adapter's own affair and is left out."""
    return _struct(NodeRow, values[: len(NODE_FIELDS)])


def definition(values: Values) -> DefinitionRow:
    """Return a version of a workflow."""
    *head, active, created_us = values
    return _struct(DefinitionRow, (*head, bool(active), created_us))
