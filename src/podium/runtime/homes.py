"""Where runs live: adopting homeless ones, evicting those that only wait, burying dead nodes.

A run that waits costs no memory: it is evicted, and comes home again, here or elsewhere, when
mail arrives or its time has come.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial
from heapq import heapify, heappop, heappush
from typing import Final, Protocol

from podium.core.ids import run_id
from podium.core.messages import Mail, Wake, decode_mail
from podium.core.payload import ErrorRecord
from podium.core.states import RunStatus, StepStatus
from podium.core.turn import Facts
from podium.errors import PodiumError, StoreError
from podium.ports.store import MessageRow, NodeRow, RunRecord, RunWrite, Store
from podium.runtime.actor import Actor
from podium.runtime.failures import unreadable
from podium.runtime.options import EngineOptions
from podium.runtime.payloads import Payloads
from podium.runtime.pump import Pump
from podium.runtime.registry import Registry

__all__ = ["Homes"]

log = logging.getLogger("podium.homes")

TIMERS_SPARE: Final = 1000
"""Stale timers that are not worth clearing away."""


class Receive(Protocol):
    """What puts mail into a mailbox."""

    def __call__(
        self, actor: Actor, mail: Mail, message_id: str, *, came_home: bool = False
    ) -> None:
        """Put mail into the mailbox of `actor`; `came_home` if it is what brought it here."""


class Homes:
    """See the module docstring. `actors` is the engine's own table of residents."""

    def __init__(
        self,
        *,
        store: Store,
        payloads: Payloads,
        registry: Registry,
        pump: Pump,
        options: EngineOptions,
        actors: dict[int, Actor],
        node: Callable[[], NodeRow | None],
        homeless_due: Callable[[], None],
        fenced: Callable[[], None],
        receive: Receive,
        discard: Callable[[Actor], None],
        stirred: Callable[[], None],
    ) -> None:
        self._store = store
        self._payloads = payloads
        self._registry = registry
        self._pump = pump
        self._options = options
        self._actors = actors
        self._node = node
        self._homeless_due = homeless_due
        self._fenced = fenced
        self._receive = receive
        self._discard = discard
        self._stirred = stirred
        self._timers: list[tuple[int, int]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_us = 0
        self._is_leaving = False
        self._door = asyncio.Lock()
        self._wanted: dict[int, asyncio.Future[PodiumError | None]] = {}
        """Runs to adopt next, and who waits for each."""
        self._worthless: set[int] = set()
        """Those of them whose arrival, if they are arriving, counts for nothing."""
        self._adopting: Collection[int] = ()
        self._arriving: dict[int, None] = {}
        self._surveys: set[asyncio.Future[None]] = set()
        """Adoptions under way that nobody knows the runs of yet."""
        self._verdicts: dict[int, ErrorRecord] = {}
        """Runs that could not be decided: what to fail them with when they are loaded anew."""
        self._resting: dict[int, Actor] = {}
        """Residents that only wait, the longest waiting first."""

    # -- loops ---------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Look for what other processes wrote, for ever."""
        while True:
            await asyncio.sleep(self._options.watch_every_us / 1e6)
            if self._store.changed():
                self._stirred()
                await self.fetch_mail()
                await self.adopt_due()

    async def sweep(self) -> None:
        """Bury dead nodes, adopt what nobody has, evict what only waits; for ever."""
        while True:
            await self._check_own_node()
            await self.bury_dead()
            await self.adopt_due()
            self.evict_idle()
            await asyncio.sleep(self._options.sweep_every_us / 1e6)

    async def _check_own_node(self) -> None:
        """Notice having been declared dead: a node without ticks would never hear of it."""
        node = self._node()
        if node is not None:
            numbers = [each.node_id for each in await self._store.nodes()]
            if node.node_id not in numbers and node is self._node():
                self._fenced()

    async def bury_dead(self) -> None:
        """Fence the nodes that are proven dead; their runs become homeless and due."""
        node = self._node()
        if node is None:
            return
        for dead in await self._store.dead_nodes(node):
            await self._store.declare_dead(dead)

    async def fetch_mail(self) -> None:
        """Read what other processes posted to runs that live here."""
        node = self._node()
        if node is None:
            return
        self.hand_over(await self._store.unread(node, limit=self._options.adopt_limit))

    def hand_over(self, rows: Sequence[MessageRow], *, came_home: bool = False) -> None:
        """Put mail into the mailboxes of residents; mail for others stays where it is.

        `came_home` says that the mail is what brought them here: nobody drove them before.
        """
        for row in rows:
            actor = self._actors.get(row.run_no)
            if actor is not None:
                self._receive(actor, decode_mail(row.body), row.message_id, came_home=came_home)

    # -- coming home ---------------------------------------------------------------------------

    def take_nobody(self) -> None:
        """Adopt no more runs than those that are asked for by name: this node is leaving."""
        self._is_leaving = True

    async def adopt_due(self) -> int:
        """Adopt homeless runs that are due or have mail; return how many came."""
        node = self._node()
        if node is None or self._is_leaving:
            return 0
        count = 0
        while True:
            numbers = await self._take_due(node)
            await self.move_in(numbers)
            count += len(numbers)
            if len(numbers) < self._options.adopt_limit:
                break
        await self._plan_next_adoption()
        return count

    async def _take_due(self, node: NodeRow) -> Sequence[int]:
        answered = asyncio.get_running_loop().create_future()
        self._surveys.add(answered)
        try:
            numbers = await self._store.adopt(node, limit=self._options.adopt_limit)
            self._arriving.update(dict.fromkeys(numbers))
        finally:
            self._surveys.discard(answered)
            answered.set_result(None)
        return numbers

    async def adopt_one(self, run_no: int, *, anew: bool = False) -> None:
        """Adopt one run if it has no home, due or not; raises what keeps it from being loaded.

        With `anew` also if it is arriving: what arrives is worthless.
        """
        if run_no in self._wanted or run_no in self._adopting:
            return
        answer = self._wanted[run_no] = asyncio.get_running_loop().create_future()
        if anew:
            self._worthless.add(run_no)
        async with self._door:
            await self._bring_home()
        error = await answer
        if error is not None:
            raise error

    async def _bring_home(self) -> None:
        """Adopt all runs that were asked for while the last ones came: one commit, one load."""
        while self._surveys:
            # They may have taken one already; taken once more, it would lose that home again.
            await asyncio.wait(self._surveys)
        asked, self._wanted = self._wanted, {}
        worthless, self._worthless = self._worthless, set()
        self._adopting = [no for no in asked if not self._is_here(no, worthless)]
        errors: dict[int, PodiumError] = {}
        try:
            errors = await self._bring(self._adopting)
        except PodiumError as error:
            errors = dict.fromkeys(asked, error)
        finally:
            self._adopting = ()
            for run_no, answer in asked.items():
                if not answer.done():
                    answer.set_result(errors.get(run_no))

    def _is_here(self, run_no: int, worthless: set[int]) -> bool:
        is_arriving = run_no in self._arriving and run_no not in worthless
        return run_no in self._actors or is_arriving

    async def _bring(self, run_nos: Sequence[int]) -> dict[int, PodiumError]:
        node = self._node()
        if node is None or not run_nos:
            return {}
        return await self.move_in(
            await self._store.adopt(node, limit=len(run_nos), run_nos=run_nos)
        )

    async def condemn(self, run_no: int, error: ErrorRecord) -> None:
        """Load a run that could not be decided anew, and fail it with `error`."""
        self._verdicts[run_no] = error
        await self.adopt_one(run_no, anew=True)

    async def _plan_next_adoption(self) -> None:
        wake_us = await self._store.next_wake_us()
        if wake_us is not None:
            self.arm(max(wake_us, self._store.now_us() + 1000))

    async def move_in(self, numbers: Sequence[int]) -> dict[int, PodiumError]:
        """Load adopted runs and let them go on; return what keeps each of some from being loaded.

        Those stay without a driver until somebody writes to them or this node ends.
        """
        if not numbers:
            return {}
        self._arriving.update(dict.fromkeys(numbers))
        try:
            records = await self._store.load(numbers)
            errors = {each.row.run_no: await self._try_to_move_in(each) for each in records}
            self.hand_over(await self._store.mail(numbers), came_home=True)
        finally:
            for run_no in numbers:
                self._arriving.pop(run_no, None)
        for actor in [self._actors[no] for no in numbers if no in self._actors]:
            if not actor.is_newcomer:
                self.note_rest(actor)
            if not actor.state.status.is_open and not actor.known_mail:
                # It came home for mail that another node has answered by now.
                self._pump.release(actor)
        return {run_no: error for run_no, error in errors.items() if error is not None}

    async def _try_to_move_in(self, record: RunRecord) -> PodiumError | None:
        try:
            await self._move_in(record)
        except StoreError:
            raise
        except Exception as error:
            log.exception("run.unreadable", extra={"run": run_id(record.row.run_no)})
            return unreadable(record.row.run_no, error)
        return None

    async def _move_in(self, record: RunRecord) -> None:
        plan = await self._registry.plan(record.row.def_hash)
        value = self._payloads.decode(record.row.input)
        actor = Actor.revive(
            record, Facts(plan, inputs=value), self._registry.code_run(plan, value)
        )
        stale = self._actors.get(actor.run_no)
        if stale is not None:
            # The run was taken from here and came back before anybody noticed.
            self._discard(stale)
        self._actors[actor.run_no] = actor
        verdict = self._verdicts.pop(actor.run_no, None)
        self._pump.open(actor, partial(_resume, actor, verdict))

    # -- leaving -------------------------------------------------------------------------------

    def note_rest(self, actor: Actor) -> None:
        """Keep count of the runs that only wait; beyond the limit, the longest waiting leaves."""
        # A paused run may still have attempts on this node: their results must find it here.
        # One that arrives stays until its mail, for which it may have come, was read.
        is_busy = actor.state.tally[StepStatus.RUNNING] or actor.run_no in self._arriving
        if actor.state.status not in _RESTING or is_busy:
            actor.idle_since_us = 0
            self._resting.pop(actor.run_no, None)
            return
        actor.idle_since_us = self._store.now_us()
        self._resting.pop(actor.run_no, None)
        self._resting[actor.run_no] = actor
        if len(self._resting) > self._options.resting_max:
            self._evict(next(iter(self._resting.values())))

    def forget(self, actor: Actor) -> None:
        """Let go of an actor that went away."""
        self._resting.pop(actor.run_no, None)

    def evict_idle(self) -> None:
        """Let runs that have only waited for a while give up their home."""
        limit = self._store.now_us() - self._options.evict_after_us
        for actor in list(self._resting.values()):
            if actor.idle_since_us > limit:
                return
            self._evict(actor)

    def evict_all(self) -> None:
        """Let every run that only waits give up its home: the node is about to leave.

        What is left behind counts as interrupted and is due at once wherever it comes home; a
        run that waits for next week need not be loaded for that.
        """
        for actor in list(self._resting.values()):
            self._evict(actor)

    def _evict(self, actor: Actor) -> None:
        del self._resting[actor.run_no]
        # A child run that was asked for and is not there yet is a deed of this home: if it died
        # now, nobody would have a reason to load the parent and do it again.
        if not actor.mailbox and actor.in_flight is None and not actor.awaits_link:
            self._pump.release(actor)

    # -- the clock -----------------------------------------------------------------------------

    def set_timer(self, actor: Actor) -> None:
        """Wake `actor` when the clock next matters to it."""
        wake_us = actor.next_wake_us()
        if wake_us is None or wake_us == actor.timer_us:
            return
        actor.timer_us = wake_us
        if len(self._timers) > TIMERS_SPARE + 4 * len(self._actors):
            # Timers of runs that are gone would stay until they are due, an hour from now.
            self._timers = [(a.timer_us, a.run_no) for a in self._actors.values() if a.timer_us]
            heapify(self._timers)
        else:
            heappush(self._timers, (wake_us, actor.run_no))
        self.arm(wake_us)

    def arm(self, wake_us: int) -> None:
        """Ring at `wake_us`, or earlier."""
        if self._timer is not None:
            if self._timer_us <= wake_us:
                return
            self._timer.cancel()
        delay = max(0.0, (wake_us - self._store.now_us()) / 1e6)
        self._timer_us = wake_us
        self._timer = asyncio.get_running_loop().call_later(delay, self._ring)

    def _ring(self) -> None:
        """Wake residents whose time has come; adopt homeless ones through the next sweep."""
        self._timer = None
        now_us = self._store.now_us()
        while self._timers and self._timers[0][0] <= now_us:
            wake_us, run_no = heappop(self._timers)
            actor = self._actors.get(run_no)
            if actor is not None and actor.timer_us == wake_us:
                actor.timer_us = None
                actor.receive(Wake())
                self._pump.make_ready(actor)
        self._homeless_due()
        if self._timers:
            self.arm(self._timers[0][0])

    def close(self) -> None:
        """Stop the clock."""
        if self._timer is not None:
            self._timer.cancel()


_RESTING = frozenset({RunStatus.WAITING, RunStatus.PAUSED})


def _resume(actor: Actor, verdict: ErrorRecord | None, now_us: int, room: int) -> RunWrite | None:
    return actor.resume(now_us, room=room, verdict=verdict)
