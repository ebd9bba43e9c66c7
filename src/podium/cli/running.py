"""What `podium run` does: load, start, follow, report; and the same for reruns."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from podium.app import sqlite_path
from podium.authoring.client import App, RunHandle
from podium.authoring.files import read_file
from podium.authoring.inputs import parse_cli_inputs
from podium.cli.background import live_engines, start_background
from podium.cli.follow import WAITING, Follower, Wishes
from podium.cli.interrupts import Interrupts
from podium.cli.loading import FOLDER_LABEL, Loaded, load
from podium.cli.output import emit, emit_json, note
from podium.cli.report import print_view, run_document
from podium.cli.screen import make_screen
from podium.cli.session import Session, is_terminal
from podium.core.definition import Workflow
from podium.core.durations import parse_duration
from podium.core.ids import approval_id, run_id
from podium.core.states import RunStatus
from podium.errors import DefinitionError, RequestError
from podium.ports.store import ApprovalRow, RunFilter
from podium.runtime.views import view_run

__all__ = ["Order", "duration_s", "follow_run", "start_and_follow"]

HISTORY_STEPS_MAX: Final = 1000


@dataclass(slots=True, frozen=True, kw_only=True)
class Order:
    """The arguments of `podium run`, as given."""

    target: str = ""
    inputs: Sequence[str] = ()
    input_file: Path | None = None
    idempotency_key: str | None = None
    yes: bool = False
    no_wait: bool = False
    detach: bool = False
    limit: str | None = None
    priority: int = 50
    labels: Sequence[str] = ()
    version: str = ""
    as_events: bool = False
    agents: Mapping[str, str] | None = None


async def start_and_follow(session: Session, order: Order) -> int:
    """Start what was ordered, or find the run that its key belongs to, and follow it."""
    limit_s = None if order.limit is None else duration_s(order.limit)
    loaded = load(order.target, session.settings)
    if loaded.warnings:
        count = len(loaded.warnings)
        many = f"{count} warning{'s' if count != 1 else ''}"
        note(f"{many} about the definition: podium validate {order.target}")
    # From the first moment on: a run that was started must not be left by accident.
    interrupts = Interrupts()
    with interrupts.caught():
        async with session.driving(alone=True) as app:
            value = await _input(app, loaded, order)
            known = await _known(app, order.idempotency_key)
            handle = await app.start(
                loaded.startable,
                input=value,
                idempotency_key=order.idempotency_key,
                priority=order.priority,
                labels={FOLDER_LABEL: str(loaded.folder), **pairs(order.labels)},
                version=order.version,
                detach=order.detach,
            )
            if known == handle.run_no:
                await _tell_reattached(app, handle)
            if not order.detach:
                return await follow_run(
                    session, app, handle, order, limit_s=limit_s, interrupts=interrupts
                )
            engines = await live_engines(app)
    return detached(session, handle, has_engine=bool(engines))


def duration_s(text: str) -> float:
    """Return a duration such as "90s" in seconds; raises `RequestError`."""
    parsed = parse_duration(text)
    if parsed is None or parsed <= 0:
        raise RequestError(
            f"{text!r} is not a duration.",
            fix='Write seconds, or text such as "90s" or "5m".',
            code="PDM-R026",
        )
    return parsed / 1e6


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """Return `name=value` texts as a map; raises `RequestError`."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise RequestError(
                f"{text!r} is not written as name=value.",
                fix="For example: --label team=billing",
                code="PDM-R065",
            )
        found[name] = value
    return found


async def _input(app: App, loaded: Loaded, order: Order) -> Any:
    definition = loaded.definition
    if definition is None:
        plan = await app.engine.registry.named(str(loaded.startable), order.version)
        definition = plan.workflow
    given: Any = _from_file(order.input_file) if order.input_file is not None else {}
    typed = parse_cli_inputs(order.inputs, _schemas(loaded, definition))
    if order.input_file is not None and not isinstance(given, dict):
        if typed:
            raise RequestError(
                f"The inputs in {str(order.input_file)!r} are no object, so -i cannot add to them.",
                fix="Give one of the two.",
                code="PDM-R012",
            )
        return given
    merged: dict[str, Any] = {**given, **typed}
    return merged if merged or definition.inputs is not None else None if _is_code(loaded) else {}


def _is_code(loaded: Loaded) -> bool:
    return loaded.definition is not None and bool(loaded.definition.entrypoint)


def _schemas(loaded: Loaded, definition: Workflow) -> dict[str, Any] | None:
    """Return what types inputs have: declared, or read off a durable function's signature."""
    function = getattr(loaded.startable, "function", None)
    if definition.inputs is not None or function is None:
        inputs: dict[str, Any] | None = definition.inputs
        return inputs
    names = getattr(function, "__annotations__", {})
    return {name: {"type": _JSON_TYPES.get(_head(kind), "string")} for name, kind in names.items()}


_JSON_TYPES: Final = {
    "int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object",
}  # fmt: skip


def _head(annotation: object) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return str(text).partition("[")[0]


def _from_file(path: Path) -> Any:

    # Imported here: few runs take their input from a file.
    from podium.authoring.json_text import read_json  # noqa: PLC0415
    from podium.authoring.yaml_text import read_yaml  # noqa: PLC0415

    text = read_file(path).decode("utf-8", "replace")
    tree = read_json(text) if path.suffix == ".json" else read_yaml(text)
    if tree.faults:
        raise DefinitionError(tree.faults, source=str(path))
    return {} if tree.value is None else tree.value


async def _known(app: App, key: str | None) -> int | None:
    if key is None:
        return None
    row = await app.engine.store.run_by_key(app.organization, key)
    return None if row is None else row.run_no


async def _tell_reattached(app: App, handle: RunHandle) -> None:
    view = await view_run(app.engine, handle.run_no, outputs=False)
    done = sum(step.status == "completed" and step.items is None for step in view.steps)
    note(
        f"Found {handle.id} by its idempotency key ({view.status}): "
        f"{done} finished steps are not repeated."
    )


def detached(session: Session, handle: RunHandle, *, has_engine: bool) -> int:
    """Make sure that some process drives a deferred run, and print its id."""
    if not has_engine:
        url = session.settings.database_url
        pid, log = start_background(url, sqlite_path(url).parent)
        note(f"Process {pid} continues it in the background and writes to {log}.")
    if session.as_json:
        emit_json({"run_id": handle.id, "status": RunStatus.QUEUED.label})
    else:
        emit(handle.id)
    note(f"Look at it: podium runs show {handle.id}")
    return 0


async def follow_run(
    session: Session,
    app: App,
    handle: RunHandle,
    order: Order,
    *,
    limit_s: float | None = None,
    interrupts: Interrupts | None = None,
) -> int:
    """Follow a run that this process drives or watches, and report how it went."""
    row = await handle.row()
    plan = await app.engine.registry.plan(row.def_hash)
    screen = make_screen(
        as_events=order.as_events,
        is_quiet=session.as_json,
        history=await _history(app, row.workflow) if sys.stderr.isatty() else {},
    )
    wishes = Wishes(
        yes=order.yes,
        can_ask=not order.no_wait and not session.as_json and is_terminal(),
        limit_s=limit_s,
        again=_again(order),
    )
    if not session.as_json:
        note(f"{row.workflow} {handle.id}")
    follower = Follower(app, screen, wishes)
    code = await follower.follow(row.run_no, plan, interrupts or Interrupts())
    await _report(session, app, follower, order, code=code)
    return code


async def _report(
    session: Session, app: App, follower: Follower, order: Order, *, code: int
) -> None:
    now_us = app.engine.store.now_us()
    view = await view_run(app.engine, follower.run_no)
    is_closed = not RunStatus[view.status.upper()].is_open
    if session.as_json:
        document = run_document(view, now_us=now_us)
        if code == WAITING:
            document["approvals"] = [approval_id(row.approval_no) for row in follower.pending]
        emit_json(document)
    elif is_closed and not order.as_events:
        print_view(view, now_us=now_us, as_json=False)
    if code == WAITING:
        _tell_waiting(follower.run_no, follower.pending, order)


def _tell_waiting(run_no: int, rows: Sequence[ApprovalRow], order: Order) -> None:
    note(f"{run_id(run_no)} waits for a person:")
    for row in rows:
        name = approval_id(row.approval_no)
        note(f"  {row.prompt or row.path}")
        note(f"  podium approvals approve {name}    (or: podium approvals reject {name})")
    note(f"Then continue it: {_again(order)}")


def _again(order: Order) -> str:
    """Return the command that continues the run: the same one if a key makes it the same run."""
    return shlex.join(["podium", *sys.argv[1:]]) if order.idempotency_key else "podium recover"


async def _history(app: App, workflow: str) -> dict[str, int]:
    """Return how long each task took in the last completed run of this workflow."""
    store = app.engine.store
    where = RunFilter(workflow=workflow, statuses=(RunStatus.COMPLETED,))
    found: dict[str, int] = {}
    for row in await store.runs(where, limit=1):
        for step in await store.steps(row.run_no, limit=HISTORY_STEPS_MAX):
            if step.started_us and step.ended_us and "[" not in step.path:
                found[step.path] = step.ended_us - step.started_us
    return found
