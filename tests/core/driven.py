"""A run without an engine: messages in, events out, and every invariant checked on the way."""

from collections import Counter
from typing import Any

import msgspec

from podium.adapters.expressions.cel import CelExpressions
from podium.core import events as ev
from podium.core import messages as m
from podium.core.clockwork import next_wake_us
from podium.core.decide import begin_run, conclude, decide
from podium.core.definition import Join, JoinKind, Settings, Task, Workflow
from podium.core.evolve import fold
from podium.core.payload import ErrorRecord, decode_error, encode_error, pack_value
from podium.core.plan import Plan, compile_plan
from podium.core.state import ROOT, RunState, Step
from podium.core.states import AttemptOutcome, RunStatus, StepStatus
from podium.core.turn import Facts, Turn

NOON_US = 1_763_726_400_000_000
SECOND_US = 1_000_000
EXPRESSIONS = CelExpressions()
OPEN = [status for status in StepStatus if status.is_open]


def task(name: str, uses: str = "python:m:f", **options: Any) -> Task:
    if "needs" in options:
        options["depends_on"] = tuple(options.pop("needs").split())
    if isinstance(options.get("join"), str):
        options["join"] = Join(kind=JoinKind(options["join"]))
    return Task(name=name, uses=uses, **options)


def block(name: str, *tasks: Task, **options: Any) -> Task:
    return task(name, "noop", tasks=tasks, **options)


def workflow(*tasks: Task, output: str | None = None, **settings: Any) -> Workflow:
    return Workflow(name="w", tasks=tasks, output=output, settings=Settings(**settings))


def plan_of(definition: Workflow) -> Plan:
    return compile_plan(definition, expressions=EXPRESSIONS, decode=msgspec.msgpack.decode)


class Driven:
    """One run; `room` is what its node has for attempts."""

    def __init__(self, definition: Workflow, *, value: Any = None, room: int = 1000) -> None:
        self.plan = plan_of(definition)
        self.value = value
        self.room = room
        self.now_us = NOON_US
        self.bodies: list[bytes] = []
        self.events: list[ev.Event] = []
        self.live: dict[tuple[int, int], str] = {}
        self.stopping: set[tuple[int, int]] = set()
        self.posts: list[tuple[int, m.Mail]] = []
        self.children: list[int] = []
        self.started: list[str] = []
        """Paths in the order in which their attempts started."""
        self.last: Turn | None = None
        self.state = RunState(1)
        self.facts = Facts(self.plan, inputs=value)
        turn = self.turn()
        turn.emit(ev.RunStarted("w", self.plan.def_hash, pack_value(value), "o", 50))
        begin_run(turn)
        self.commit(turn)

    # -- driving -------------------------------------------------------------------------------

    def turn(self) -> Turn:
        return Turn(self.state, self.facts, self.now_us, self.room - len(self.live))

    def tell(self, message: m.Message) -> str | None:
        turn = self.turn()
        refusal = decide(turn, message)
        self.commit(turn)
        return refusal

    def commit(self, turn: Turn) -> None:
        conclude(turn)
        self.last = turn
        self.check_turn(turn)
        if turn.events:
            self.bodies.append(ev.pack(self.now_us, turn.events))
            self.events += turn.events
        steps = self.state.steps
        self.stopping |= set(turn.stops)
        for no in turn.starts:
            if no in steps and steps[no].status is StepStatus.RUNNING:
                self.live[no, steps[no].attempts] = steps[no].path
                self.started.append(steps[no].path)
        self.posts += turn.posts
        self.children += [asked.step_no for asked in turn.children]
        if turn.unfinished or (turn.wants_room and len(self.live) < self.room):
            self.tell(m.Wake())

    def step(self, path: str) -> Step:
        return self.state.steps[self.state.paths[path]]

    def status(self, path: str) -> str:
        return self.step(path).status.label

    @property
    def run_status(self) -> str:
        return self.state.status.label

    @property
    def error(self) -> ErrorRecord:
        assert self.state.error is not None
        return decode_error(self.state.error)

    def end(
        self,
        path: str,
        output: Any = None,
        *,
        outcome: AttemptOutcome = AttemptOutcome.SUCCEEDED,
        error: ErrorRecord | None = None,
        dice: float = 0.0,
    ) -> str | None:
        """End the live attempt at `path`."""
        key = next(key for key, at in self.live.items() if at == path)
        del self.live[key]
        body = None if error is None else encode_error(error)
        self.stopping.discard(key)
        done = m.AttemptDone(*key, outcome, pack_value(output), body, dice)
        if outcome is not AttemptOutcome.SUCCEEDED:
            done = m.AttemptDone(*key, outcome, None, body, dice)
        # The attempt's room comes back with its message.
        turn = Turn(self.state, self.facts, self.now_us, self.room - len(self.live) - 1)
        refusal = decide(turn, done)
        self.commit(turn)
        return refusal

    def fail(self, path: str, kind: str = "ValueError", **options: Any) -> str | None:
        """Fail the attempt at `path`, for good unless `retryable=True`."""
        options = {"retryable": False} | options
        record = ErrorRecord(code="PDM-T001", kind=kind, message="no", step=path, **options)
        return self.end(path, outcome=AttemptOutcome.FAILED, error=record)

    def end_all(self, output: Any = None) -> None:
        """End every live attempt, and those that follow, with success."""
        while self.live:
            self.end(next(iter(self.live.values())), output)

    def pass_time(self, seconds: float) -> None:
        self.now_us += round(seconds * SECOND_US)
        self.tell(m.Wake())

    def decide(self, path: str, decision: str, **options: Any) -> str | None:
        return self.tell(m.Decide(step_no=self.step(path).no, decision=decision, **options))

    def reload(self, *, lost: bool = True) -> None:
        """Move the run to a new home: fold the journal, lose what ran."""
        self.state = self.folded()
        self.facts = Facts(self.plan, inputs=self.value)
        self.live.clear()
        self.stopping.clear()
        if lost:
            self.tell(m.Interrupted())

    def folded(self) -> RunState:
        return fold(RunState(1), self.bodies)

    # -- invariants ----------------------------------------------------------------------------

    def check_turn(self, turn: Turn) -> None:
        """Check what only the events of a turn show: joins, and the delay of each retry."""
        for event in turn.events:
            step = self.state.steps.get(getattr(event, "no", -1))
            if step is None or step.task < 0:
                continue
            if isinstance(event, ev.StepOpened):
                self.check_join(step)
            elif isinstance(event, ev.AttemptEnded) and event.wake_us:
                delay = event.wake_us - self.now_us
                error = decode_error(event.error) if event.error else None
                policy = self.plan.tasks[step.task].retry
                assert 0 < delay <= max(policy.delay_max_us, 1)
                assert error is None or error.retryable
                assert step.failures <= max(policy.max_retries, 4 if policy.rules else 0)

    def check_join(self, step: Step) -> None:
        parent = self.state.steps[step.scope]
        if parent.graph is None or step.reason in {"upstream", "carried"}:
            return
        planned = self.plan.tasks[step.task]
        numbers = [parent.graph.members.get(dep) for dep in planned.deps]
        deps = [self.state.steps[no] for no in numbers if no is not None]
        good = sum(has_worked(each, self.plan) for each in deps)
        join = planned.task.join
        if join.kind is JoinKind.ALL_DONE:
            assert len(deps) == len(planned.deps)
        else:
            needed = {JoinKind.ALL: len(planned.deps), JoinKind.ANY: 1}.get(join.kind, join.count)
            assert good >= min(needed, len(planned.deps))

    def check(self) -> None:
        self.check_fold()
        self.check_shape()
        self.check_rest()

    def check_fold(self) -> None:
        assert self.state.seq == len(self.events)
        assert image(self.folded()) == image(self.state)
        snapshot = msgspec.msgpack.decode(msgspec.msgpack.encode(self.state), type=RunState)
        assert image(snapshot) == image(self.state)

    def check_shape(self) -> None:
        state = self.state
        leaves = [s for s in state.steps.values() if s.fan is None and s.graph is None]
        count = Counter(step.status for step in leaves)
        assert [state.tally[status] for status in OPEN] == [count[status] for status in OPEN]
        assert all(
            tally >= count[status] for status, tally in zip(StepStatus, state.tally, strict=True)
        )
        assert {step.path: no for no, step in state.steps.items()} == state.paths
        for step in state.steps.values():
            self.check_container(step)

    def check_container(self, step: Step) -> None:
        steps = self.state.steps
        if step.graph is not None:
            members = [steps[no] for no in step.graph.members.values()]
            assert step.graph.open == sum(each.status.is_open for each in members)
        elif step.fan is not None:
            below = [s for s in steps.values() if s.scope == step.no and s.no != ROOT]
            kept = [steps[no] for no in step.fan.kept]
            assert step.fan.open == sum(s.status.is_open for s in below)
            assert step.fan.failures == sum(s.status is StepStatus.FAILED for s in kept)
            assert not any(s.status.is_open for s in kept)

    def check_rest(self) -> None:
        """A closed run has nothing open; an open one has something that will move it."""
        state = self.state
        steps = [step for step in state.steps.values() if step.no != ROOT]
        if not state.status.is_open:
            assert not [step.path for step in steps if step.status.is_open]
            assert not state.approvals
            assert next_wake_us(state, self.plan.workflow.settings) is None
            return
        assert set(state.approvals) == {step.no for step in steps if asks(step)}
        tally = state.tally
        waits = [step for step in steps if is_blocked(step)]
        busy = tally[StepStatus.RUNNING] + tally[StepStatus.RETRYING]
        starved = tally[StepStatus.QUEUED] and len(self.live) >= self.room
        hungry = bool(self.facts.hungry) and len(self.live) >= self.room
        assert busy or starved or hungry or waits or state.status is RunStatus.PAUSED
        for step in steps:
            assert not step.wake_us or (step.wake_us, step.no) in state.timers


def has_worked(step: Step, plan: Plan) -> bool:
    if step.status is StepStatus.SKIPPED:
        return step.reason == "operator"
    if step.status is StepStatus.FAILED:
        return plan.tasks[step.task].task.optional
    return step.status is StepStatus.COMPLETED


def asks(step: Step) -> bool:
    if step.status is StepStatus.CHECKPOINT_PENDING:
        return True
    return step.status is StepStatus.WAITING and step.reason in {"checkpoint", "in_doubt"}


def is_blocked(step: Step) -> bool:
    if step.status is StepStatus.CHECKPOINT_PENDING:
        return True
    return step.status is StepStatus.WAITING and bool(step.reason or step.wake_us)


def image(state: RunState) -> bytes:
    """Return the state as bytes, without the stale entries that heaps keep for a while."""
    steps = state.steps
    queued = [no for no, step in steps.items() if step.status is StepStatus.QUEUED]
    queue = {(p, no) for p, no in state.queue if no in queued}
    timers = {(due, no) for due, no in state.timers if no in steps and steps[no].wake_us == due}
    plain = msgspec.structs.replace(state, queue=sorted(queue), timers=sorted(timers))
    return msgspec.msgpack.encode(plain)
