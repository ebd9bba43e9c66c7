"""Follows one run to its end, or to where a person is needed, or until somebody wants to leave.

The run may live in this process or in another one; this module keeps looking at its journal,
offers it a home when it has none, and decides approvals as it was told.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from podium.authoring.client import App
from podium.cli.asking import ask
from podium.cli.interrupts import Interrupts
from podium.cli.output import note
from podium.cli.screen import Screen
from podium.cli.session import person
from podium.cli.watch import Watch
from podium.core.ids import approval_id, run_id
from podium.core.plan import Plan
from podium.core.states import RunStatus, StepKind
from podium.errors import ConflictError
from podium.ports.store import ApprovalRow, RunFilter, RunRow
from podium.runtime.streams import Chunk

__all__ = ["INTERRUPTED", "TIMED_OUT", "WAITING", "Follower", "Wishes", "exit_code"]

WAITING: Final = 6
TIMED_OUT: Final = 124
INTERRUPTED: Final = 130
LOOK_EVERY_S: Final = 0.1
HOME_EVERY_US: Final = 1_000_000
WEIGH_EVERY_US: Final = 500_000
APPEAL: Final = frozenset({"budget", "account", "spent", "asked"})
"""The keys of what a step shows that asks for more of a budget."""
SECOND_THOUGHT_S: Final = 1.0
CANCEL_WAIT_S: Final = 15.0


@dataclass(slots=True, frozen=True, kw_only=True)
class Wishes:
    """How to follow."""

    yes: bool = False
    """Approve every checkpoint."""
    can_ask: bool = False
    """A person sits at the terminal."""
    limit_s: float | None = None
    again: str = "podium recover"
    """The command that continues the run."""


class Follower:
    """See the module docstring; after `follow`, `run_no` is the life of the run that ended."""

    def __init__(self, app: App, screen: Screen, wishes: Wishes) -> None:
        self.run_no = 0
        self.pending: Sequence[ApprovalRow] = ()
        self._app = app
        self._engine = app.engine
        self._screen = screen
        self._wishes = wishes
        self._news = asyncio.Event()
        self._watch: Watch | None = None
        self._decided: set[int] = set()
        self._hinted = ""
        self._home_us = 0
        self._weighed_us = 0

    async def follow(self, run_no: int, plan: Plan, interrupts: Interrupts) -> int:
        """Follow the run and return the exit code."""
        self._look_at(run_no, plan)
        interrupts.told = self._news.set
        streams = self._engine.registry.services.streams
        deaf = streams.listen_to_all(self._hear) if self._screen.wants_text else None
        try:
            with interrupts.caught():
                async with asyncio.timeout(self._wishes.limit_s):
                    return await self._to_the_end(interrupts)
        except TimeoutError:
            self._screen.pause()
            note(f"The time is up; {run_id(self.run_no)} stays in the store.")
            note(f"Continue it: {self._wishes.again}")
            return TIMED_OUT
        finally:
            if deaf is not None:
                deaf()
            self._screen.pause()
            self._the_watch().close()

    def _hear(self, chunk: Chunk) -> None:
        self._screen.hear(chunk, self._engine.store.now_us())

    def _look_at(self, run_no: int, plan: Plan) -> None:
        if self._watch is not None:
            self._watch.close()
        self.run_no = run_no
        self._watch = Watch(self._engine, run_no, plan, self._screen.event, self._news.set)

    def _the_watch(self) -> Watch:
        assert self._watch is not None
        return self._watch

    async def _to_the_end(self, interrupts: Interrupts) -> int:
        while True:
            watch = self._the_watch()
            self._news.clear()
            if self._engine.failure is not None:
                raise self._engine.failure
            await watch.refresh()
            await self._weigh()
            state = watch.state
            self._screen.draw(state, watch.plan, self._engine.store.now_us())
            if not state.status.is_open and watch.seq:
                if state.reason != "continued_as_new":
                    return exit_code(state.status, state.reason)
                await self._next_life()
                continue
            if interrupts.count:
                return await self._leave(interrupts)
            code = await self._attend(interrupts)
            if code is not None:
                return code
            await self._keep_home()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._news.wait()

    async def _weigh(self) -> None:
        """Look up what the run has spent, now and then."""
        now_us = self._engine.store.now_us()
        if now_us >= self._weighed_us + WEIGH_EVERY_US:
            self._weighed_us = now_us
            spent = (await self._engine.store.spending([self.run_no])).get(self.run_no)
            if spent is not None:
                self._screen.cost(spent.cost_nano)

    async def _next_life(self) -> None:
        """Go on with the run that a durable function continued as."""
        state = self._the_watch().state
        key = f"continue:{run_id(self.run_no)}"
        row = await self._engine.store.run_by_key(state.organization, key)
        if row is not None:
            self._look_at(row.run_no, await self._engine.registry.plan(row.def_hash))
        else:
            await asyncio.sleep(LOOK_EVERY_S)

    # -- people --------------------------------------------------------------------------------

    async def _attend(self, interrupts: Interrupts) -> int | None:
        """Deal with approvals; return an exit code if nothing goes on without a person."""
        rows = await self._questions()
        if not rows:
            self._hint()
            return None
        # What takes a second person waits for one, whatever whoever started it says.
        ours = [row for row in rows if not row.four_eyes]
        if self._wishes.yes:
            # A budget is there to be kept: only a person who reads the question raises it.
            checkpoints = [row for row in ours if not self._is_about_money(row)]
            for row in checkpoints:
                await self._approve(row)
            if checkpoints:
                return None
        if self._wishes.can_ask and ours:
            return await self._ask(ours[0], interrupts)
        if self._the_watch().state.status is RunStatus.WAITING:
            self.pending = rows
            return WAITING
        return None

    async def _questions(self) -> list[ApprovalRow]:
        """Return what this run and its children wait for and nobody here has decided."""
        if not self._the_watch().state.approvals and not self._open_children():
            return []
        found: list[ApprovalRow] = []
        for run_no in await self._family():
            found += await self._engine.store.approvals(pending=True, run_no=run_no)
        return [row for row in found if row.approval_no not in self._decided]

    def _is_about_money(self, row: ApprovalRow) -> bool:
        payload = self._app.engine.payloads.decode(row.payload)
        return isinstance(payload, dict) and payload.keys() == APPEAL

    async def _approve(self, row: ApprovalRow) -> None:
        self._decided.add(row.approval_no)
        name = approval_id(row.approval_no)
        with suppress(ConflictError):
            await self._app.decide(name, "approve", by="yes-flag")
            self._screen.say(f"  Approved {name} (step {row.path!r}) because of --yes.")

    async def _ask(self, row: ApprovalRow, interrupts: Interrupts) -> int | None:
        self._screen.pause()
        answer = await ask(row, self._app.engine.payloads.decode, self._news, interrupts)
        if answer == "detach":
            return await self._leave(interrupts)
        if answer:
            self._decided.add(row.approval_no)
            with suppress(ConflictError):
                await self._app.decide(approval_id(row.approval_no), answer, by=person())
        return None

    def _hint(self) -> None:
        """Say once what a resting run waits for, if somebody could do something about it."""
        state = self._the_watch().state
        text = ""
        if state.status is RunStatus.PAUSED:
            text = f"The run is paused. Go on: podium runs resume {run_id(self.run_no)}"
        elif state.status is RunStatus.WAITING and state.reason == "signal":
            names = [s.reason.partition(":")[2] for s in state.steps.values() if _waits(s.reason)]
            text = f"Waits for a signal. Send it: podium signal {run_id(self.run_no)} {names[0]}"
        if text and text != self._hinted:
            self._screen.say(f"  {text}")
        self._hinted = text or self._hinted

    # -- homes ---------------------------------------------------------------------------------

    def _open_children(self) -> list[int]:
        steps = self._the_watch().state.steps.values()
        return [s.child_run for s in steps if s.kind is StepKind.CHILD and s.status.is_open]

    async def _family(self) -> list[int]:
        """Return this run and the open runs below it."""
        family = [self.run_no]
        if self._open_children():
            for run_no in family:
                where = RunFilter(parent_run=run_no, statuses=_OPEN)
                family += [row.run_no for row in await self._engine.store.runs(where, limit=1000)]
        return family

    async def _keep_home(self) -> None:
        """Take the run, and those below it, whenever nobody else has them."""
        now_us = self._engine.store.now_us()
        if now_us < self._home_us + HOME_EVERY_US:
            return
        self._home_us = now_us
        for run_no in await self._family():
            if self._engine.actor(run_no) is None:
                await self._engine.adopt(run_no)

    # -- leaving -------------------------------------------------------------------------------

    async def _leave(self, interrupts: Interrupts) -> int:
        """Detach, or cancel if the wish to stop is repeated."""
        self._screen.pause()
        run = run_id(self.run_no)
        note(f"Detached: {run} stays in the store, and finished steps are kept.")
        note(f"Continue it: {self._wishes.again}")
        if interrupts.count < 2:
            note("Press Ctrl-C again now to cancel the run instead.")
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(SECOND_THOUGHT_S):
                    await self._news.wait()
        if interrupts.count >= 2:
            await self._cancel(run)
        return INTERRUPTED

    async def _cancel(self, run: str) -> None:
        with suppress(ConflictError, TimeoutError):
            async with asyncio.timeout(CANCEL_WAIT_S):
                await self._app.run(run).cancel(by=person(), reason="interrupt")
                row = await self._engine.ended(self.run_no)
                note(f"{run} is {RunStatus(row.status).label}.")


_OPEN: Final = tuple(status for status in RunStatus if status.is_open)


def _waits(reason: str) -> bool:
    return reason.startswith("signal:")


def exit_code(status: RunStatus, reason: str) -> int:
    """Return the exit code of a closed run."""
    if status is RunStatus.COMPLETED:
        return 0
    return TIMED_OUT if reason == "timeout" else 1


def exit_code_of(row: RunRow) -> int:
    """Return the exit code of the run of a row."""
    return exit_code(RunStatus(row.status), row.reason)
