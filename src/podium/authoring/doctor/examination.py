"""The sections of the examination, and how they are gone through.

Sections are numbered as in the two playbooks: 1.x the troubleshooting guide of the system, 3.x
the playbook of orchestration runs.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from podium.authoring.doctor import doors, ground, work
from podium.authoring.doctor.findings import Check, Look, Patient, worst
from podium.errors import PodiumError, RequestError

__all__ = ["SECTIONS", "Section", "examine", "sections_of"]

TABLE: Final[Sequence[tuple[str, str, tuple[Look, ...]]]] = (
    (
        "1.1",
        "Workflow execution failures",
        (
            ground.connection,
            ground.credentials,
            ground.disk,
            ground.memory,
            ground.load,
            ground.definitions,
        ),
    ),
    ("1.2", "API authentication errors", (doors.keys, doors.key_expiry)),
    ("1.3", "Scheduling issues", (doors.scheduler, doors.schedule_faults, doors.clock)),
    ("1.4", "Performance degradation", (ground.slow_reads, ground.store_traffic)),
    (
        "3.1",
        "Runs stuck in planning or running",
        (work.no_progress, work.parallel_limits, ground.processes, work.parked),
    ),
    ("3.2", "Checkpoint approvals missing", (work.waiting_approvals, work.approval_rows)),
    ("3.3", "Sub-orchestration failures", (work.child_failures, work.child_definitions)),
    ("3.4", "Agent invocation errors", (doors.agents, doors.models)),
    ("3.5", "Performance regressions", (ground.capacity, ground.slow_reads)),
    ("3.6", "Webhook or streaming gaps", (doors.progress_url, doors.deliveries)),
    ("3.7", "Manual recovery failing", (work.recoverable, work.recoveries)),
)

SECTIONS: Final = {number: title for number, title, _ in TABLE}


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One section of a playbook, and what its checks say."""

    section: str
    title: str
    state: str
    """The worst of its checks."""
    checks: Sequence[Check]


def sections_of(wanted: str) -> list[str]:
    """Return the sections that `wanted` names: one of them, or the beginning of several.

    Raises `RequestError` PDM-R170 if there is none.
    """
    found = [
        number
        for number in SECTIONS
        if not wanted or number == wanted or number.startswith(wanted.rstrip(".") + ".")
    ]
    if not found:
        raise RequestError(
            f"There is no section {wanted!r}.",
            fix=f"Sections: {', '.join(SECTIONS)}; `3` means all that begin with 3.",
            code="PDM-R170",
        )
    return found


async def examine(patient: Patient, section: str = "") -> list[Section]:
    """Return what the checks of these sections say; raises `RequestError` PDM-R170."""
    wanted = sections_of(section)
    found: list[Section] = []
    for number, title, looks in TABLE:
        if number in wanted:
            checks = [await _look(each, patient, number) for each in looks]
            found.append(Section(section=number, title=title, state=worst(checks), checks=checks))
    return found


async def _look(look: Look, patient: Patient, section: str) -> Check:
    """Return what a check says, also when it could not look."""
    try:
        found = await look(patient)
    except PodiumError as error:
        name = look.__name__.replace("_", " ")
        found = Check(name, "fail", f"{error.code} {error.what}", error.fix)
    return msgspec.structs.replace(found, section=section)
