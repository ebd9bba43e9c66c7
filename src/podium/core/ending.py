"""What the end of a step means for what is around it: graphs, maps, loops, the run."""

from typing import Final

from podium.core.opening import exceeded, open_next_iteration
from podium.core.payload import ErrorRecord, decode_error, encode_error
from podium.core.plan import NO_BLOCK
from podium.core.release import release
from podium.core.scope import output_of, scope_at
from podium.core.state import ROOT, Fan, Step
from podium.core.states import RunStatus, StepKind, StepStatus
from podium.core.template import ExpressionFailure
from podium.core.turn import Turn

__all__ = ["cancel_below", "fail_run", "finish_run", "settle_parent"]

CAUSES_MAX: Final = 20


def settle_parent(turn: Turn, scope_no: int, task: int, status: StepStatus) -> None:
    """Let the step `scope_no` know that a step of `task` below it ended in `status`."""
    parent = turn.state.steps.get(scope_no)
    # News of what was cancelled below a container that has ended comes late, and says nothing.
    if parent is None or parent.status is not StepStatus.RUNNING:
        return
    if parent.kind is StepKind.LOOP:
        _loop_went_on(turn, parent, status)
    elif parent.fan is not None:
        _map_went_on(turn, parent, parent.fan, status)
    elif task >= 0:
        _graph_went_on(turn, parent, task, status)


def _graph_went_on(turn: Turn, parent: Step, task: int, status: StepStatus) -> None:
    planned = turn.plan.tasks[task]
    for dependent in planned.dependents:
        turn.ready.append((parent.no, dependent))
    failed = status is StepStatus.FAILED and not planned.task.optional
    if failed and turn.plan.workflow.settings.fail_fast:
        cancel_below(turn, parent.no, reason="fail_fast")
    graph = parent.graph
    number = NO_BLOCK if parent.no == ROOT else parent.task
    if graph is None or graph.open:
        return
    # Nothing is open, but a member may still be unborn: `consider` opens it from the news above.
    if len(graph.members) == len(turn.plan.by_block[number]):
        _finish_graph(turn, parent)


def _finish_graph(turn: Turn, parent: Step) -> None:
    causes = _failures(turn, parent)
    if parent.no == ROOT:
        finish_run(turn, causes)
    elif causes:
        turn.fail_step(parent, _summary(parent.path, causes))
    else:
        # The steps below a map's item are forgotten with it: the output must say it all.
        is_item = turn.state.steps[parent.scope].fan is not None
        chosen = turn.plan.tasks[parent.task].task.output
        output = turn.plan.offload(output_of(turn, parent)) if chosen or is_item else None
        release(turn, parent, output=output)


def _failures(turn: Turn, parent: Step) -> list[ErrorRecord]:
    """Return the errors of the members whose failure fails the graph, in order."""
    failed = [step for step in turn.state.children(parent) if step.status is StepStatus.FAILED]
    required = [step for step in failed if not turn.task_of(step).optional]
    return [decode_error(step.error) for step in required if step.error is not None]


def _summary(path: str, causes: list[ErrorRecord], *, what: str = "") -> ErrorRecord:
    first = causes[0] if causes else None
    if first is not None and len(causes) == 1 and not what:
        return first
    message = what or f"{len(causes)} steps failed; the first: {first.message if first else ''}"
    return ErrorRecord(
        code=first.code if first else "PDM-T000",
        kind=first.kind if first else "RunError",
        message=message,
        why=first.why if first else "",
        fix=first.fix if first else "",
        step=first.step if first else path,
        retryable=False,
        causes=tuple(causes[:CAUSES_MAX]),
    )


def finish_run(turn: Turn, causes: list[ErrorRecord]) -> None:
    """End a graph run whose tasks have all ended."""
    if turn.state.status is RunStatus.CANCELLING:
        return
    if causes:
        fail_run(turn, _summary("", causes))
        return
    partial = any(step.fan and step.fan.failures for step in turn.state.children(turn.state.root))
    turn.move_run(
        RunStatus.COMPLETED, reason="partial" if partial else "", output=_run_output(turn)
    )


def _run_output(turn: Turn) -> bytes | None:
    """Return the output task's output, or None where it is too large to be kept twice."""
    graph = turn.state.root.graph
    number = graph.members.get(turn.plan.output_task) if graph is not None else None
    if number is None:
        return None
    output = output_of(turn, turn.state.steps[number])
    if turn.state.parent_run:
        # A parent cannot look into its child's journal: it gets the output, or a reference.
        return turn.plan.offload(output)
    return output if len(output) <= OUTPUT_INLINE_MAX else None


OUTPUT_INLINE_MAX: Final = 64 * 1024


def fail_run(turn: Turn, error: ErrorRecord, *, reason: str = "") -> None:
    """End the run as failed; whatever is open below it is cancelled."""
    cancel_below(turn, ROOT, reason="run_failed")
    turn.ended.clear()
    turn.ready.clear()
    turn.move_run(RunStatus.FAILED, reason=reason or "step_failed", error=encode_error(error))


def cancel_below(turn: Turn, no: int, *, reason: str) -> None:
    """Cancel every open step below step `no`, innermost first."""
    below: dict[int, list[Step]] = {}
    for step in turn.state.steps.values():
        if step.status.is_open and step.no != ROOT:
            below.setdefault(step.scope, []).append(step)
    _cancel_tree(turn, below, no, reason)


def _cancel_tree(turn: Turn, below: dict[int, list[Step]], no: int, reason: str) -> None:
    for step in below.get(no, ()):
        _cancel_tree(turn, below, step.no, reason)
        turn.end_step(step, StepStatus.CANCELLED, reason=reason)


def _map_went_on(turn: Turn, parent: Step, fan: Fan, status: StepStatus) -> None:
    is_lost = exceeded(turn.task_of(parent), fan)
    hopeless = is_lost and fan.open and status is StepStatus.FAILED
    if hopeless and turn.plan.workflow.settings.fail_fast:
        cancel_below(turn, parent.no, reason="fail_fast")
    if fan.open == 0 and (is_lost or fan.cursor == fan.count):
        _finish_map(turn, parent, fan, is_lost=is_lost)
    elif not is_lost and (not turn.fills or turn.fills[-1] != parent.no):
        turn.fills.append(parent.no)


def _finish_map(turn: Turn, parent: Step, fan: Fan, *, is_lost: bool) -> None:
    if not is_lost:
        reason = "partial" if fan.failures else ""
        release(turn, parent, reason=reason)
        return
    kept = [turn.state.steps[no] for no in fan.kept]
    causes = [decode_error(step.error) for step in kept if step.error is not None]
    what = ""
    if fan.failures > 1 and causes:
        what = (
            f"{fan.failures} of {fan.count} items of {parent.path!r} failed; "
            f"the first: {causes[0].message}"
        )
    turn.fail_step(parent, _summary(parent.path, causes, what=what))


def _loop_went_on(turn: Turn, parent: Step, status: StepStatus) -> None:
    fan = parent.fan
    planned = turn.plan.tasks[parent.task]
    if fan is None or planned.until is None or planned.task.loop is None:
        return
    if status is StepStatus.FAILED:
        last = turn.state.steps[fan.kept[-1]]
        error = decode_error(last.error) if last.error is not None else None
        turn.fail_step(parent, _summary(parent.path, [error] if error else []))
        return
    try:
        done = _loop_is_done(turn, parent, fan)
    except ExpressionFailure as failure:
        turn.fail_step(parent, _loop_error(parent, failure.code, failure.what, failure.fix))
        return
    if done:
        release(turn, parent)
    elif fan.cursor >= planned.task.loop.max_iterations:
        what = f"{parent.path!r} was not done after {fan.cursor} iterations."
        fix = "Raise max_iterations, or check the `until` expression."
        turn.fail_step(parent, _loop_error(parent, "PDM-T034", what, fix))
    else:
        open_next_iteration(turn, parent)


def _loop_is_done(turn: Turn, parent: Step, fan: Fan) -> bool:
    until = turn.plan.tasks[parent.task].until
    if until is None:
        return True
    names = scope_at(turn, parent, fan.cursor - 1, until.references)
    names["output"] = turn.plan.decode(fan.outputs[-1])
    return until.evaluate(names)


def _loop_error(parent: Step, code: str, what: str, fix: str) -> ErrorRecord:
    return ErrorRecord(
        code=code, kind="LoopError", message=what, fix=fix, step=parent.path, retryable=False
    )
