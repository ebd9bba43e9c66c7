"""The only function that changes a run's state: `evolve(state, event, at_us)`.

`evolve` trusts its events: deciding whether something may happen is `core.decide`. Folding
the same events always gives the same state, in the same order of everything, on any machine.
"""

from collections.abc import Callable, Iterable
from heapq import heappush
from typing import Any, Final

from podium.core import events as ev
from podium.core.budgets import Amounts
from podium.core.state import NULL, ROOT, Fan, RunState, Scope, Step
from podium.core.states import (
    AttemptOutcome,
    RunStatus,
    StepKind,
    StepStatus,
    check_run_move,
    check_step_move,
)

__all__ = ["PARKED", "evolve", "fold"]

# Tuples, because calling an IntEnum class costs more than the rest of folding a small event.
_STATUSES: Final = tuple(StepStatus)
_KINDS: Final = tuple(StepKind)
_QUEUED: Final = StepStatus.QUEUED
_RUNNING: Final = StepStatus.RUNNING
_COMPLETED: Final = StepStatus.COMPLETED
PARKED: Final = "recoveries_spent"
"""Why a step ended that lies among the dead letters."""
_SPENDS_RETRY: Final = frozenset({AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT})
_SPENDS_RECOVERY: Final = frozenset({AttemptOutcome.CRASHED, AttemptOutcome.LOST})


def fold(state: RunState, bodies: Iterable[bytes]) -> RunState:
    """Apply packed journal records to `state` and return it."""
    for body in bodies:
        at_us, records = ev.unpack(body)
        for record in records:
            evolve(state, record, at_us)
    return state


def evolve(state: RunState, event: ev.Event, at_us: int) -> None:
    """Apply one event that happened at `at_us`."""
    state.seq += 1
    _APPLY[type(event)](state, event, at_us)


def _run_started(state: RunState, event: ev.RunStarted, at_us: int) -> None:
    state.workflow = event.workflow
    state.def_hash = event.def_hash
    state.input = event.input
    state.organization = event.organization
    state.priority = event.priority
    state.parent_run = event.parent_run
    state.parent_step = event.parent_step
    state.depth = event.depth
    state.forked_from = event.forked_from
    state.generation = event.generation
    state.labels = event.labels
    state.pots = tuple(event.pots)
    state.requesters = list(event.requesters)
    state.lineage = list(event.lineage)
    state.created_us = at_us


def _run_moved(state: RunState, event: ev.RunMoved, at_us: int) -> None:
    new = RunStatus(event.status)
    check_run_move(state.status, new)
    if state.status is RunStatus.RUNNING:
        state.running_us += at_us - state.running_since_us
    if event.by:
        state.held_by = event.by
    if new is RunStatus.PAUSED:
        state.paused_since_us = at_us
    elif state.status is RunStatus.PAUSED and new.is_open:
        _end_pause(state, at_us - state.paused_since_us)
    if new is RunStatus.RUNNING:
        state.running_since_us = at_us
        state.started_us = state.started_us or at_us
    state.status = new
    state.reason = event.reason
    if not new.is_open:
        state.ended_us = at_us
        state.output = event.output
        state.error = event.error
        state.timers.clear()
        state.queue.clear()


def _end_pause(state: RunState, pause_us: int) -> None:
    """Move the limits of open steps by the length of a pause; promised dates stay."""
    for step in state.steps.values():
        if not step.status.is_open:
            continue
        if step.started_us:
            step.held_us += pause_us
        if step.wake_us and (step.status in _LIMITED or step.reason == "child"):
            step.wake_us += pause_us
            heappush(state.timers, (step.wake_us, step.no))


_LIMITED: Final = frozenset({_QUEUED, _RUNNING})
"""In these, `wake_us` is a limit and not a date that somebody waits for."""


def _step_opened(state: RunState, event: ev.StepOpened, at_us: int) -> None:
    status = _STATUSES[event.status]
    kind = _KINDS[event.kind]
    parent = state.steps.get(event.scope)
    step = Step(
        event.no,
        event.scope,
        event.task,
        kind,
        _path(parent, event),
        status,
        event.index,
        opened_us=at_us,
        wake_us=event.wake_us,
        mark=event.mark,
        priority=event.priority,
    )
    state.steps[event.no] = step
    state.paths[step.path] = event.no
    if event.no >= state.next_no:
        state.next_no = event.no + 1
    if kind is StepKind.MAP or kind is StepKind.LOOP:
        step.fan = Fan(event.count)
    elif kind is StepKind.BLOCK:
        step.graph = Scope()
    if parent is not None and event.no != ROOT:
        _join_parent(parent, step)
    _enter(state, step, status, at_us)


def _path(parent: Step | None, event: ev.StepOpened) -> str:
    if parent is None or event.no == ROOT:
        return ""
    if parent.fan is not None:
        return f"{parent.path}[{event.name}]"
    return f"{parent.path}/{event.name}" if parent.path else event.name


def _join_parent(parent: Step, step: Step) -> None:
    if parent.fan is not None:
        fan = parent.fan
        fan.open += 1
        fan.cursor = step.index + 1
        while len(fan.outputs) < fan.cursor:
            fan.outputs.append(NULL)
    elif parent.graph is not None:
        parent.graph.open += 1
        if step.task >= 0:
            parent.graph.members[step.task] = step.no


def _enter(state: RunState, step: Step, status: StepStatus, at_us: int) -> None:
    """Do what being in `status` means, whichever way the step came there."""
    if step.fan is None and step.graph is None:
        state.tally[status] += 1
    if status is _RUNNING:
        step.attempts += 1
        step.started_us = step.started_us or at_us
    elif status is _QUEUED:
        heappush(state.queue, (step.priority, step.no))
    if step.wake_us:
        heappush(state.timers, (step.wake_us, step.no))
        if status is _RUNNING and step.kind is not StepKind.TASK:
            paused = state.status is RunStatus.PAUSED
            step.limit_us = step.wake_us - (state.paused_since_us if paused else at_us)


def _move(state: RunState, step: Step, new: StepStatus) -> None:
    check_step_move(step.status, new)
    if step.fan is None and step.graph is None:
        state.tally[step.status] -= 1
    step.status = new


def _step_moved(state: RunState, event: ev.StepMoved, at_us: int) -> None:
    step = state.steps[event.no]
    status = _STATUSES[event.status]
    if step.kind is StepKind.SIGNAL:
        _take_signal(state, step, status)
    _move(state, step, status)
    step.reason = event.reason
    step.wake_us = event.wake_us
    if event.output is not None:
        step.output = event.output
    _enter(state, step, status, at_us)


def _attempt_ended(state: RunState, event: ev.AttemptEnded, at_us: int) -> None:
    step = state.steps[event.no]
    step.error = event.error
    if event.outcome in _SPENDS_RETRY:
        step.failures += 1
    elif event.outcome in _SPENDS_RECOVERY:
        step.recoveries += 1
    status = StepStatus.RETRYING if event.wake_us else _QUEUED
    _move(state, step, status)
    step.wake_us = event.wake_us
    step.reason = ""
    _enter(state, step, status, at_us)


def _step_ended(state: RunState, event: ev.StepEnded, at_us: int) -> None:
    step = state.steps[event.no]
    status = _STATUSES[event.status]
    if step.kind is StepKind.SIGNAL:
        _take_signal(state, step, status)
    _move(state, step, status)
    step.ended_us = at_us
    step.wake_us = 0
    step.reason = event.reason
    step.output = event.output
    step.error = event.error
    if state.appeals:
        state.appeals.pop(event.no, None)
    if event.reason == PARKED:
        state.parked[event.no] = step.path
    _enter(state, step, status, at_us)
    if event.no == ROOT:
        return
    parent = state.steps[step.scope]
    if parent.fan is not None:
        _leave_fan(state, parent.fan, step)
    elif parent.graph is not None:
        parent.graph.open -= 1
    if state.is_code and step.scope == ROOT and status is not StepStatus.CANCELLED:
        state.ended.append(step.no)


def _leave_fan(state: RunState, fan: Fan, step: Step) -> None:
    fan.open -= 1
    if step.status is _COMPLETED:
        fan.done += 1
        fan.outputs[step.index] = step.output or NULL
        _count(state, step, fan.folded)
        _forget(state, step)
        return
    fan.kept.append(step.no)
    if step.status is StepStatus.FAILED:
        fan.failures += 1
    else:
        fan.done += 1
        fan.outputs[step.index] = step.output or NULL


def _forget(state: RunState, step: Step) -> None:
    """Drop a completed map item with all that is below it: its output is all that matters."""
    for child in state.children(step):
        _forget(state, child)
    del state.steps[step.no]
    state.paths.pop(step.path, None)
    if state.parked:
        state.parked.pop(step.no, None)


def _signal_received(state: RunState, event: ev.SignalReceived, at_us: int) -> None:
    state.signals.setdefault(event.name, []).append(event.payload)


def _take_signal(state: RunState, step: Step, new: StepStatus) -> None:
    """Remove the oldest signal of the name that `step` waits for, if it is given it now."""
    if step.status is not StepStatus.WAITING or new not in _GIVEN:
        return
    name = step.reason.removeprefix("signal:")
    waiting = state.signals.get(name, [])
    del waiting[:1]
    if not waiting:
        state.signals.pop(name, None)


_GIVEN: Final = frozenset({_COMPLETED, StepStatus.CHECKPOINT_PENDING})


def _approval_asked(state: RunState, event: ev.ApprovalAsked, at_us: int) -> None:
    state.approvals[event.no] = event.payload_hash
    if event.escalate_us or event.expires_us:
        _await_answer(state, event.no, event.escalate_us, event.expires_us)


def _await_answer(state: RunState, no: int, escalate_us: int, expires_us: int) -> None:
    state.deadlines[no] = (escalate_us, expires_us)
    step = state.steps[no]
    step.wake_us = min(filter(None, (escalate_us, expires_us)), default=0)
    if step.wake_us:
        heappush(state.timers, (step.wake_us, no))


def _approval_escalated(state: RunState, event: ev.ApprovalEscalated, at_us: int) -> None:
    _await_answer(state, event.no, 0, state.deadlines[event.no][1])


def _approval_decided(state: RunState, event: ev.ApprovalDecided, at_us: int) -> None:
    state.approvals.pop(event.no, None)
    if state.deadlines:
        state.deadlines.pop(event.no, None)
    step = state.steps[event.no]
    if step.reason in _ASKED_AGAIN and event.decision in _ALLOWS:
        # Whoever lets it run again gives it its time again: the wait was not its own.
        step.started_us = step.held_us = 0


_ASKED_AGAIN: Final = frozenset({"in_doubt", "budget"})
_ALLOWS: Final = frozenset({1, 3})
"""The decisions approve and edit."""


def _child_linked(state: RunState, event: ev.ChildLinked, at_us: int) -> None:
    state.steps[event.no].child_run = event.run_no


def _step_carried(state: RunState, event: ev.StepCarried, at_us: int) -> None:
    state.carried[event.path] = event.output


def _run_reopened(state: RunState, event: ev.RunReopened, at_us: int) -> None:
    """Take the named failed steps up again, with everything above them.

    What the failure cut short goes on as well: members that were skipped or cancelled because
    of it are forgotten, so that their graph considers them anew; cancelled map items run again;
    what had ended well stays as it is.
    """
    state.generation += 1
    if event.by and event.verb != "child" and event.by not in state.requesters:
        state.requesters.append(event.by)
    state.ended_us = state.running_us = 0
    state.output = state.error = None
    for no in event.anew:
        step = state.steps[no]
        parent = state.steps[step.scope]
        _reopen_container(state, parent, at_us)
        _forget_member(state, parent, step)
    for no in event.steps:
        step = state.steps[no]
        if event.verb == "retry" and _has_begun(step):
            # An item that ran out of time: what it has done stays done.
            _reopen_container(state, step, at_us)
        else:
            # A child run that was mended is still the one the step waits for.
            _requeue(state, step, at_us, keeps_child=event.verb == "child")
    below: dict[int, list[Step]] = {}
    for step in state.steps.values():
        if step.no != ROOT:
            below.setdefault(step.scope, []).append(step)
    _go_on(state, below, ROOT, at_us)


def _go_on(state: RunState, below: dict[int, list[Step]], no: int, at_us: int) -> None:
    """Take up again what was cut short below an open container."""
    parent = state.steps[no]
    for step in below.get(no, ()):
        has_begun = _has_begun(step)
        if step.status is StepStatus.CANCELLED and has_begun:
            _reopen_container(state, step, at_us)
        elif step.status is StepStatus.CANCELLED and _runs_again(state, parent, step):
            _requeue(state, step, at_us)
        elif step.status is StepStatus.CANCELLED or _is_consequence(step):
            _forget_member(state, parent, step)
        if step.status is _RUNNING and has_begun:
            _go_on(state, below, step.no, at_us)


def _has_begun(step: Step) -> bool:
    """Return whether a container has something below it."""
    if step.fan is not None:
        return step.fan.cursor > 0
    return step.graph is not None and bool(step.graph.members)


def _runs_again(state: RunState, parent: Step, step: Step) -> bool:
    """Return whether a cancelled step runs again in its place: nobody opens it a second time."""
    return parent.fan is not None or (state.is_code and step.kind is StepKind.TASK)


def _is_consequence(step: Step) -> bool:
    return step.status is StepStatus.SKIPPED and step.reason == "upstream"


def _requeue(state: RunState, step: Step, at_us: int, *, keeps_child: bool = False) -> None:
    _return_to_parent(state, step, at_us)
    _move(state, step, _QUEUED)
    step.failures = step.recoveries = step.started_us = step.ended_us = step.held_us = 0
    step.error = None
    step.reason = "retry"
    if state.parked:
        state.parked.pop(step.no, None)
    if step.child_run and not keeps_child:
        step.former.append(step.child_run)
        step.child_run = 0
    _enter(state, step, _QUEUED, at_us)


def _return_to_parent(state: RunState, step: Step, at_us: int) -> None:
    """Count an ended step as open again in its container, which is open again with it."""
    parent = state.steps[step.scope]
    _reopen_container(state, parent, at_us)
    if parent.graph is not None:
        parent.graph.open += 1
    elif parent.fan is not None:
        parent.fan.kept.remove(step.no)
        parent.fan.open += 1
        if step.status is StepStatus.FAILED:
            parent.fan.failures -= 1
        else:
            parent.fan.done -= 1
    if step.no in state.ended:
        state.ended.remove(step.no)


def _reopen_container(state: RunState, step: Step, at_us: int) -> None:
    if step.status is _RUNNING:
        return
    _return_to_parent(state, step, at_us)
    _move(state, step, _RUNNING)
    if step.limit_us:
        step.wake_us = at_us + step.limit_us
        heappush(state.timers, (step.wake_us, step.no))
    step.ended_us = 0
    step.reason = ""
    step.output = step.error = None


def _forget_member(state: RunState, parent: Step, step: Step) -> None:
    """Drop an ended step as if it had never been opened."""
    if parent.graph is not None:
        parent.graph.members.pop(step.task, None)
    _give_back(state, step)
    _uncount(state, step)
    _forget(state, step)


def _give_back(state: RunState, step: Step) -> None:
    """Return the signals that a forgotten step has taken: whoever sent one will not do so twice."""
    for child in reversed(state.children(step)):
        _give_back(state, child)
    name = step.reason.removeprefix("signal:")
    if step.kind is StepKind.SIGNAL and step.status is _COMPLETED and name != step.reason:
        state.signals.setdefault(name, []).insert(0, step.output or NULL)


def _uncount(state: RunState, step: Step) -> None:
    counts: dict[int, int] = {}
    _count(state, step, counts)
    for status, count in counts.items():
        state.tally[status] -= count


def _count(state: RunState, step: Step, counts: dict[int, int]) -> None:
    """Add to `counts` what a step and all that is or was below it count in the tally."""
    if step.fan is None and step.graph is None:
        status = int(step.status)
        counts[status] = counts.get(status, 0) + 1
        return
    for child in state.children(step):
        _count(state, child, counts)
    if step.fan is not None:
        for status, count in step.fan.folded.items():
            counts[status] = counts.get(status, 0) + count


def _step_reworked(state: RunState, event: ev.StepReworked, at_us: int) -> None:
    step = state.steps[event.no]
    parent = state.steps[step.scope]
    count, _ = state.feedback.get(step.path, (0, ""))
    state.feedback[step.path] = (count + 1, event.comment)
    if parent.graph is not None:
        parent.graph.open -= 1
    _forget_member(state, parent, step)


def _step_edited(state: RunState, event: ev.StepEdited, at_us: int) -> None:
    state.edits[event.path] = event.arguments


def _agents_replaced(state: RunState, event: ev.AgentsReplaced, at_us: int) -> None:
    state.stand_ins |= event.agents


def _letter_discarded(state: RunState, event: ev.LetterDiscarded, at_us: int) -> None:
    state.parked.pop(event.no, None)


def _run_steered(state: RunState, event: ev.RunSteered, at_us: int) -> None:
    """Keep who asked in the journal: what followed is in the records after it."""


def _budget_asked(state: RunState, event: ev.BudgetAsked, at_us: int) -> None:
    asked = Amounts(event.cost_nano, event.tokens, event.calls, event.time_us)
    state.appeals[event.no] = (event.account, asked)


def _budget_granted(state: RunState, event: ev.BudgetGranted, at_us: int) -> None:
    del state.appeals[event.no]


_APPLY: Final[dict[type, Callable[[RunState, Any, int], None]]] = {
    ev.RunStarted: _run_started,
    ev.RunMoved: _run_moved,
    ev.StepOpened: _step_opened,
    ev.StepMoved: _step_moved,
    ev.StepEnded: _step_ended,
    ev.AttemptEnded: _attempt_ended,
    ev.SignalReceived: _signal_received,
    ev.ApprovalAsked: _approval_asked,
    ev.ApprovalDecided: _approval_decided,
    ev.RunReopened: _run_reopened,
    ev.ChildLinked: _child_linked,
    ev.StepCarried: _step_carried,
    ev.BudgetAsked: _budget_asked,
    ev.BudgetGranted: _budget_granted,
    ev.ApprovalEscalated: _approval_escalated,
    ev.StepReworked: _step_reworked,
    ev.StepEdited: _step_edited,
    ev.AgentsReplaced: _agents_replaced,
    ev.LetterDiscarded: _letter_discarded,
    ev.RunSteered: _run_steered,
}
