"""The engine of one node: its public verbs, and what holds its parts together.

The parts: `pump` commits ticks, `deeds` act on them, `homes` decides which runs live here,
`attempts` runs user code. This module starts runs, tells them things, waits for them, and
passes the outcome of each tick on.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

from podium.core.ids import slot_of
from podium.core.messages import AttemptDone, Continue, Mail, encode_mail
from podium.core.states import RunStatus, StepStatus
from podium.core.turn import Facts, Turn
from podium.errors import PodiumError, StoreError
from podium.ports.store import (
    MessageRow,
    NodeRow,
    OutcomeRow,
    Refusal,
    RefusalKind,
    RunRow,
    RunWrite,
    Store,
)
from podium.runtime.actor import Actor
from podium.runtime.answers import accepted, unknown_run
from podium.runtime.attempts import Attempts
from podium.runtime.audience import Audience
from podium.runtime.capture import begin_capture, end_capture
from podium.runtime.deeds import Deeds
from podium.runtime.failures import record_of, undecidable
from podium.runtime.homes import Homes
from podium.runtime.numbers import RunNumbers
from podium.runtime.options import EngineOptions, StartRequest
from podium.runtime.payloads import Payloads
from podium.runtime.pump import Pump
from podium.runtime.purses import Purses
from podium.runtime.refused import refused_start
from podium.runtime.registry import Registry
from podium.runtime.scheduler import Scheduler
from podium.runtime.waiters import Listener, Observer, Waiters

__all__ = ["Chore", "Engine"]

log = logging.getLogger("podium.engine")

R = TypeVar("R")
Chore = Callable[[], Coroutine[Any, Any, None]]
"""Work for ever in the background of an engine, beside its own."""
NO_CHORES: Final[Mapping[str, Chore]] = MappingProxyType({})


class Engine:
    """See the module docstring. All methods are called on the event loop thread."""

    def __init__(
        self,
        *,
        store: Store,
        payloads: Payloads,
        registry: Registry,
        dice: Callable[[], float],
        boot_id: str,
        options: EngineOptions | None = None,
        chores: Mapping[str, Chore] = NO_CHORES,
    ) -> None:
        self.store = store
        self._chores = chores
        self.payloads = payloads
        self.registry = registry
        self.options = options or EngineOptions()
        self.node: NodeRow | None = None
        self.failure: PodiumError | None = None
        self._boot_id = boot_id
        self._actors: dict[int, Actor] = {}
        self._waiters = Waiters()
        self._numbers = RunNumbers(store, block=self.options.run_block)
        self._left: list[Actor] = []
        """Runs that gave up their home and were not looked after once more."""
        self._message_no = 0
        self._group: asyncio.TaskGroup | None = None
        self._follow_ups: dict[asyncio.Task[None], None] = {}
        """Background work under way, in the order it began."""
        self._started = asyncio.Event()
        self.stopping = asyncio.Event()
        """Set once it was told to leave, or has failed."""
        self._attempts = Attempts(payloads=payloads, dice=dice, done=self._attempt_done)
        is_here = self._actors.__contains__
        self.audience = Audience(
            store=store, registry=registry, listen=self.listen, is_here=is_here, dice=dice
        )
        self._pump = Pump(store=store, options=self.options, events=self, node=lambda: self.node)
        self._purses = Purses(
            store=store,
            node=lambda: self.node,
            spawn=self.spawn,
            rules=self.options.budgets,
        )
        every_us = self.options.sweep_every_us
        self.scheduler = Scheduler(
            office=self, store=store, registry=registry, payloads=payloads, look_every_us=every_us
        )
        self._deeds = Deeds(
            office=self,
            attempts=self._attempts,
            purses=self._purses,
            registry=registry,
            store=store,
            options=self.options,
            free_room=self._pump.free_room,
        )
        self._homes = Homes(
            store=store,
            payloads=payloads,
            registry=registry,
            pump=self._pump,
            options=self.options,
            actors=self._actors,
            node=lambda: self.node,
            homeless_due=lambda: self.spawn(self._adopt_due(), "adopt"),
            fenced=lambda: self.spawn(self._rejoin(self.node), "rejoin"),
            receive=self._receive,
            discard=self._discard,
            stirred=self.audience.stir,
        )

    # -- life ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until `stop` is called or the task is cancelled; the store must be open."""
        await self._register()
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._attempts.open(group)
                self.spawn(self._homes.watch(), "watch")
                self.spawn(self._homes.sweep(), "sweep")
                self.spawn(self._waiters.watch_ends(self.store, self._actors, self.options), "ends")
                if self.options.schedules:
                    self.spawn(self.scheduler.run(), "schedules")
                await self.audience.begin(self.spawn, role=self.options.role)
                self.registry.services.streams.bind(asyncio.get_running_loop())
                begin_capture(self.registry.services.logbook, self.store, self.spawn)
                for name, chore in self._chores.items():
                    self.spawn(chore(), name)
                self._started.set()
                try:
                    await self.stopping.wait()
                    await self._quiesce()
                finally:
                    self._group = None
                self._purses.close()
                self._attempts.cancel_all()
                for task in list(self._follow_ups):
                    task.cancel()
        finally:
            await self._leave()

    async def _register(self) -> None:
        self.node = await self.store.register_node(
            boot_id=self._boot_id, role=self.options.role, lease_us=self.options.lease_us
        )
        await self._purses.read_rules()

    async def _quiesce(self) -> None:
        """Let the tick in flight land and the runs that only wait leave; then all is still."""
        self._homes.evict_all()
        await self._pump.quiet()
        await self.audience.leave()

    async def _leave(self) -> None:
        self.audience.close()
        self._homes.close()
        self._attempts.close()
        for actor in self._actors.values():
            actor.close()
        self._actors.clear()
        await end_capture(self.registry.services.logbook)
        if self.node is not None and self.failure is None:
            await self.store.release_node(self.node)

    async def started(self) -> None:
        """Return once the engine accepts work."""
        await self._started.wait()

    async def drain(self, grace_s: float) -> int:
        """Begin nothing more and let running attempts end; return how many did not in time."""
        self.scheduler.close()
        self._homes.take_nobody()
        self._pump.close_room()
        return await self._attempts.ended(grace_s)

    def stop(self) -> None:
        """Leave: running attempts are cut off and their runs stay for the next home."""
        self.stopping.set()

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run follow-up work in the background, until the engine stops."""
        if self._group is None or self.stopping.is_set():
            work.close()
            return
        task = self._group.create_task(self._guard(work, name), name=f"podium-{name}")
        self._follow_ups[task] = None

        def forget(task: "asyncio.Task[None]") -> None:
            del self._follow_ups[task]
            # A task that is cancelled before its first line never awaits its work.
            work.close()

        task.add_done_callback(forget)

    async def _see_through(self, work: Coroutine[Any, Any, R]) -> R:
        """Await work that goes on when the caller gives up waiting.

        Cut off in the middle it would leave a run at home here with nobody to drive it, or
        mail in the inbox of a resident who was not told.
        """
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()

        async def carry() -> None:
            try:
                result = await work
            except asyncio.CancelledError:
                answer.cancel()
                raise
            except Exception as error:
                if answer.done():
                    raise
                answer.set_exception(error)
            else:
                if not answer.done():
                    answer.set_result(result)

        if self._group is None or self.stopping.is_set():
            return await work
        self.spawn(carry(), "see-through")
        return await answer

    async def _guard(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """A store that failed ends the engine; other errors are repeated by the next sweep."""
        try:
            await work
        except StoreError as error:
            self.failed(error)
        except PodiumError as error:
            log.warning("deed.failed", extra={"deed": name, "error": error.what})

    # -- starting ------------------------------------------------------------------------------

    async def start(self, request: StartRequest) -> RunRow:
        """Start a run and return its row once it is durable.

        With an idempotency key that is taken by an equal request, returns that run instead;
        raises `ConflictError` PDM-C010 if the other request was not equal.
        """
        self._check()
        run_no = await self._numbers.take()
        while True:
            self._check()
            actor = self._new_actor(run_no, request)
            refusal = await self._open(actor, request)
            if refusal is None:
                return actor.row
            if refusal.kind is RefusalKind.HOME:
                # The run exists: a tick that was sent twice did land the first time.
                return await self._existing_run(run_no)
            if refusal.kind is not RefusalKind.NODE:
                return await self._existing(request, refusal)
            # This node was declared dead and joins anew: once more, under the same number.

    def _new_actor(self, run_no: int, request: StartRequest) -> Actor:
        facts = Facts(request.plan, inputs=self.payloads.decode(request.input))
        row = self._new_row(run_no, request)
        return Actor.create(row, facts, self.registry.code_run(request.plan, facts.inputs))

    async def _open(self, actor: Actor, request: StartRequest) -> Refusal | None:
        future = self._waiters.for_start(actor.run_no)
        self._actors[actor.run_no] = actor
        started = request.started(self._purses.pots_of_start(actor.run_no, request))
        self._pump.open(
            actor,
            lambda now_us, room: request.creation(
                actor.begin(
                    started,
                    now_us,
                    room=room,
                    home=None if self.node is None else self.node.node_id,
                    deferred=request.deferred,
                    known=request.known(),
                )
            ),
        )
        return await future

    def _new_row(self, run_no: int, request: StartRequest) -> RunRow:
        return RunRow(
            run_no=run_no,
            slot=slot_of(request.organization),
            organization=request.organization,
            workflow=request.plan.workflow.name,
            def_hash=request.plan.def_hash,
            status=RunStatus.QUEUED,
            priority=request.priority,
            home_epoch=1,
            parent_run=request.parent_run or None,
            parent_step=request.parent_step or None,
            forked_from=request.forked_from or None,
            idempotency_key=request.idempotency_key,
            request_hash=request.request_hash,
            labels=request.labels,
            input=request.input,
        )

    async def _existing(self, request: StartRequest, refusal: Refusal) -> RunRow:
        is_same = refusal.existing_hash == request.request_hash
        if refusal.kind is not RefusalKind.DUPLICATE or not is_same:
            raise refused_start(refusal, key=request.idempotency_key or "")
        return await self._existing_run(refusal.existing)

    async def _existing_run(self, run_no: int) -> RunRow:
        row = await self.store.run(run_no)
        if row is None:
            raise unknown_run(run_no)
        if RunStatus(row.status).is_open:
            await self._homes.bury_dead()
            await self.adopt(row.run_no)
        return row

    # -- telling -------------------------------------------------------------------------------

    async def tell(self, run_no: int, mail: Mail, *, message_id: str = "") -> OutcomeRow:
        """Deliver a message and return what became of it, once that is durable.

        Repeating the same `message_id` returns the first outcome. Raises `NotFoundError` for
        an unknown run, `ConflictError` if the run refused (with its state and what it allows).
        """
        self._check()
        if await self.store.run(run_no) is None:
            raise unknown_run(run_no)
        if message_id:
            outcome = await self.store.outcome(message_id)
            if outcome is not None:
                return accepted(run_no, mail, outcome)
        self._message_no += 1
        message_id = message_id or f"{self._boot_id}.{self._message_no}"
        future = self._waiters.for_outcome(message_id)
        try:
            await self.send(run_no, mail, message_id)
            outcome = await self._outcome(message_id, future)
        finally:
            self._waiters.drop_outcome(message_id)
        return accepted(run_no, mail, outcome)

    async def send(self, run_no: int, mail: Mail, message_id: str) -> None:
        """Post mail durably and hand it over if the run lives here, or can."""
        row = MessageRow(message_id=message_id, run_no=run_no, body=encode_mail(mail))
        await self._see_through(self._post(row, mail))

    async def _post(self, row: MessageRow, mail: Mail) -> None:
        if await self.store.post([row]):
            await self.deliver(row.run_no, mail, row.message_id)

    async def deliver(self, run_no: int, mail: Mail, message_id: str) -> None:
        """Hand over mail that is already in the inbox."""
        actor = self._actors.get(run_no)
        if actor is None:
            # Moving in reads the inbox. What another node has read by now is not in it.
            await self._homes.adopt_one(run_no)
        else:
            self._receive(actor, mail, message_id)

    def _receive(
        self, actor: Actor, mail: Mail, message_id: str, *, came_home: bool = False
    ) -> None:
        if not actor.expect(message_id):
            return
        if isinstance(mail, Continue):
            self.spawn(self._continue(actor, mail, message_id), "continue")
        else:
            actor.receive(mail, message_id, came_home=came_home)
            self._pump.make_ready(actor)

    async def _continue(self, actor: Actor, mail: Continue, message_id: str) -> None:
        await self._deeds.start_next_life(actor, mail.input)
        if not actor.is_closed:
            actor.receive(mail, message_id)
            self._pump.make_ready(actor)

    async def _outcome(self, message_id: str, future: "asyncio.Future[OutcomeRow]") -> OutcomeRow:
        """Wait for an outcome: pushed if the run lives here, looked up if it lives elsewhere."""
        while True:
            done, _ = await asyncio.wait([future], timeout=self.options.watch_every_us / 1e6)
            if done:
                return future.result()
            self._check()
            outcome = await self.store.outcome(message_id)
            if outcome is not None:
                return outcome

    # -- waiting -------------------------------------------------------------------------------

    async def ended(self, run_no: int) -> RunRow:
        """Wait until the run is closed and return its row."""
        self._check()
        if run_no not in self._actors:
            row = await self.store.run(run_no)
            if row is None:
                raise unknown_run(run_no)
            if not RunStatus(row.status).is_open:
                return row
        return await self._waiters.for_end(run_no)

    def listen(self, run_no: int, listener: Listener) -> Callable[[], None]:
        """Call `listener` after each commit of the run on this node; returns how to stop it."""
        return self._waiters.listen(run_no, listener)

    async def adopt_all(self) -> int:
        """Take over every run of dead nodes and every homeless run that is due."""
        await self._homes.bury_dead()
        try:
            return await self._see_through(self._homes.adopt_due())
        except StoreError as error:
            # Which runs now live here, nobody knows: another node must take them.
            self.failed(error)
            raise

    async def adopt(self, run_no: int) -> None:
        """Take a run that has no home, due or not."""
        await self._see_through(self._homes.adopt_one(run_no))

    def observe(self, observer: Observer) -> None:
        """Call `observer` after each commit of this node; it must be quick and never fail."""
        self._waiters.observer = observer

    def queued_steps(self) -> list[tuple[str, int]]:
        """Return workflow and number of queued steps of each run that lives here."""
        return [(a.state.workflow, a.state.tally[StepStatus.QUEUED]) for a in self._actors.values()]

    @property
    def residents(self) -> int:
        """Return how many runs live in this engine's memory."""
        return len(self._actors)

    @property
    def free_places(self) -> int:
        """Return how many more attempts may start on this node now."""
        return self._pump.room

    def actor(self, run_no: int) -> Actor | None:
        """Return the actor of a resident run, for reading only."""
        return self._actors.get(run_no)

    # -- what becomes of ticks -----------------------------------------------------------------

    def applied(self, actor: Actor, write: RunWrite, turn: Turn | None) -> None:
        """See `TickEvents.applied`."""
        actor.forget_mail(write.consumed)
        self._waiters.tell(write, turn)
        self.audience.committed()
        self._purses.stir()
        if actor.is_closed:
            # Discarded while its tick was in flight: the run is in other hands.
            self._pump.free_room(0 if turn is None else len(turn.starts))
            return
        if turn is not None:
            self._deeds.act(actor, turn)
        if actor.is_newcomer:
            actor.is_newcomer = False
            self._deeds.repeat(actor)
        if write.release:
            self._moved_out(actor)
        else:
            self._stayed(actor)

    def _stayed(self, actor: Actor) -> None:
        if actor.mailbox:
            self._pump.make_ready(actor)
        self._homes.note_rest(actor)
        self._homes.set_timer(actor)

    def _moved_out(self, actor: Actor) -> None:
        self._forget(actor)
        if not actor.state.status.is_open:
            self._waiters.announce_end(actor.row)
        # Mail may have come between the decision to leave and the commit: look again.
        if actor.state.status.is_open or actor.known_mail:
            self._left.append(actor)
            if len(self._left) == 1:
                self.spawn(self._look_again(), "look-again")

    async def _look_again(self) -> None:
        """Look once for the mail of all runs that left since the last look."""
        left, self._left = self._left, []
        wanted = {actor.run_no for actor in left if actor.mailbox or actor.known_mail}
        wanted |= {row.run_no for row in await self.store.mail([each.run_no for each in left])}
        for actor in left:
            if actor.run_no in wanted:
                await self._homes.adopt_one(actor.run_no)
            elif actor.state.status.is_open and actor.row.wake_us is not None:
                self._homes.arm(actor.row.wake_us)

    def _forget(self, actor: Actor) -> None:
        if self._actors.get(actor.run_no) is actor:
            del self._actors[actor.run_no]
        self._pump.forget(actor)
        self._homes.forget(actor)
        if not actor.is_closed:
            # Results nobody will look at: their attempts have ended all the same.
            self._pump.free_room(actor.results_waiting)
            self._purses.book(actor.receipts_waiting)
        actor.close()

    def refused(self, actor: Actor, refusal: Refusal, turn: Turn | None) -> None:
        """See `TickEvents.refused`: memory that the store does not share is worthless."""
        # A taken idempotency key is an answer, not a loss; so is a tick that another node took.
        is_answer = refusal.kind in {RefusalKind.DUPLICATE, RefusalKind.OVERTAKEN}
        level = logging.DEBUG if is_answer else logging.WARNING
        log.log(level, "tick.refused", extra={"run": actor.id, "kind": refusal.kind.name})
        if turn is not None:
            self._pump.free_room(len(turn.starts))
            self._purses.book(turn.receipts)
        if refusal.kind is RefusalKind.NODE and not actor.is_closed:
            self.spawn(self._rejoin(self.node), "rejoin")
        self._discard(actor)
        if self._waiters.answer_start(actor.run_no, refusal):
            return
        if refusal.kind is RefusalKind.DATA:
            self._condemn(actor, ValueError(refusal.detail))
        elif refusal.kind is not RefusalKind.NODE:
            self.spawn(self._homes.adopt_one(actor.run_no, anew=True), "adopt")

    def broken(self, actor: Actor, error: Exception) -> None:
        """See `TickEvents.broken`: the run is loaded anew and failed, for people to see."""
        log.error("run.broken", exc_info=error, extra={"run": actor.id})
        self._discard(actor)
        if not self._waiters.answer_start(actor.run_no, undecidable(actor.run_no, error)):
            self._condemn(actor, error)

    def _condemn(self, actor: Actor, error: Exception) -> None:
        failure = undecidable(actor.run_no, error)
        self._waiters.refuse(actor.known_mail, failure)
        # Once: what cannot even be failed waits for another version of Podium.
        if not actor.is_condemned:
            self.spawn(self._homes.condemn(actor.run_no, record_of(failure)), "adopt")

    def _discard(self, actor: Actor) -> None:
        for step in actor.state.steps.values():
            if step.status is StepStatus.RUNNING:
                self._attempts.stop(actor.run_no, step.no, step.attempts)
        self._forget(actor)

    async def _rejoin(self, node: NodeRow | None) -> None:
        """Register anew after `node`, which this process was, was declared dead."""
        if node is None or node is not self.node:
            return
        self.node = None
        for actor in list(self._actors.values()):
            self._discard(actor)
        for run_no in self._waiters.starting():
            if not self._pump.carries(run_no):
                refusal = Refusal(run_no=run_no, kind=RefusalKind.NODE)
                self._waiters.answer_start(run_no, refusal)
        await self._register()
        self._pump.schedule()

    def failed(self, error: BaseException) -> None:
        """See `TickEvents.failed`: every waiter learns why; what was acknowledged is safe."""
        if self.failure is not None:
            return
        if not isinstance(error, PodiumError):
            error = StoreError(
                "The store failed.",
                why=str(error) or type(error).__name__,
                fix="Look at disk and permissions, then `podium recover`.",
                code="PDM-S001",
            )
        self.failure = error
        self._waiters.fail_all(error)
        self.stop()

    def _attempt_done(self, run_no: int, done: AttemptDone) -> None:
        actor = self._actors.get(run_no)
        if actor is None or actor.is_closed:
            self._pump.free_room()
            self._purses.book([done.receipt])
            return
        actor.receive(done)
        self._pump.make_ready(actor)

    async def _adopt_due(self) -> None:
        await self._homes.adopt_due()
