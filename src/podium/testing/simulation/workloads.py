"""Random workloads: graphs, durable programs, and the runs that clients start of them.

Every output is a function of the definition and the input alone, whatever fails on the way; so
a run without faults tells what the same run must give with them.
"""

from random import Random
from typing import Any, Final

import msgspec

from podium.core.definition import (
    ApprovalPolicy,
    Checkpoint,
    ClosePolicy,
    Join,
    JoinKind,
    Loop,
    OnLost,
    Settings,
    Task,
    Timeouts,
    Tolerance,
    Workflow,
    WorkflowKind,
)
from podium.testing.simulation.bodies import CODE_TARGET, HANG_LIMIT_US, RETRY, WORK_TARGET

__all__ = ["Case", "Workload", "random_workload"]

Json = Any

CHILD: Final = "child"
RECOVERIES_MAX: Final = 20
PROGRAM: Final = Workflow(
    name="program", kind=WorkflowKind.CODE, entrypoint=CODE_TARGET, source_hash="1"
)


class Case(msgspec.Struct, kw_only=True):
    """One run that a client starts, and what the client will do with it."""

    key: str
    workflow: Workflow
    input: Json
    signals: list[tuple[str, int]] = []
    waits_for_ever: bool = False


class Workload(msgspec.Struct):
    """The runs of one simulation, and the workflows their children are of."""

    cases: list[Case]
    published: list[Workflow]


def random_workload(seed: int) -> Workload:
    """Return the workload of a seed: two to five runs of graphs and programs."""
    dice = Random(f"{seed}/workload")
    child = _Graphs(dice).workflow(CHILD, size=dice.randint(1, 2), is_child=True)
    cases: list[Case] = []
    for at in range(dice.randint(2, 5)):
        key = f"case{at}"
        maker = _program_case if dice.random() < 0.4 else _graph_case
        cases.append(maker(dice, key))
    # Dice of their own: what was found with a seed stays what that seed finds.
    policies = Random(f"{seed}/policies")
    for case in cases:
        case.workflow = _with_policies(case.workflow, policies)
    return Workload(cases, [child, PROGRAM])


def _with_policies(workflow: Workflow, dice: Random) -> Workflow:
    """Say for some tasks who may approve them, and what becomes of their children."""
    tasks = tuple(_with_policy(task, dice) for task in workflow.tasks)
    return msgspec.structs.replace(workflow, tasks=tasks)


def _with_policy(task: Task, dice: Random) -> Task:
    changes: dict[str, Json] = {}
    is_gate = task.checkpoint is not Checkpoint.NONE or task.uses == "approval"
    if is_gate and dice.random() < 0.5:
        policy = ApprovalPolicy(
            escalate_us=dice.choice([None, 300_000]),
            escalate_to="leads",
            four_eyes=dice.random() < 0.5,
        )
        changes["approval"] = policy
    if task.uses.startswith("workflow:") and dice.random() < 0.3:
        changes["close_policy"] = ClosePolicy.ABORT
    return msgspec.structs.replace(task, **changes)


def _graph_case(dice: Random, key: str) -> Case:
    graphs = _Graphs(dice)
    workflow = graphs.workflow(f"graph-{key}", size=dice.randint(2, 6))
    forever = dice.random() < 0.04
    signals = [] if forever else graphs.signals
    return Case(
        key=key,
        workflow=workflow,
        input={"x": dice.randint(0, 99)},
        signals=signals,
        waits_for_ever=forever and bool(graphs.signals),
    )


def _program_case(dice: Random, key: str) -> Case:
    programs = _Programs(dice)
    ops = programs.block(dice.randint(2, 6), depth=0)
    lives = 1 if dice.random() < 0.3 and not programs.signals else 0
    value = {"ops": ops, "key": key, "lives": lives}
    return Case(key=key, workflow=PROGRAM, input=value, signals=programs.signals)


def _spec(dice: Random) -> Json:
    """Return how a piece of work behaves."""
    spec: dict[str, Json] = {"takes": round(dice.choice([0.0, 0.05, 0.3, 1.2]) * dice.random(), 3)}
    kind = dice.random()
    if kind < 0.2:
        spec["flaky"] = dice.randint(1, 3)
    elif kind < 0.25:
        spec["hangs"] = 1
        spec["takes"] = round(spec["takes"] / 4, 3)
    elif kind < 0.29:
        spec["kills"] = dice.choice([1, 2, 99, 99])
    return spec


def _failure(dice: Random) -> Json:
    """Return how a piece of work fails for good: at once, or after all its retries."""
    return {"fails": True} if dice.random() < 0.5 else {"flaky": 99}


class _Programs:
    """Makes durable programs as data."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self._names = 0
        self.signals: list[tuple[str, int]] = []

    def block(self, size: int, *, depth: int) -> list[Json]:
        """Return `size` random operations; from the second level on, none that branches out."""
        return [self._op(depth) for _ in range(size)]

    def _op(self, depth: int) -> Json:
        dice = self._dice
        kinds = "work work work map gather sleep now signal approval child".split()
        kind = dice.choice(kinds if depth < 2 else kinds[:3])
        make = getattr(self, "_" + kind)
        return {"do": kind, **make(depth)}

    def _name(self, word: str) -> str:
        # Few names, so that steps of one name meet in different branches.
        self._names += 1
        return f"{word}{self._names % 3}"

    def _work(self, depth: int) -> Json:
        spec = _spec(self._dice)
        spec["kills"] = min(spec.get("kills", 0), 2)
        op: dict[str, Json] = {"name": self._name("step"), "spec": spec}
        kind = self._dice.random()
        if kind < 0.08:
            op["caught"] = True
            spec.update(_failure(self._dice))
        elif kind < 0.14:
            spec["fails_until"] = 1
        return op

    def _map(self, depth: int) -> Json:
        parallel = self._dice.choice([None, 1, 2])
        return {"name": self._name("each"), "count": self._dice.randint(0, 4), "parallel": parallel}

    def _gather(self, depth: int) -> Json:
        count = self._dice.randint(1, 3)
        sizes = [self._dice.randint(1, 3) for _ in range(count)]
        return {"branches": [self.block(size, depth=depth + 1) for size in sizes]}

    def _sleep(self, depth: int) -> Json:
        return {"seconds": self._dice.choice([0.0, 0.2, 2.0, 9.0])}

    def _now(self, depth: int) -> Json:
        return {}

    def _signal(self, depth: int) -> Json:
        name, value = f"sig{len(self.signals)}", self._dice.randint(0, 99)
        self.signals.append((name, value))
        return {"name": name}

    def _approval(self, depth: int) -> Json:
        return {"name": self._name("ask")}

    def _child(self, depth: int) -> Json:
        return {"workflow": CHILD, "input": {"x": self._dice.randint(0, 99)}}


class _Graphs:
    """Makes graphs."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self.signals: list[tuple[str, int]] = []
        self._may_wait = True

    def workflow(self, name: str, *, size: int, is_child: bool = False) -> Workflow:
        """Return a graph of `size` random tasks and one that collects their outputs."""
        self._may_wait = not is_child
        tasks = self._tasks(size, depth=0)
        limit = self._dice.choice([None, None, None, 1, 2])
        settings = Settings(
            retry=RETRY, max_parallel_steps=limit, fail_fast=self._dice.random() < 0.7
        )
        last = _collect(tasks)
        return Workflow(name=name, tasks=(*tasks, last), settings=settings, output=last.name)

    def _tasks(self, size: int, *, depth: int) -> list[Task]:
        tasks: list[Task] = []
        for at in range(size):
            tasks.append(self._task(f"t{at}" if not depth else f"b{depth}{at}", tasks, depth))
        return tasks

    def _task(self, name: str, before: list[Task], depth: int) -> Task:
        dice = self._dice
        kinds = "work work work work map block loop noop sleep signal approval child".split()
        if depth:
            kinds = "work work work loop noop".split() + ["block"] * (depth < 2)
        kind = dice.choice(kinds)
        if kind in {"signal", "approval", "child"} and not self._may_wait:
            kind = "work"
        task: Task = getattr(self, "_" + kind)(name, depth)
        return self._edges(task, before, depth)

    def _edges(self, task: Task, before: list[Task], depth: int) -> Task:
        """Add dependencies, a join, a condition, a gate, tolerance for failure."""
        dice = self._dice
        deps = sorted(
            {dice.choice(before).name for _ in range(dice.randint(0, 2))} if before else ()
        )
        is_poison = task.with_ is not None and task.with_.get("spec", {}).get("kills", 0) > 2
        recoveries = 2 if is_poison else RECOVERIES_MAX
        changes: dict[str, Json] = {"depends_on": tuple(deps), "max_recoveries": recoveries}
        if not is_poison and dice.random() < 0.06:
            changes["on_lost"] = OnLost.IN_DOUBT
        if len(deps) > 1:
            kind = dice.choice([JoinKind.ALL, JoinKind.ANY, JoinKind.ALL_DONE, JoinKind.AT_LEAST])
            changes["join"] = Join(kind=kind, count=1 if kind is JoinKind.AT_LEAST else 0)
        if dice.random() < 0.12:
            changes["when"] = dice.choice(["inputs.x > 50", "inputs.x >= 0"])
        if self._may_wait and not depth and dice.random() < 0.12:
            plain = task.uses.startswith("python:") and not (task.for_each or task.loop)
            gates = [Checkpoint.BEFORE, Checkpoint.AFTER] if plain else [Checkpoint.BEFORE]
            changes["checkpoint"] = dice.choice(gates)
        if dice.random() < 0.3:
            changes["optional"] = True
        return msgspec.structs.replace(task, **changes)

    def _work(self, name: str, depth: int) -> Task:
        spec = _spec(self._dice)
        kind = self._dice.random()
        if kind < 0.07:
            spec.update(_failure(self._dice))
        elif kind < 0.13:
            spec["fails_until"] = 1
        timeouts = Timeouts(attempt_us=HANG_LIMIT_US) if "hangs" in spec else Timeouts()
        arguments = {"label": name, "spec": spec, "take": "${{ inputs.x }}"}
        return Task(name=name, uses=f"python:{WORK_TARGET}", with_=arguments, timeouts=timeouts)

    def _map(self, name: str, depth: int) -> Task:
        dice = self._dice
        items = [f"i{at}" for at in range(dice.randint(0, 5))]
        inner = self._block(name, depth) if dice.random() < 0.4 else self._work(name, depth)
        changes: dict[str, Json] = {"for_each": items, "max_parallel": dice.choice([None, 1, 2])}
        if inner.with_ is not None:
            changes["with_"] = {**inner.with_, "take": "${{ item }}"}
        if dice.random() < 0.3:
            changes["tolerate"] = Tolerance(failures=dice.randint(0, 5))
        return msgspec.structs.replace(inner, **changes)

    def _block(self, name: str, depth: int) -> Task:
        tasks = self._tasks(self._dice.randint(1, 3), depth=depth + 1)
        return Task(name=name, tasks=tuple(tasks))

    def _loop(self, name: str, depth: int) -> Task:
        count = self._dice.randint(0, 2)
        delay = self._dice.choice([0, 0, 300_000])
        loop = Loop(until=f"iteration >= {count}", delay_us=delay)
        task = self._work(name, depth)
        take = {"take": "${{ iteration }}"}
        return msgspec.structs.replace(task, loop=loop, with_={**task.with_, **take})

    def _noop(self, name: str, depth: int) -> Task:
        return Task(name=name, with_={"x": "${{ inputs.x }}"})

    def _sleep(self, name: str, depth: int) -> Task:
        return Task(name=name, uses="sleep", with_={"duration": self._dice.choice([0, 1, 8])})

    def _signal(self, name: str, depth: int) -> Task:
        signal = f"sig-{name}"
        self.signals.append((signal, self._dice.randint(0, 99)))
        return Task(name=name, uses="signal", with_={"name": signal})

    def _approval(self, name: str, depth: int) -> Task:
        return Task(name=name, uses="approval", with_={"prompt": "Go on?", "payload": name})

    def _child(self, name: str, depth: int) -> Task:
        arguments = {"x": "${{ inputs.x }}"}
        return Task(name=name, uses=f"workflow:{CHILD}", with_=arguments)


def _collect(tasks: list[Task]) -> Task:
    """Return the task whose output says how all others ended."""
    views = {task.name: _view(task) for task in tasks}
    names = tuple(task.name for task in tasks)
    join = Join(kind=JoinKind.ALL_DONE)
    return Task(name="collect", with_=views, depends_on=names, join=join)


def _view(task: Task) -> Json:
    view = {"status": f"${{{{ tasks.{task.name}.status }}}}"}
    if task.uses not in {"approval", "signal"}:
        view["output"] = f"${{{{ tasks.{task.name}.output }}}}"
    return view
