"""What follows from a durable turn: attempts to start and stop, mail to carry, child runs.

Nothing here is durable by itself. Every deed can be found again in the journal: attempts shown
as running, mail in inboxes, child steps without a run; so a crash between a commit and its
deeds repeats deeds, never loses them.
"""

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from hashlib import sha256
from typing import Any, Protocol

from podium.core.agents import AGENT_WORKFLOW
from podium.core.budgets import OnLimit
from podium.core.children import child_of
from podium.core.ids import run_id
from podium.core.messages import ChildEnded, ChildStarted, Mail, Wake
from podium.core.payload import encode_error
from podium.core.state import Step
from podium.core.states import RunStatus, StepStatus
from podium.core.turn import ChildAsked, Turn
from podium.errors import PodiumError, RequestError, StoreError
from podium.ports.store import RunRow, Store
from podium.runtime.actor import Actor
from podium.runtime.attempts import Attempt, AttemptContext, Attempts
from podium.runtime.code import Invocation
from podium.runtime.failures import record_of
from podium.runtime.options import EngineOptions, StartRequest
from podium.runtime.purses import Purses
from podium.runtime.registry import Registry
from podium.runtime.services import FOLDER_LABEL

__all__ = ["Deeds", "Office"]


class Office(Protocol):
    """What deeds need of the engine around them."""

    async def start(self, request: StartRequest) -> RunRow:
        """Start a run."""

    async def send(self, run_no: int, mail: Mail, message_id: str) -> None:
        """Post mail durably and hand it over if the run lives here."""

    async def deliver(self, run_no: int, mail: Mail, message_id: str) -> None:
        """Hand over mail that is already in the inbox."""

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run follow-up work in the background."""


class Deeds:
    """See the module docstring."""

    def __init__(
        self,
        *,
        office: Office,
        attempts: Attempts,
        purses: Purses,
        registry: Registry,
        store: Store,
        options: EngineOptions,
        free_room: Callable[[], None],
    ) -> None:
        self._office = office
        self._attempts = attempts
        self._purses = purses
        self._registry = registry
        self._store = store
        self._options = options
        self._free_room = free_room

    def act(self, actor: Actor, turn: Turn) -> None:
        """Do what `turn` decided, now that it is durable."""
        state = actor.state
        self._move_attempts(actor, turn)
        for asked in turn.children:
            self._office.spawn(self._start_child(actor, asked), "child")
        for at, (run_no, mail) in enumerate(turn.posts):
            message_id = f"{state.run_no}.{state.seq}.{at}"
            self._office.spawn(self._office.deliver(run_no, mail, message_id), "mail")
        if turn.unfinished:
            actor.receive(Wake())

    def _move_attempts(self, actor: Actor, turn: Turn) -> None:
        steps = actor.state.steps
        for number in turn.starts:
            step = steps.get(number)
            if step is not None and step.status is StepStatus.RUNNING:
                self._start_attempt(actor, step)
            else:
                # Started and cut off within the same turn: its place was never used.
                self._free_room()
        # After the starts: an attempt may be asked to stop in the turn that started it.
        for number, attempt in turn.stops:
            self._attempts.stop(actor.run_no, number, attempt)

    def repeat(self, actor: Actor) -> None:
        """Do again what a crash may have cut off: start the child runs that have no link."""
        for step in actor.state.steps.values():
            waits = step.status is StepStatus.WAITING and step.reason == "child"
            if waits and not step.child_run:
                asked = self._asked_again(actor, step)
                self._office.spawn(self._start_child(actor, asked), "child")

    def _asked_again(self, actor: Actor, step: Step) -> ChildAsked:
        return child_of(Turn(actor.state, actor.facts, 0), step)

    def _work_of(self, actor: Actor, step: Step, verify: str) -> Callable[[], Invocation]:
        work = partial(actor.invocation, step, self._registry.resolve)
        return partial(self._registry.verified, work, verify) if verify else work

    def _start_attempt(self, actor: Actor, step: Step) -> None:
        state, number = actor.state, step.attempts
        task = actor.facts.task_of(step)
        timeouts = task.timeouts
        purse = self._purses.purse(state, step, task)
        run_no, step_no = state.run_no, step.no
        rework, comment = state.rework_of(step)
        context = AttemptContext(
            actor.id,
            step.path,
            number,
            state.generation,
            (actor.home_epoch << 20) + (rework << 11) + number,
            partial(self._attempts.beat, run_no, step_no, number),
            actor.effect_key(step),
            services=self._registry.services,
            folder=state.labels.get(FOLDER_LABEL, ""),
            purse=purse,
            organization=state.organization,
            store=self._store.uid,
            rework=rework,
            feedback=comment,
        )
        self._attempts.start(
            Attempt(
                run_no,
                step_no,
                number,
                self._work_of(actor, step, task.verify if number > 1 else ""),
                context,
                timeouts.attempt_us,
                timeouts.heartbeat_us,
                purse,
            )
        )

    async def _start_child(self, actor: Actor, asked: ChildAsked) -> None:
        """Start a child run. Its key makes a repeat after a crash find the first one."""
        state = actor.state
        tag = f"{run_id(state.run_no)}.{asked.step_no}.{state.generation}"
        news: Mail
        try:
            row = await self._office.start(await self._child_request(actor, asked, tag))
        except StoreError:
            raise
        except PodiumError as error:
            news = ChildEnded(
                by="child",
                step_no=asked.step_no,
                run_no=0,
                status=RunStatus.FAILED,
                error=encode_error(record_of(error)),
            )
            await self._office.send(state.run_no, news, f"child-refused.{tag}")
        else:
            news = ChildStarted(by="child", step_no=asked.step_no, run_no=row.run_no)
            await self._office.send(state.run_no, news, f"child-started.{tag}")

    async def _child_request(self, actor: Actor, asked: ChildAsked, tag: str) -> StartRequest:
        state = actor.state
        lineage = (*state.lineage, state.workflow)
        if state.depth + 1 > self._options.child_depth_max:
            raise _too_deep(self._options.child_depth_max, lineage)
        name, _, version = asked.workflow.partition("@")
        plan = await self._registry.named(name, version, organization=state.organization)
        if name in lineage and not plan.is_code:
            raise _circular(lineage, name)
        task = actor.facts.task_of(state.steps[asked.step_no])
        return StartRequest(
            plan=plan,
            input=actor.facts.plan.offload(asked.input),
            organization=state.organization,
            # With the generation: a retried step starts a new child, a repeated deed the same.
            idempotency_key=f"child:{tag}",
            request_hash=sha256(asked.input).hexdigest(),
            priority=state.priority,
            labels=state.labels,
            parent_run=state.run_no,
            parent_step=asked.step_no,
            depth=state.depth + 1,
            pots=state.pots,
            requesters=tuple(state.requesters),
            lineage=lineage,
            budget=task.budget,
            on_limit=OnLimit.PARTIAL if plan.workflow.name == AGENT_WORKFLOW else OnLimit.DENY,
        )

    async def start_next_life(self, actor: Actor, value: bytes) -> None:
        """Start the next life of a durable function; a repeat finds the first one."""
        state = actor.state
        row = await self._office.start(
            StartRequest(
                plan=actor.facts.plan,
                input=value,
                organization=state.organization,
                idempotency_key=f"continue:{run_id(state.run_no)}",
                priority=state.priority,
                labels=state.labels,
                parent_run=state.parent_run,
                parent_step=state.parent_step,
                depth=state.depth,
                pots=state.pots,
                requesters=tuple(state.requesters),
                lineage=tuple(state.lineage),
                forked_from=state.run_no,
            )
        )
        if state.parent_run:
            news = ChildStarted(by="child", step_no=state.parent_step, run_no=row.run_no)
            await self._office.send(state.parent_run, news, f"child-continued.{row.run_no}")


def _circular(lineage: Sequence[str], name: str) -> PodiumError:
    """Return the refusal of a graph that would run inside of itself.

    A durable function can tell when to stop; a graph starts the same children every time.
    """
    cycle = " → ".join([*lineage[lineage.index(name) :], name])
    return RequestError(
        f"The workflow {name!r} would run inside of itself: {cycle}.",
        why="A graph starts the same child runs every time, so it would never end.",
        fix="Take one workflow out of the circle; to repeat work, use `loop` or `for_each`.",
        code="PDM-R031",
    )


def _too_deep(limit: int, lineage: Sequence[str]) -> PodiumError:
    return RequestError(
        f"The child run would be more than {limit} levels deep.",
        why=f"It would come below {' → '.join(lineage)}. Child runs that start child runs without "
        "end are most often a mistake.",
        fix="Use a loop or podium.continue_as_new instead of recursion.",
        code="PDM-R030",
    )
