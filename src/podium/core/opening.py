"""How steps come to be: joins, conditions, maps, loops, blocks, and the first status of each."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from heapq import heappop
from typing import Any, Final

from podium.core import events as ev
from podium.core.children import child_of, stand_in_of
from podium.core.definition import Checkpoint, JoinKind, Task
from podium.core.durations import parse_duration
from podium.core.gates import hold, is_behind_gate, is_edited, is_gate, will_feed_work
from podium.core.ids import run_id
from podium.core.limits import expires_us, is_late, late, limit_us
from podium.core.payload import ErrorRecord, pack_value
from podium.core.plan import PlannedTask
from podium.core.release import release
from podium.core.scope import expand, items_of, render_arguments, scope_at
from podium.core.state import ROOT, Fan, Step
from podium.core.states import RunStatus, StepKind, StepStatus
from podium.core.template import ExpressionFailure
from podium.core.turn import Turn

__all__ = [
    "ask_before",
    "begin",
    "consider",
    "exceeded",
    "fill_fan",
    "may_start",
    "open_code_step",
    "open_next_iteration",
    "open_root",
    "start_queued",
]

FAN_WINDOW: Final = 1000
"""Open items of one map when the task does not say; the rest of the map stays virtual."""
FAN_MAX: Final = 1_000_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
OPENS_PER_TURN: Final = 1000
"""Keeps a tick within its row limit, so that one fan-out cannot stall the other runs."""

_GOING: Final = frozenset({RunStatus.RUNNING, RunStatus.WAITING})


def open_root(turn: Turn) -> None:
    """Open the step that stands for the run, and the tasks that depend on nothing."""
    kind = StepKind.BLOCK
    turn.emit(ev.StepOpened(ROOT, ROOT, -1, kind, StepStatus.RUNNING))
    _ready_members(turn, ROOT, turn.plan.roots)


def _ready_members(turn: Turn, scope: int, members: tuple[int, ...]) -> None:
    for task in members:
        if not turn.plan.tasks[task].deps:
            turn.ready.append((scope, task))


def consider(turn: Turn, scope_no: int, task: int) -> None:
    """Open `task` in a graph if its join policy allows it now, or skip it if it never will."""
    scope = turn.state.steps.get(scope_no)
    if scope is None or scope.graph is None or task in scope.graph.members:
        return
    if not scope.status.is_open:
        return
    planned = turn.plan.tasks[task]
    verdict = _join(turn, scope, planned)
    if verdict is None:
        return
    path = f"{scope.path}/{planned.name}" if scope.path else planned.name
    carried = turn.state.carried.get(path)
    if carried is not None and not _asks_anew(turn, planned):
        step = _open(turn, scope, planned, StepStatus.PENDING)
        _take_over(turn, step, planned, carried)
    elif not verdict:
        step = _open(turn, scope, planned, StepStatus.PENDING)
        turn.end_step(step, StepStatus.SKIPPED, reason="upstream")
    else:
        _open_if_wanted(turn, scope, planned)


def _asks_anew(turn: Turn, planned: PlannedTask) -> bool:
    """Return whether an approval of another run was asked for work that is done again here."""
    return planned.task.uses == "approval" and will_feed_work(turn, planned)


def _take_over(turn: Turn, step: Step, planned: PlannedTask, output: bytes) -> None:
    """End a step with its result in the run that this one was forked from.

    What a person approved there holds there: if anything is built on it, they are asked again.
    """
    if not is_gate(planned.task) or not will_feed_work(turn, planned):
        turn.end_step(step, StepStatus.COMPLETED, output=output, reason="carried")
        return
    prompt = f"Take over the result of {step.path} from {run_id(turn.state.forked_from)}?"
    hold(turn, step, output=output, reason="checkpoint", prompt=prompt)


def _join(turn: Turn, scope: Step, planned: PlannedTask) -> bool | None:
    """Return True to run, False to skip, None to wait for more dependencies."""
    if not planned.deps or scope.graph is None:
        return True
    done = ended = 0
    for dep in planned.deps:
        number = scope.graph.members.get(dep)
        if number is None:
            continue
        step = turn.state.steps[number]
        if not step.status.is_open:
            ended += 1
            done += _satisfies(turn, step)
    return _verdict(planned.task, done=done, ended=ended, total=len(planned.deps))


def _satisfies(turn: Turn, step: Step) -> bool:
    if step.status is StepStatus.COMPLETED:
        return True
    if step.status is StepStatus.SKIPPED:
        return step.reason == "operator"
    return step.status is StepStatus.FAILED and turn.task_of(step).optional


def _verdict(task: Task, *, done: int, ended: int, total: int) -> bool | None:
    kind = task.join.kind
    if kind is JoinKind.ALL_DONE:
        return True if ended == total else None
    needed = total if kind is JoinKind.ALL else 1 if kind is JoinKind.ANY else task.join.count
    if done >= needed:
        return True
    return False if done + (total - ended) < needed else None


def _open_if_wanted(turn: Turn, scope: Step, planned: PlannedTask) -> None:
    try:
        if planned.when is not None:
            names = scope_at(turn, scope, scope.index, planned.when.references)
            if not planned.when.evaluate(names):
                step = _open(turn, scope, planned, StepStatus.PENDING)
                turn.end_step(step, StepStatus.SKIPPED, reason="condition")
                return
        count = _count_items(turn, scope, planned)
    except ExpressionFailure as failure:
        step = _open(turn, scope, planned, StepStatus.PENDING)
        turn.fail_step(step, _expression_error(step, failure))
        return
    _open_task(turn, scope, planned, count)


def _count_items(turn: Turn, scope: Step, planned: PlannedTask) -> int:
    if planned.for_each is None:
        return 0
    items, keys = expand(turn, scope, scope.index, planned.index)
    if keys == ["\0"]:
        raise ExpressionFailure(
            f"for_each of {planned.name!r} gave {type(items[0]).__name__}, not a list or map.",
            why="A map runs one step for each item of a list, or each entry of a map.",
            fix="Let the expression give a list, such as ${{ tasks.list.output }}.",
            code="PDM-T030",
        )
    if len(items) > FAN_MAX:
        raise _too_many(planned.name, len(items))
    if len(set(keys)) != len(keys):
        double = next(key for key, times in Counter(keys).items() if times > 1)
        raise ExpressionFailure(
            f"Two items of {planned.name!r} have the key {double!r}.",
            why="A key names the step of an item for good, so it must be unique in its map.",
            fix="Set `key:` to an expression that differs for each item, such as ${{ index }}.",
            code="PDM-T032",
        )
    return len(items)


def _too_many(name: str, count: int) -> ExpressionFailure:
    return ExpressionFailure(
        f"{name!r} was given {count:,} items; the limit is {FAN_MAX:,}.",
        fix="Split the list over several runs.",
        code="PDM-T031",
    )


def _expression_error(step: Step, failure: ExpressionFailure) -> ErrorRecord:
    return ErrorRecord(
        code=failure.code,
        kind="ExpressionFailure",
        message=failure.what,
        why=failure.why,
        fix=failure.fix,
        step=step.path,
        retryable=False,
    )


def _open_task(turn: Turn, scope: Step, planned: PlannedTask, count: int) -> None:
    if planned.task.checkpoint is Checkpoint.BEFORE or _was_changed(turn, scope, planned):
        step = _open(turn, scope, planned, StepStatus.CHECKPOINT_PENDING, count=count)
        ask_before(turn, step)
        return
    _open_instance(turn, scope, planned, kind=_outer_kind(planned), count=count)


def _was_changed(turn: Turn, scope: Step, planned: PlannedTask) -> bool:
    """Return whether an operator changed what a person had let pass by."""
    state = turn.state
    if not state.edits and not state.stand_ins:
        return False
    path = f"{scope.path}/{planned.name}" if scope.path else planned.name
    return is_edited(state, path, planned) and is_behind_gate(turn.plan, planned.index)


def _outer_kind(planned: PlannedTask) -> StepKind:
    return StepKind.MAP if planned.for_each is not None else _item_kind(planned)


def _item_kind(planned: PlannedTask) -> StepKind:
    return StepKind.LOOP if planned.task.loop is not None else planned.base


def _kind_below(parent: Step, planned: PlannedTask) -> StepKind:
    return _item_kind(planned) if parent.kind is StepKind.MAP else planned.base


def _open(
    turn: Turn, scope: Step, planned: PlannedTask, status: StepStatus, *, count: int = 0
) -> Step:
    """Open a step that does not begin its work yet."""
    no = turn.state.next_no
    kind = _outer_kind(planned)
    event = ev.StepOpened(
        no, scope.no, planned.index, kind, status, planned.name, scope.index, count
    )
    return turn.open_step(event)


def _open_instance(
    turn: Turn,
    parent: Step,
    planned: PlannedTask,
    *,
    kind: StepKind,
    count: int = 0,
    name: str = "",
    index: int = -1,
    wake_us: int = 0,
) -> Step:
    """Open a step and begin its work."""
    status = StepStatus.PENDING
    if wake_us:
        status = StepStatus.WAITING
    elif kind is StepKind.TASK:
        urgent = may_start(turn, planned.task.priority)
        status = StepStatus.RUNNING if urgent else StepStatus.QUEUED
        wake_us = limit_us(turn, planned.task, status, parent)
    elif kind in _CONTAINERS:
        status = StepStatus.RUNNING
        wake_us = expires_us(turn, planned.task, kind, parent)
    event = ev.StepOpened(
        turn.state.next_no,
        parent.no,
        planned.index,
        kind,
        status,
        name or planned.name,
        index if parent.fan is not None else parent.index,
        count,
        wake_us,
        0,
        planned.task.priority,
    )
    step = turn.open_step(event)
    if kind is not StepKind.TASK and status is not StepStatus.WAITING:
        begin(turn, step)
    return step


_CONTAINERS: Final = frozenset({StepKind.MAP, StepKind.BLOCK, StepKind.LOOP})


def may_start(turn: Turn, priority: int) -> bool:
    """Return whether an attempt of this priority may start now, before all that is queued.

    Where room is too short for all that became ready, nobody takes it for being first: they
    are queued, and the most urgent start when the turn ends.
    """
    state = turn.state
    while state.queue:
        first, number = state.queue[0]
        queued = state.steps.get(number)
        if queued is not None and queued.status is StepStatus.QUEUED:
            if first <= priority:
                return False
            break
        heappop(state.queue)
    return _has_room(turn, others=len(turn.ready))


def _has_room(turn: Turn, others: int = 0) -> bool:
    """Return whether one more attempt may start now, and `others` beside it."""
    limit = turn.plan.workflow.settings.max_parallel_steps
    state = turn.state
    if turn.room <= 0:
        turn.wants_room = True
        return False
    if turn.room <= others:
        return False
    if limit is not None and state.tally[StepStatus.RUNNING] + others >= limit:
        return False
    return state.status in _GOING


def begin(turn: Turn, step: Step) -> None:
    """Begin the work of an opened step, whatever kind it is; failures end the step."""
    try:
        _BEGIN[step.kind](turn, step)
    except ExpressionFailure as failure:
        turn.fail_step(step, _expression_error(step, failure))


def _begin_task(turn: Turn, step: Step) -> None:
    urgent = may_start(turn, step.priority)
    status = StepStatus.RUNNING if urgent else StepStatus.QUEUED
    limit = limit_us(turn, turn.task_of(step), status, turn.state.steps[step.scope], step)
    turn.move_step(step, status, wake_us=limit, output=step.output)


def _begin_container(turn: Turn, step: Step) -> None:
    if step.status is not StepStatus.RUNNING:
        turn.move_step(step, StepStatus.RUNNING, wake_us=_expires_us(turn, step))
    if step.kind is StepKind.BLOCK:
        _ready_members(turn, step.no, turn.plan.tasks[step.task].members)
    elif step.kind is StepKind.LOOP:
        open_next_iteration(turn, step)
    elif step.fan is not None and step.fan.count == 0:
        release(turn, step)
    elif step.fan is not None and step.fan.count > FAN_MAX:
        raise _too_many(step.path, step.fan.count)
    else:
        turn.fills.append(step.no)


def _expires_us(turn: Turn, step: Step) -> int:
    return expires_us(turn, turn.task_of(step), step.kind, turn.state.steps[step.scope])


def _begin_value(turn: Turn, step: Step) -> None:
    if step.task >= 0:
        output = turn.plan.offload(pack_value(render_arguments(turn, step)))
    else:
        output = turn.request_of(step).value or b"\xc0"
    release(turn, step, output=output)


def _begin_sleep(turn: Turn, step: Step) -> None:
    wake_us = _sleep_until(turn, step)
    if wake_us <= turn.now_us:
        release(turn, step)
    else:
        turn.move_step(step, StepStatus.WAITING, reason="timer", wake_us=wake_us)


def _sleep_until(turn: Turn, step: Step) -> int:
    if step.task < 0:
        return turn.request_of(step).wake_us
    arguments = _arguments(turn, step)
    if arguments.get("until") is not None:
        return _instant_us(arguments["until"], step)
    return turn.now_us + _duration_us(arguments.get("duration", 0), step)


def _arguments(turn: Turn, step: Step) -> dict[str, Any]:
    arguments = render_arguments(turn, step)
    return arguments if isinstance(arguments, dict) else {}


def _duration_us(value: Any, step: Step) -> int:
    duration_us = parse_duration(value)
    if duration_us is None:
        raise ExpressionFailure(
            f"Step {step.path!r} was given {value!r} as a duration.",
            fix='Write seconds as a number, or text such as "90s", "5m" or "PT1H".',
            code="PDM-T033",
        )
    return duration_us


def _instant_us(value: Any, step: Step) -> int:
    try:
        # A time without a zone cannot be compared with one that has it: a TypeError, too.
        return (datetime.fromisoformat(value) - EPOCH) // timedelta(microseconds=1)
    except (TypeError, ValueError) as error:
        raise ExpressionFailure(
            f"Step {step.path!r} was given {value!r} as a time.",
            why=f"{error}".capitalize() + ".",
            fix='Write an RFC 3339 time with its zone, such as "2030-01-31T08:00:00Z".',
            code="PDM-T033",
        ) from error


def _begin_signal(turn: Turn, step: Step) -> None:
    if step.task >= 0:
        arguments = _arguments(turn, step)
        name = str(arguments.get("name", turn.plan.tasks[step.task].name))
        limit = arguments.get("timeout")
        wake_us = turn.now_us + _duration_us(limit, step) if limit is not None else 0
    else:
        request = turn.request_of(step)
        name, wake_us = request.signal, request.wake_us
    waiting = turn.state.signals.get(name)
    turn.move_step(step, StepStatus.WAITING, reason=f"signal:{name}", wake_us=wake_us)
    if waiting:
        release(turn, step, output=waiting[0], reason=f"signal:{name}")


def _begin_approval(turn: Turn, step: Step) -> None:
    if step.task >= 0:
        arguments = _arguments(turn, step)
        prompt = str(arguments.get("prompt", f"Approve {step.path}?"))
        payload = pack_value(arguments.get("payload"))
        limit = arguments.get("expires_in")
        expires_us = turn.now_us + _duration_us(limit, step) if limit is not None else 0
    else:
        request = turn.request_of(step)
        prompt, expires_us = request.prompt, request.wake_us
        payload = request.payload or b"\xc0"
    # It may be asked once more while it waits: whoever asks people may have lost the question.
    if step.status is not StepStatus.WAITING:
        turn.move_step(step, StepStatus.WAITING, reason="checkpoint", wake_us=expires_us)
    turn.ask(step, prompt=prompt, payload=payload, expires_us=expires_us)


def ask_before(turn: Turn, step: Step) -> None:
    """Ask a person whether a step may start, showing what it would start with."""
    try:
        payload = pack_value(_checkpoint_payload(turn, step))
    except ExpressionFailure as failure:
        turn.fail_step(step, _expression_error(step, failure))
        return
    stand_in = stand_in_of(turn, step)
    prompt = f"Start {step.path}{f' with the agent {stand_in}' if stand_in else ''}?"
    turn.ask(step, prompt=prompt, payload=payload)


def _checkpoint_payload(turn: Turn, step: Step) -> Any:
    """Return what the person sees: the arguments, or the items where each item has its own."""
    if step.kind is StepKind.MAP:
        return {"items": items_of(turn, step)[0]}
    if step.kind is StepKind.LOOP:
        return turn.task_of(step).with_
    return render_arguments(turn, step)


def _begin_child(turn: Turn, step: Step) -> None:
    asked = child_of(turn, step)
    if turn.state.status not in _GOING:
        turn.move_step(step, StepStatus.QUEUED)
        return
    limit = _expires_us(turn, step)
    turn.move_step(step, StepStatus.WAITING, reason="child", wake_us=limit)
    turn.children += (asked,)


_BEGIN: Final = {
    StepKind.TASK: _begin_task,
    StepKind.MAP: _begin_container,
    StepKind.BLOCK: _begin_container,
    StepKind.LOOP: _begin_container,
    StepKind.VALUE: _begin_value,
    StepKind.SLEEP: _begin_sleep,
    StepKind.SIGNAL: _begin_signal,
    StepKind.APPROVAL: _begin_approval,
    StepKind.CHILD: _begin_child,
}


def fill_fan(turn: Turn, no: int) -> None:
    """Open the next items of a map, as far as its window and the room of the node allow."""
    step = turn.state.steps.get(no)
    if step is None or step.fan is None or step.status is not StepStatus.RUNNING:
        return
    fan = step.fan
    task = turn.task_of(step)
    if exceeded(task, fan):
        return
    window = task.max_parallel or FAN_WINDOW
    planned = turn.plan.tasks[step.task] if step.task >= 0 else None
    is_task = planned is None or _kind_below(step, planned) is StepKind.TASK
    keys = items_of(turn, step)[1] if planned is not None else turn.request_of(step).keys
    while fan.cursor < fan.count and fan.open < window:
        # An item that cannot start yet stays virtual: it is neither a row nor an object.
        full = len(turn.events) >= OPENS_PER_TURN
        if full or (is_task and not may_start(turn, task.priority)):
            turn.facts.hungry[no] = None
            turn.unfinished = turn.unfinished or full
            return
        index = fan.cursor
        if planned is not None:
            kind = _kind_below(step, planned)
            _open_instance(turn, step, planned, kind=kind, name=keys[index], index=index)
        else:
            key = keys[index] if keys else str(index)
            _open_code_item(turn, step, key, index)


def exceeded(task: Task, fan: Fan) -> bool:
    """Return whether more items of a map failed than its task tolerates."""
    if not fan.failures:
        return False
    tolerate = task.tolerate
    if tolerate is None:
        return True
    if tolerate.percent is not None:
        return fan.failures * 100 > tolerate.percent * fan.count
    return fan.failures > (tolerate.failures or 0)


def _open_code_item(turn: Turn, step: Step, key: str, index: int) -> None:
    limit = limit_us(turn, turn.task_of(step), StepStatus.RUNNING, step)
    event = ev.StepOpened(
        turn.state.next_no,
        step.no,
        -1,
        StepKind.TASK,
        StepStatus.RUNNING,
        key,
        index,
        0,
        limit,
        0,
        turn.task_of(step).priority,
    )
    turn.open_step(event)


def open_next_iteration(turn: Turn, step: Step) -> None:
    """Open the next pass of a loop, after its delay if it has one."""
    planned = turn.plan.tasks[step.task]
    fan, loop = step.fan, planned.task.loop
    if fan is None or loop is None:
        return
    index = fan.cursor
    wake_us = turn.now_us + loop.delay_us if loop.delay_us and index else 0
    kind = planned.base
    _open_instance(turn, step, planned, kind=kind, name=str(index), index=index, wake_us=wake_us)


def open_code_step(turn: Turn, step: Step) -> None:
    """Begin a step that a durable function asked for."""
    begin(turn, step)


def start_queued(turn: Turn) -> None:
    """Start queued steps while there is room, the most urgent first."""
    state = turn.state
    while state.queue:
        step = state.steps.get(state.queue[0][1])
        if step is None or step.status is not StepStatus.QUEUED:
            heappop(state.queue)
        elif not _has_room(turn):
            return
        else:
            heappop(state.queue)
            _start_queued(turn, step)


def _start_queued(turn: Turn, step: Step) -> None:
    if step.kind is not StepKind.TASK:
        begin(turn, step)
    elif is_late(turn, step):
        # It lost its attempt, and there was no room for another one in time.
        turn.fail_step(step, late(step, "total timeout"), reason="total_timeout")
    else:
        status = StepStatus.RUNNING
        limit = limit_us(turn, turn.task_of(step), status, turn.state.steps[step.scope], step)
        turn.move_step(step, status, wake_us=limit, output=step.output)
