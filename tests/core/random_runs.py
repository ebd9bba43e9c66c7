"""Random workflows, and random things that happen to their runs, drawn by Hypothesis."""

from typing import Any

from driven import NOON_US, Driven, block, task
from hypothesis import strategies as st

from podium.core import messages as m
from podium.core.definition import (
    Checkpoint,
    Join,
    JoinKind,
    Loop,
    OnLost,
    RetryPolicy,
    RetryRule,
    Settings,
    Task,
    Timeouts,
    Tolerance,
    Workflow,
)
from podium.core.payload import ErrorRecord, pack_value
from podium.core.state import Step
from podium.core.states import AttemptOutcome, RunStatus, StepKind, StepStatus

LEAVES = (
    *[("python:m:f", None)] * 5,
    ("noop", {"x": "${{ inputs }}"}),
    ("sleep", {"duration": 5}),
    ("signal", {"name": "go"}),
    ("signal", {"name": "go", "timeout": 7}),
    ("approval", {"payload": 1, "expires_in": 9}),
    ("approval", {"payload": 2}),
    ("workflow:other", {"y": 1}),
)
DURATIONS = st.sampled_from([None, None, 3_000_000, 8_000_000])


@st.composite
def retries(draw: st.DrawFn) -> RetryPolicy | None:
    if draw(st.booleans()):
        return None
    rules = (RetryRule(error="Http*", max_retries=4), RetryRule(error="Key*", max_retries=0))
    return RetryPolicy(
        max_retries=draw(st.integers(0, 2)),
        delay_initial_us=draw(st.sampled_from([0, 1_000_000, 2_000_000])),
        exponential=draw(st.booleans()),
        delay_max_us=5_000_000,
        jitter=draw(st.booleans()),
        rules=draw(st.sampled_from([(), rules])),
    )


@st.composite
def joins(draw: st.DrawFn, needs: int) -> Join:
    kind = draw(st.sampled_from([JoinKind.ALL, *JoinKind]))
    if kind is JoinKind.AT_LEAST and needs:
        return Join(kind=kind, count=draw(st.integers(1, needs)))
    return Join() if kind is JoinKind.AT_LEAST else Join(kind=kind)


@st.composite
def tasks(draw: st.DrawFn, name: str, before: list[str], depth: int) -> Task:
    needs = draw(st.lists(st.sampled_from(before), max_size=3, unique=True)) if before else []
    options: dict[str, Any] = {
        "needs": " ".join(needs),
        "join": draw(joins(len(needs))),
        "when": draw(st.sampled_from([None, None, None, "true", "false"])),
        "optional": draw(st.sampled_from([False, False, True])),
        "checkpoint": draw(st.sampled_from([*[Checkpoint.NONE] * 4, *Checkpoint])),
        "priority": draw(st.sampled_from([0, 50, 50, 75])),
        "retry": draw(retries()),
        "on_lost": draw(st.sampled_from(OnLost)),
        "max_recoveries": draw(st.integers(0, 2)),
    }
    shape = draw(st.sampled_from(["plain", "plain", "map", "loop"]))
    if shape == "map":
        options["for_each"] = draw(st.sampled_from([[], ["a"], ["a", "b", "c"], list(range(7))]))
        options["max_parallel"] = draw(st.sampled_from([None, None, 1, 2]))
        options["tolerate"] = draw(
            st.sampled_from([None, Tolerance(failures=1), Tolerance(percent=50.0)])
        )
    elif shape == "loop":
        delay = draw(st.sampled_from([0, 2_000_000]))
        until = draw(st.sampled_from(["iteration >= 1", "false"]))
        options["loop"] = Loop(until=until, max_iterations=3, delay_us=delay)
    if depth and draw(st.integers(0, 3)) == 0:
        inner = draw(graphs(depth - 1, most=3))
        options["output"] = draw(st.sampled_from([None, inner[-1].name]))
        options["timeouts"] = Timeouts(total_us=draw(DURATIONS))
        return block(name, *inner, **options)
    uses, given = draw(st.sampled_from(LEAVES))
    if uses.startswith("workflow") or shape == "loop":
        options["timeouts"] = Timeouts(total_us=draw(DURATIONS))
    if uses.startswith("python"):
        options["timeouts"] = Timeouts(queue_us=draw(DURATIONS), total_us=draw(DURATIONS))
    return task(name, uses, with_=given, **options)


@st.composite
def graphs(draw: st.DrawFn, depth: int, most: int) -> list[Task]:
    names = ["a", "b", "c", "d", "e"][: draw(st.integers(1, most))]
    return [draw(tasks(name, names[:at], depth)) for at, name in enumerate(names)]


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    settings = Settings(
        fail_fast=draw(st.booleans()),
        max_parallel_steps=draw(st.sampled_from([None, None, 1, 3])),
        timeout_us=draw(st.sampled_from([None, None, 20_000_000])),
        deadline_us=draw(st.sampled_from([None, None, None, 60_000_000])),
    )
    return Workflow(name="w", tasks=tuple(draw(graphs(2, most=4))), settings=settings)


OUTCOMES = (
    *[AttemptOutcome.SUCCEEDED] * 5,
    *[AttemptOutcome.FAILED] * 3,
    AttemptOutcome.TIMED_OUT,
    AttemptOutcome.CRASHED,
    AttemptOutcome.PREEMPTED,
)
KINDS = ("ValueError", "HttpError", "KeyError")


def happen(run: Driven, data: st.DataObject) -> None:
    """Let one random thing happen to `run`."""
    choices = ["attempt"] * 6 + ["time", "time", "verb", "people", "people", "reload"]
    what = data.draw(st.sampled_from(choices))
    if what == "attempt" and run.live:
        end_attempt(run, data)
    elif what == "time":
        run.pass_time(data.draw(st.sampled_from([0.0, 0.5, 2.0, 10.0])))
    elif what == "verb":
        run.tell(data.draw(verbs(run)))
    elif what == "people":
        answer(run, data)
    elif what == "reload" and data.draw(st.integers(0, 2)) == 0:
        run.reload()


def end_attempt(run: Driven, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(run.live.values())))
    key = next(key for key, at in run.live.items() if at == path)
    outcome = data.draw(st.sampled_from(OUTCOMES))
    if key in run.stopping and data.draw(st.booleans()):
        outcome = AttemptOutcome.CANCELLED
    error = None
    if outcome is not AttemptOutcome.SUCCEEDED:
        error = ErrorRecord(
            code="PDM-T001",
            kind=data.draw(st.sampled_from(KINDS)),
            message="no",
            step=path,
            retryable=data.draw(st.integers(0, 4)) > 0,
        )
    dice = data.draw(st.sampled_from([0.0, 0.5, 0.999]))
    run.end(path, {"n": 1}, outcome=outcome, error=error, dice=dice)


@st.composite
def verbs(draw: st.DrawFn, run: Driven) -> m.Message:
    failed = [s.path for s in run.state.steps.values() if s.status is StepStatus.FAILED and s.path]
    if run.state.status is RunStatus.FAILED:
        path = draw(st.sampled_from(["", "", *failed]))
        return draw(
            st.sampled_from(
                [m.Retry(step=path), m.Retry(), m.Skip(step=path, output=pack_value(7))]
            )
        )
    if run.state.status is RunStatus.PAUSED and draw(st.booleans()):
        return m.Resume()
    rare = [m.Cancel(), m.Abort()] if draw(st.integers(0, 5)) == 0 else []
    signal = m.Signal(name="go", payload=pack_value(1))
    return draw(st.sampled_from([m.Pause(), m.Resume(), m.Retry(), m.Skip(), signal, *rare]))


def answer(run: Driven, data: st.DataObject) -> None:
    """Let a person or a child run answer somebody who waits for it, now or no more."""
    asked = sorted(run.state.approvals)
    if asked and data.draw(st.booleans()):
        choice = data.draw(st.sampled_from(["approve", "approve", "reject", "edit"]))
        payload = pack_value({"edited": 1}) if choice == "edit" else None
        no = data.draw(st.sampled_from(asked))
        run.tell(m.Decide(step_no=no, decision=choice, payload=payload))
    elif run.children:
        no = data.draw(st.sampled_from(run.children))
        if data.draw(st.booleans()):
            run.tell(m.ChildStarted(step_no=no, run_no=100 + no))
        status = data.draw(st.sampled_from([RunStatus.COMPLETED] * 2 + list(CLOSED)))
        run.tell(m.ChildEnded(step_no=no, run_no=100 + no, status=status, output=pack_value(3)))


CLOSED = (RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.ABORTED)


def finish(run: Driven) -> None:
    """Let everything go well from now on, until the run is closed."""
    run.tell(m.Resume())
    for _ in range(1000):
        if not run.state.status.is_open:
            return
        if run.live:
            run.end(next(iter(run.live.values())), 1)
        elif run.state.approvals:
            run.tell(m.Decide(step_no=min(run.state.approvals), decision="approve"))
        elif (step := waiting(run)) is not None and step.kind is StepKind.CHILD:
            end = m.ChildEnded(step_no=step.no, run_no=9, status=RunStatus.COMPLETED)
            assert run.tell(end) is None
        elif step is not None:
            run.tell(m.Signal(name=step.reason.partition(":")[2], payload=pack_value(None)))
        else:
            run.pass_time(11)
    raise AssertionError(f"the run does not end: {run.run_status} at {run.now_us - NOON_US}")


def waiting(run: Driven) -> Step | None:
    """Return a step that waits for a message."""
    reasons = ("child", "signal")
    for step in run.state.steps.values():
        if step.status is StepStatus.WAITING and step.reason.startswith(reasons):
            return step
    return None
