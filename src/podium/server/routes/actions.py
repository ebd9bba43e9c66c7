"""Verbs on runs: each is recorded durably, then applied by the engine that drives the run."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

import msgspec
from litestar import post
from litestar.params import FromPath, JSONBody

from podium.authoring.client import RunHandle
from podium.authoring.recovery import BulkResult
from podium.core.states import RunStatus
from podium.ports.store import RunFilter
from podium.server.access import Permission
from podium.server.dependencies import CallersApp, TheCaller
from podium.server.parameters import (
    IfMatch,
    RunId,
    moment_us,
    name_and_value,
    seen,
    statuses_of,
)
from podium.server.shapes import (
    Acted,
    Bulk,
    Fork,
    Modifications,
    Pause,
    Resume,
    Retry,
    Signal,
    Skip,
    Stop,
)

__all__ = ["ROUTES"]

OPERATE: Final = {"needs": Permission.OPERATE}
AT: Final = "/v1/runs/{run:str}/actions"
APPLIED_WITHIN_S: Final = 10.0
"""How long to wait for the engine that drives the run; what it has not read stays in its inbox."""


@post(f"{AT}/cancel", status_code=202, opt=OPERATE, summary="Cancel a run")
async def cancel(
    run: RunId, app: CallersApp, data: JSONBody[Stop | None] = None, if_match: IfMatch = ""
) -> Acted:
    """Stop a run cooperatively: what runs may clean up."""
    handle, reason = app.run(run), data.reason if data else ""
    return await _acted(handle, handle.cancel(reason=reason, seen_seq=seen(if_match)))


@post(f"{AT}/abort", status_code=202, opt=OPERATE, summary="Abort a run")
async def abort(
    run: RunId, app: CallersApp, data: JSONBody[Stop | None] = None, if_match: IfMatch = ""
) -> Acted:
    """Stop a run now, whatever runs; nothing is undone."""
    handle, reason = app.run(run), data.reason if data else ""
    return await _acted(handle, handle.abort(reason=reason, seen_seq=seen(if_match)))


@post(f"{AT}/pause", status_code=202, opt=OPERATE, summary="Pause a run")
async def pause(
    run: RunId, app: CallersApp, data: JSONBody[Pause | None] = None, if_match: IfMatch = ""
) -> Acted:
    """Begin nothing more in a run until it is resumed; what runs may end."""
    handle = app.run(run)
    return await _acted(handle, handle.pause(seen_seq=seen(if_match)))


@post(f"{AT}/resume", status_code=202, opt=OPERATE, summary="Resume a run")
async def resume(
    run: RunId,
    app: CallersApp,
    caller: TheCaller,
    data: JSONBody[Resume | None] = None,
    if_match: IfMatch = "",
) -> Acted:
    """Go on after a pause; with `approval_id`, approve it, which takes that permission, too."""
    handle, approval = app.run(run), data.approval_id if data else ""
    if approval:
        caller.must(Permission.APPROVE)
    return await _acted(handle, handle.resume(approval=approval, seen_seq=seen(if_match)))


@post(f"{AT}/retry", status_code=202, opt=OPERATE, summary="Retry failed steps")
async def retry(
    run: RunId, app: CallersApp, data: JSONBody[Retry | None] = None, if_match: IfMatch = ""
) -> Acted:
    """Run failed steps again in place: the one that is named, or all that failed."""
    handle, wish = app.run(run), data or Retry()
    edits = wish.modifications or Modifications()
    inputs = msgspec.UNSET if edits.inputs is None else edits.inputs
    deed = handle.retry(
        wish.step_record_id or wish.step,
        inputs=inputs,
        agents=edits.agent_overrides,
        seen_seq=seen(if_match),
    )
    return await _acted(handle, deed)


@post(f"{AT}/skip", status_code=202, opt=OPERATE, summary="Skip a step")
async def skip(
    run: RunId, app: CallersApp, data: JSONBody[Skip | None] = None, if_match: IfMatch = ""
) -> Acted:
    """Take `output` for a failed or resting step and go on."""
    handle, wish = app.run(run), data or Skip()
    step = wish.step_record_id or wish.step
    return await _acted(handle, handle.skip(step, output=wish.output, seen_seq=seen(if_match)))


@post(
    [f"{AT}/fork", f"{AT}/rerun"],
    status_code=202,
    opt=OPERATE,
    summary="Start a new run from an old one",
)
async def fork(run: RunId, app: CallersApp, data: JSONBody[Fork | None] = None) -> Acted:
    """Start a new run from an old one, which stays as it is."""
    wish = data or Fork()
    edits = wish.modifications or Modifications()
    new = await app.rerun(
        run,
        from_step=wish.step_record_id or wish.from_step,
        changes=edits.inputs,
        version=wish.version,
        agents=edits.agent_overrides,
    )
    status = await new.status()
    return Acted(run_id=new.id, status=status.label, forked_from=app.run(run).id)


@post("/v1/runs/{run:str}/signals/{name:str}", status_code=202, opt=OPERATE, summary="Signal a run")
async def signal(
    run: RunId, name: FromPath[str], app: CallersApp, data: JSONBody[Signal | None] = None
) -> Acted:
    """Send a signal; it is kept until the run waits for it."""
    handle = app.run(run)
    return await _acted(handle, handle.signal(name, data.payload if data else None))


async def _acted(handle: RunHandle, deed: Awaitable[RunStatus]) -> Acted:
    """Return what became of a verb; one that nobody has read yet is recorded, not refused."""
    try:
        async with asyncio.timeout(APPLIED_WITHIN_S):
            status = await deed
    except TimeoutError:
        return Acted(run_id=handle.id, status=(await handle.status()).label, applied=False)
    return Acted(run_id=handle.id, status=status.label)


@post("/v1/runs/actions/{verb:str}", status_code=202, opt=OPERATE, summary="Steer many runs")
async def steer_many(verb: FromPath[str], app: CallersApp, data: JSONBody[Bulk]) -> BulkResult:
    """Apply a verb to all runs of a filter, newest first; one that refuses stops no other."""
    where = RunFilter(
        statuses=statuses_of(data.status),
        workflow=data.workflow,
        label=name_and_value(data.label),
        created_after_us=moment_us("created_after", data.created_after),
        created_before_us=moment_us("created_before", data.created_before),
    )
    options = {"reason": data.reason} if data.reason and verb in {"cancel", "abort"} else {}
    return await app.bulk(verb, where, dry_run=data.dry_run, limit=data.limit, **options)


ROUTES: Final[tuple[Any, ...]] = (
    cancel,
    abort,
    pause,
    resume,
    retry,
    skip,
    fork,
    signal,
    steer_many,
)
