"""Clients of a simulation: they start runs, tell them things, and trust no missing answer.

What is unknown is asked again under the same key or message id, elsewhere.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from random import Random
from typing import Final, Protocol

import msgspec

from podium.core.messages import (
    Abort,
    Cancel,
    Decide,
    Discard,
    Mail,
    Pause,
    Resume,
    Retry,
    Signal,
    Skip,
)
from podium.core.states import RunStatus
from podium.errors import ConflictError, PodiumError, RequestError
from podium.ports.store import ApprovalRow, ApprovalStatus, RunRow
from podium.testing.history import Call, Started
from podium.testing.simulation.processes import Process, ProcessGone
from podium.testing.simulation.workloads import Case
from podium.testing.simulation.world import World

__all__ = ["Clerk", "Client", "Town"]

TRIES_MAX: Final = 200
_UNANSWERED: Final = (ProcessGone, TimeoutError, PodiumError)


class Town(Protocol):
    """Where clients find processes."""

    world: World

    async def anyone(self, dice: Random) -> Process:
        """Return a process that lives, as far as a client can tell."""


class Teller:
    """Tells runs things until it knows what became of them."""

    def __init__(self, town: Town, dice: Random) -> None:
        self.town = town
        self.world = town.world
        self.dice = dice

    async def tell(
        self, run_no: int, mail: Mail, message_id: str, *, is_stale: bool = False
    ) -> str:
        """Send one message, sometimes twice at once; return applied, refused or unknown."""
        call = Call(
            message_id=message_id,
            run_no=run_no,
            verb=type(mail).__name__.lower(),
            is_stale=is_stale,
        )
        self.world.history.calls.append(call)
        if self.dice.random() < 0.25 and not self.world.is_calm:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._until_told(call, mail))
                group.create_task(self._until_told(call, mail))
        else:
            await self._until_told(call, mail)
        if self.dice.random() < 0.2 and not self.world.is_calm:
            await self._repeat(call, mail)
        return call.answer

    async def _repeat(self, call: Call, mail: Mail) -> None:
        """Let the message arrive once more, as networks do."""
        process = await self.town.anyone(self.dice)
        self.world.note("again", call.message_id)
        with suppress(*_UNANSWERED):
            await process.call(lambda p: p.engine.send(call.run_no, mail, call.message_id))

    async def _until_told(self, call: Call, mail: Mail) -> None:
        for _ in range(TRIES_MAX):
            process = await self.town.anyone(self.dice)
            answer = await self._ask(process, call, mail)
            self.world.note("told", call.message_id, call.verb, answer)
            if answer != "unknown":
                call.answer = answer
                return
            await asyncio.sleep(0.2 + self.dice.random())

    async def _ask(self, process: Process, call: Call, mail: Mail) -> str:
        try:
            await process.call(
                lambda p: p.engine.tell(call.run_no, mail, message_id=call.message_id)
            )
        except (ConflictError, RequestError):
            return "refused"
        except _UNANSWERED:
            return "unknown"
        return "applied"


class Client(Teller):
    """The owner of one case."""

    def __init__(self, town: Town, case: Case, *, is_quiet: bool) -> None:
        super().__init__(town, town.world.dice(f"client {case.key}"))
        self.case = case
        self.run_no = 0
        self.is_disturbed = False
        """Whether the run was made to end otherwise than by itself."""
        self._is_quiet = is_quiet
        self._is_interfering = not is_quiet

    async def live(self) -> None:
        """Start the run, send it its signals, and sometimes interfere."""
        await asyncio.sleep(2.0 * self.dice.random())
        self.run_no = await self._start()
        if not self._is_quiet and self.dice.random() < 0.3:
            await self._start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_signals())
            if not self._is_quiet:
                group.create_task(self._interfere())
                group.create_task(self._meddle())

    async def _start(self) -> int:
        case = self.case
        while True:
            process = await self.town.anyone(self.dice)
            try:
                handle = await process.call(
                    lambda p: p.app.start(
                        case.workflow, input=case.input, idempotency_key=case.key, by=case.key
                    )
                )
            except _UNANSWERED as error:
                self.world.note("start unknown", case.key, type(error).__name__)
                await asyncio.sleep(0.2 + self.dice.random())
                continue
            self.world.note("started", case.key, handle.run_no)
            self.world.history.starts.append(Started(key=case.key, run_no=handle.run_no))
            return handle.run_no

    async def _send_signals(self) -> None:
        for name, value in self.case.signals:
            await asyncio.sleep(3.0 * self.dice.random())
            number = 0
            while await self._send_signal(name, value, number) == "refused" and self._may_reopen():
                await asyncio.sleep(1.0)
                number += 1

    async def _send_signal(self, name: str, value: int, number: int) -> str:
        message_id = f"{self.case.key}.{name}.{number}"
        payload = msgspec.msgpack.encode({"by": message_id, "value": value})
        return await self.tell(self.run_no, Signal(name=name, payload=payload), message_id)

    def _may_reopen(self) -> bool:
        """Return whether the run is open after all, or will be retried."""
        row = self.world.database.runs[self.run_no]
        will_retry = row.generation == 1 or self._is_interfering
        failed = row.status == RunStatus.FAILED and will_retry
        return failed or RunStatus(row.status) < RunStatus.CANCELLING

    async def _interfere(self) -> None:
        for at in range(self.dice.randint(0, 3)):
            await asyncio.sleep(4.0 * self.dice.random())
            by = f"{self.case.key}.verb{at}"
            mail = self.dice.choice(_INTERFERENCES)(by)
            self.is_disturbed = self.is_disturbed or isinstance(mail, _DISTURBING)
            await self.tell(self.run_no, mail, by)
        self._is_interfering = False

    async def _meddle(self) -> None:
        """Send verbs that must not do any harm, whatever they are answered."""
        dice = self.world.dice(f"meddler {self.case.key}")
        for at in range(dice.randint(0, 2)):
            await asyncio.sleep(5.0 * dice.random())
            by = f"{self.case.key}.meddle{at}"
            mail = dice.choice(_HARMLESS)(by)
            await self.tell(self.run_no, mail, by, is_stale=mail.seen_seq > 0)


_HARMLESS: Final[tuple[Callable[[str], Mail], ...]] = (
    # The first events of a run are one tick, so nobody has seen only one of them.
    lambda by: Cancel(by=by, seen_seq=1),
    lambda by: Retry(by=by, seen_seq=1),
    lambda by: Retry(by=by, step="t0"),
    lambda by: Retry(by=by, step_no=99),
    lambda by: Discard(by=by, step_no=1),
    lambda by: Discard(by=by, step_no=2),
    lambda by: Decide(by=by, step_no=1, decision="rework", payload_hash="0" * 64),
)
_INTERFERENCES: Final[tuple[Callable[[str], Mail], ...]] = (
    lambda by: Cancel(by=by),
    lambda by: Abort(by=by),
    lambda by: Pause(by=by),
    lambda by: Pause(by=by),
    lambda by: Pause(by=by),
    lambda by: Resume(by=by),
    lambda by: Resume(by=by),
    lambda by: Retry(by=by),
    lambda by: Skip(by=by),
)
_DISTURBING: Final = (Cancel, Abort, Skip)


class Clerk(Teller):
    """Decides what waits for a person and, in the end, moves on whatever a person must move."""

    def __init__(self, town: Town) -> None:
        super().__init__(town, town.world.dice("clerk"))
        self._asked: dict[tuple[int, int], int] = {}
        self._whims = self.world.dice("clerk whims")

    async def live(self) -> None:
        """Decide approvals, for ever."""
        while True:
            await asyncio.sleep(0.5)
            rows = list(self.world.database.approvals.values())
            for row in rows:
                if row.status == ApprovalStatus.PENDING and self.dice.random() < 0.5:
                    await self._decide(row)

    async def _decide(self, row: ApprovalRow) -> None:
        key = (row.approval_no, row.generation)
        number = self._asked[key] = self._asked.get(key, 0) + 1
        by = f"decide.{row.approval_no}.{row.generation}.{number}"
        is_stale = number == 1 and self.dice.random() < 0.3
        shown = sha256(b"something else").hexdigest() if is_stale else row.payload_hash
        # A result that is made anew is the same: the bodies are functions of their arguments.
        decision = "rework" if self._whims.random() < 0.2 else "approve"
        asker = row.requested_by.partition(",")[0]
        # Whoever asked for it must not get through where it takes two.
        is_alone = row.four_eyes and bool(asker) and self._whims.random() < 0.5
        who = asker if is_alone else by
        mail = Decide(by=who, step_no=row.step_no, decision=decision, payload_hash=shown)
        await self.tell(row.run_no, mail, by, is_stale=is_stale or is_alone)

    async def finish(self) -> None:
        """Resume what is paused and retry once what failed, until it is cancelled."""
        number = 0
        while True:
            await asyncio.sleep(1.0)
            for row in list(self.world.database.runs.values()):
                mail = _push(row, f"finish.{number}")
                if mail is not None:
                    await self.tell(row.run_no, mail, f"finish.{number}")
                    number += 1


def _push(row: RunRow, by: str) -> Mail | None:
    if row.status == RunStatus.PAUSED:
        return Resume(by=by)
    if row.status == RunStatus.FAILED and row.generation == 1 and row.parent_run is None:
        return Retry(by=by)
    return None
