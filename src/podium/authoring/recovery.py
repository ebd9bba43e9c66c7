"""Work that lies parked, and verbs on many runs at once: `app.dead_letters` and `app.bulk`."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from podium.authoring.standing import Standing
from podium.core.ids import parse_step_id, run_id, step_id
from podium.core.messages import Discard, Retry
from podium.core.states import RUN_VERBS, RunStatus
from podium.errors import NotFoundError, PodiumError, RequestError, did_you_mean
from podium.ports.store import DeadLetterRow, OutcomeRow, RunFilter, RunRow

__all__ = [
    "BULK_MAX",
    "BULK_VERBS",
    "BulkItem",
    "BulkResult",
    "DeadLetters",
    "bulk",
    "letter_id",
]

BULK_MAX: Final = 10_000
"""Runs that one call may steer."""
PAGE: Final = 1000
BULK_VERBS: Final = ("cancel", "abort", "pause", "resume", "retry", "skip")
STATUSES: Final = ("parked", "replayed", "discarded", "expired")


class DeadLetters:
    """Steps whose recoveries are spent: list them, have them done again, or give them up.

    A letter is named by the record id of its step (`stp_…`).
    """

    def __init__(self, app: Standing) -> None:
        self._app = app

    async def list(
        self, *, status: str = "parked", limit: int = 100, after: str = ""
    ) -> Sequence[DeadLetterRow]:
        """Return letters in a status, oldest first, those that come after the letter `after`.

        An empty status means any. Raises `RequestError` for an unknown one.
        """
        if status and status not in STATUSES:
            raise RequestError(
                f"{status!r} is not a status of a dead letter.",
                fix=did_you_mean(status, STATUSES, what="status"),
                code="PDM-R067",
            )
        return await self._app.engine.store.dead_letters(
            status=status,
            organization=self._app.scope,
            limit=limit,
            after=parse_step_id(after) if after else None,
        )

    async def replay(self, letter: str, *, by: str = "") -> OutcomeRow:
        """Run the step again, with all its recoveries, in its run: `retry` of this one step.

        Raises `NotFoundError`, or `ConflictError` if it is not parked any more or its run
        cannot go on.
        """
        run_no, step_no = await self._find(letter)
        mail = Retry(by=by or self._app.by, step_no=step_no)
        outcome = await self._app.engine.tell(run_no, mail)
        await self._record("dead_letter.replay", letter, run_no)
        return outcome

    async def discard(self, letter: str, *, by: str = "") -> OutcomeRow:
        """Take the step from the list for good; its run stays as it is. Raises like `replay`."""
        run_no, step_no = await self._find(letter)
        mail = Discard(by=by or self._app.by, step_no=step_no)
        outcome = await self._app.engine.tell(run_no, mail)
        await self._record("dead_letter.discard", letter, run_no)
        return outcome

    async def _find(self, letter: str) -> tuple[int, int]:
        run_no, step_no = parse_step_id(letter)
        row = await self._app.engine.store.run(run_no)
        is_visible = row is not None and self._app.standpoint.sees(row.organization)
        known = await self._app.engine.store.dead_letter(run_no, step_no) if is_visible else None
        if known is None:
            raise NotFoundError(
                f"There is no dead letter {letter!r}.",
                fix="List them with `podium dead-letters list`.",
                code="PDM-R423",
            )
        return run_no, step_no

    async def _record(self, verb: str, letter: str, run_no: int) -> None:
        owner = (await self._app.visible(run_no)).organization if self._app.standpoint.via else ""
        await self._app.audit.record(verb, letter, organization=owner)


class BulkItem(msgspec.Struct, kw_only=True):
    """What became of one run."""

    run_id: str
    status: str
    """Where it stands now."""
    applied: bool
    error: str = ""
    """Why it refused."""
    code: str = ""


class BulkResult(msgspec.Struct, kw_only=True):
    """What a verb did to many runs, or would do."""

    verb: str
    dry_run: bool
    matched: int
    applied: int
    refused: int
    items: list[BulkItem]


Act = Callable[[RunRow], Awaitable[RunStatus]]


async def bulk(
    app: Standing, verb: str, where: RunFilter, act: Act, *, dry_run: bool, limit: int
) -> BulkResult:
    """See `App.bulk`."""
    rows = await _chosen(app, verb, where, limit)
    items = [_rehearsed(verb, row) if dry_run else await _applied(row, act) for row in rows]
    return BulkResult(
        verb=verb,
        dry_run=dry_run,
        matched=len(rows),
        applied=sum(item.applied for item in items),
        refused=sum(not item.applied for item in items),
        items=items,
    )


async def _chosen(app: Standing, verb: str, where: RunFilter, limit: int) -> list[RunRow]:
    if verb not in BULK_VERBS:
        raise RequestError(
            f"{verb!r} is not a verb for many runs.",
            fix=did_you_mean(verb, BULK_VERBS, what="verb"),
            code="PDM-R197",
        )
    if not (where.statuses or where.workflow or where.label or where.created_before_us):
        raise RequestError(
            "A verb for many runs needs a filter.",
            why="Nothing would be left out.",
            fix="Give a status, a workflow, a label, or a time before which they were started.",
            code="PDM-R068",
        )
    if app.scope:
        where = msgspec.structs.replace(where, organization=app.scope)
    found: list[RunRow] = []
    while len(found) < limit:
        before = found[-1].run_no if found else None
        size = min(PAGE, limit - len(found))
        page = await app.engine.store.runs(where, limit=size, before=before)
        found += page
        if len(page) < size:
            break
    return found


def _rehearsed(verb: str, row: RunRow) -> BulkItem:
    status = RunStatus(row.status)
    allowed = status in RUN_VERBS[verb]
    error = "" if allowed else f"The run is {status.label}."
    code = "" if allowed else "wrong_state"
    return BulkItem(
        run_id=run_id(row.run_no), status=status.label, applied=allowed, error=error, code=code
    )


async def _applied(row: RunRow, act: Act) -> BulkItem:
    name = run_id(row.run_no)
    try:
        status = await act(row)
    except PodiumError as error:
        if error.exit_code == _UNUSABLE:
            raise
        return BulkItem(
            run_id=name,
            status=getattr(error, "state", "") or RunStatus(row.status).label,
            applied=False,
            error=error.what,
            code=error.code_word or error.code,
        )
    return BulkItem(run_id=name, status=status.label, applied=True)


_UNUSABLE: Final = 5
"""The exit code of a store that cannot be used: the other runs would fare no better."""


def letter_id(row: DeadLetterRow) -> str:
    """Return the name of a dead letter."""
    return step_id(row.run_no, row.step_no)
