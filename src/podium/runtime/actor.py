"""One run on this node: messages in, decisions, one write, and then the deeds.

An actor owns the state of its run. `advance` is synchronous: it turns the mailbox into events
and a `RunWrite`; once that is durable, the turn says what to start, stop and send. A refused
write makes the actor worthless: the engine discards it and loads the run again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from podium.core import events as ev
from podium.core.budgets import Amounts
from podium.core.children import arguments_of
from podium.core.clockwork import next_wake_us
from podium.core.decide import begin_run, conclude, decide
from podium.core.ending import fail_run
from podium.core.evolve import PARKED, fold
from podium.core.family import is_mended
from podium.core.ids import EVENTS_MAX, approval_no, run_id
from podium.core.messages import (
    AttemptDone,
    ChildEnded,
    CodeFinished,
    CodeStep,
    Interrupted,
    Mail,
    Message,
    Retry,
    Skip,
    Wake,
    encode_mail,
)
from podium.core.payload import ErrorRecord, encode_error
from podium.core.receipts import Receipt
from podium.core.refusals import Refused
from podium.core.scope import output_of, render_effect_key
from podium.core.state import ROOT, RunState, Step
from podium.core.states import RunStatus, StepStatus
from podium.core.turn import ApprovalAsked, Facts, Turn
from podium.ports.ledger import GrantRow
from podium.ports.store import (
    ApprovalDecision,
    ApprovalRow,
    DeadLetterRow,
    Escalation,
    MessageRow,
    OutcomeRow,
    RunRecord,
    RunRow,
    RunWrite,
    StepRow,
)
from podium.runtime.code import CodeRun, Command, Invocation
from podium.runtime.replay import Replay

__all__ = ["Actor", "Letter"]

MESSAGES_PER_TURN: Final = 500
CONSUMED_KEPT: Final = 1000
SNAPSHOT_EVERY: Final = 10_000
"""Events after which a run that leaves memory takes a snapshot along, so that coming home again
costs what happened since; shorter journals fold faster than they would be written twice."""
EVENTS_RESERVE: Final = 10_000
"""A run is failed this many events before its numbers end, so that the failure still fits."""

replace = msgspec.structs.replace

NOTHING: Final[dict[str, Any]] = {}


@dataclass(slots=True)
class Letter:
    """A message with its inbox id, if it came through the inbox."""

    message: Message
    message_id: str = ""
    came_home: bool = False
    """Whether it was in the inbox of a run that nobody drove in the middle of its work."""


class Actor:
    """See the module docstring."""

    def __init__(
        self, row: RunRow, state: RunState, facts: Facts, write_code: Callable[[], CodeRun] | None
    ) -> None:
        self.row = row
        self.id = run_id(state.run_no)
        self.state = state
        self.run_no = state.run_no
        self.facts = facts
        self.code: CodeRun | None = None
        self._write_code = write_code
        self.home_epoch = row.home_epoch
        self.mailbox: list[Letter] = []
        self.known_mail: dict[str, None] = {}
        """Inbox ids received and not yet consumed durably."""
        self._consumed: dict[str, None] = {}
        self.in_flight: Turn | None = None
        self.is_ready = False
        self.is_closed = False
        self.is_condemned = False
        """Whether deciding went wrong before, and all that is left is to fail the run."""
        self.is_newcomer = False
        """Whether what a crash may have cut off at the last home was not yet done again."""
        self.was_stranded = False
        """Whether the run came home in the middle of its work, which nobody drove."""
        self.wants_room = False
        self.room_left = 0
        """Room of the node after the last turn."""
        self.snapshot_seq = 0
        self.idle_since_us = 0
        self.timer_us: int | None = None
        """The time for which the node's clock will wake this actor, if any."""

    @property
    def results_waiting(self) -> int:
        """Return how many ends of attempts wait in the mailbox."""
        return sum(type(letter.message) is AttemptDone for letter in self.mailbox)

    @property
    def awaits_link(self) -> bool:
        """Return whether the run asked for a child run and does not know of its start yet."""
        return any(
            step.status is StepStatus.WAITING and step.reason == "child" and not step.child_run
            for step in self.state.steps.values()
        )

    @property
    def receipts_waiting(self) -> list[Receipt | None]:
        """Return what the attempts whose ends wait in the mailbox have spent."""
        ends = (letter.message for letter in self.mailbox)
        return [done.receipt for done in ends if isinstance(done, AttemptDone)]

    # -- coming to life ------------------------------------------------------------------------

    @classmethod
    def create(cls, row: RunRow, facts: Facts, write_code: Callable[[], CodeRun] | None) -> "Actor":
        """Return the actor of a run that does not exist yet."""
        state = RunState(row.run_no, is_code=facts.plan.is_code)
        return cls(row, state, facts, write_code)

    @classmethod
    def revive(
        cls, record: RunRecord, facts: Facts, write_code: Callable[[], CodeRun] | None
    ) -> "Actor":
        """Return the actor of a stored run: the fold of its journal."""
        state = RunState(record.row.run_no, is_code=facts.plan.is_code)
        if record.snapshot is not None:
            state = _STATE.decode(record.snapshot)
        fold(state, [part.body for part in record.tail])
        actor = cls(record.row, state, facts, write_code)
        actor.snapshot_seq = record.snapshot_seq
        actor.is_newcomer = True
        actor.was_stranded = record.row.status == RunStatus.RUNNING
        return actor

    def next_wake_us(self) -> int | None:
        """Return when the clock next matters to this run."""
        return next_wake_us(self.state, self.facts.plan.workflow.settings)

    def begin(
        self,
        started: ev.RunStarted,
        now_us: int,
        *,
        room: int,
        home: int | None = None,
        deferred: bool = False,
        known: Sequence[ev.Event] = (),
    ) -> RunWrite | None:
        """Return the write that creates the run and, unless deferred, starts its first steps."""
        turn = Turn(self.state, self.facts, now_us, room)
        turn.emit(started)
        for event in known:
            turn.emit(event)
        self.row = replace(self.row, created_us=now_us, home=home)
        if not deferred:
            self._begin(turn)
        return self._write(turn, old_seq=0, create=True, release=deferred, letters=())

    def _begin(self, turn: Turn) -> None:
        begin_run(turn)
        if self._write_code is not None:
            self.code = self._write_code()
            self._obey(turn, self.code.start(turn.now_us))
            self._feed(turn)
        self._conclude(turn)

    def resume(
        self, now_us: int, *, room: int, verdict: ErrorRecord | None = None
    ) -> RunWrite | None:
        """Return the write, if any, that makes a revived run go on at its new home.

        With a `verdict` it does not go on: it cannot be decided any more, and is failed.
        """
        turn = Turn(self.state, self.facts, now_us, room)
        old_seq = self.state.seq
        if verdict is not None:
            self.is_condemned = True
            if self.state.status.is_open:
                fail_run(turn, verdict, reason="internal")
        elif self.state.status is RunStatus.QUEUED and ROOT not in self.state.steps:
            self._begin(turn)
        else:
            if self.state.status.is_open:
                self._replay(turn)
            decide(turn, Interrupted(died=self.row.recoveries > 0))
            # It may have come home because it is due, and leave again before its timer rings.
            decide(turn, Wake())
            self._feed(turn)
            self._conclude(turn)
        return self._write(turn, old_seq=old_seq, letters=())

    def _replay(self, turn: Turn) -> None:
        """Run the durable function, from its first line, up to where its journal ends."""
        if self._write_code is None:
            return
        if self.code is not None:
            self.code.close()
        self.code = self._write_code()
        self._obey(turn, Replay(turn, self.code).run())

    def _recall(self, turn: Turn) -> None:
        """Let the function of a closed run say again what its steps were, and nothing more."""
        if self._write_code is not None:
            code = self._write_code()
            Replay(turn, code).run()
            code.close()

    # -- turning messages into a write ---------------------------------------------------------

    def advance(self, now_us: int, *, room: int) -> RunWrite | None:
        """Apply the mailbox; return the write it takes, or None if nothing changed."""
        letters = self.mailbox[:MESSAGES_PER_TURN]
        turn = Turn(self.state, self.facts, now_us, room)
        old_seq = self.state.seq
        outcomes: list[tuple[Letter, Refused | None]] = []
        for letter in letters:
            turn.came_home = letter.came_home
            reopens = _reopens(turn, letter.message)
            if reopens and self.code is None:
                self._recall(turn)
            refusal = decide(turn, letter.message)
            if refusal is None and reopens:
                self._replay(turn)
            if self.code is not None:
                self._feed(turn)
            if letter.message_id:
                outcomes.append((letter, refusal))
        self._conclude(turn)
        del self.mailbox[: len(letters)]
        return self._write(turn, old_seq=old_seq, letters=outcomes)

    def release(self, now_us: int) -> RunWrite:
        """Return the write that gives up the home of a run that only waits."""
        turn = Turn(self.state, self.facts, now_us)
        self.in_flight = turn
        long = self.state.seq - self.snapshot_seq > SNAPSHOT_EVERY
        return RunWrite(
            run_no=self.run_no,
            home_epoch=self.home_epoch,
            old_seq=self.state.seq,
            new_seq=self.state.seq,
            row=self._row(now_us),
            updated_us=now_us,
            release=True,
            snapshot=_ENCODER.encode(self.state) if long else None,
        )

    def _conclude(self, turn: Turn) -> None:
        if self.state.seq > EVENTS_MAX - EVENTS_RESERVE and self.state.status.is_open:
            decide(turn, CodeFinished(error=encode_error(_TOO_LONG)))
        conclude(turn)
        while turn.deliveries:
            self._feed(turn)
            conclude(turn)

    def _feed(self, turn: Turn) -> None:
        """Give the durable function the results that came in, one at a time, in order."""
        code = self.code
        if code is None:
            turn.deliveries.clear()
            return
        while turn.deliveries:
            step = self.state.steps[turn.deliveries.popleft()]
            if code.finished or not code.waits_for(step.path):
                continue
            output = output_of(turn, step) if step.error is None else b""
            commands = code.deliver(step.path, output=output, error=step.error, now_us=turn.now_us)
            self._obey(turn, commands)

    def _obey(self, turn: Turn, commands: Sequence[Command]) -> None:
        """Decide what the durable function asked for; known steps are joined, not repeated."""
        for command in commands:
            known = isinstance(command, CodeStep) and self.state.paths.get(command.path)
            if not known or not isinstance(command, CodeStep):
                decide(turn, command)
                continue
            number = known
            self.facts.requests[number] = command
            if not self.state.steps[number].status.is_open:
                turn.deliveries.append(number)

    # -- the write -----------------------------------------------------------------------------

    def _write(
        self,
        turn: Turn,
        *,
        old_seq: int,
        letters: Sequence[tuple[Letter, Refused | None]],
        create: bool = False,
        release: bool = False,
    ) -> RunWrite | None:
        state = self.state
        self.wants_room = turn.wants_room
        self.room_left = turn.room
        if not turn.events and not letters and not create and not turn.receipts:
            return None
        self.in_flight = turn
        turn.rest()
        row: RunRow | None = None
        changed = state.status != self.row.status or state.reason != self.row.reason
        if create or release or changed or self.row.recoveries:
            row = self._row(turn.now_us)
        now_us = turn.now_us
        return RunWrite(
            run_no=state.run_no,
            home_epoch=self.home_epoch,
            old_seq=old_seq,
            new_seq=state.seq,
            create=create,
            row=row,
            updated_us=now_us,
            body=ev.pack(now_us, turn.events) if turn.events else b"",
            format=ev.FORMAT,
            release=release or not state.status.is_open,
            steps=[_step_row(state, step) for step in turn.touched.values() if step.no != ROOT],
            **(self._rarities(turn, letters) if letters or turn.has_rarities else NOTHING),
        )

    def _rarities(
        self, turn: Turn, letters: Sequence[tuple[Letter, Refused | None]]
    ) -> dict[str, Any]:
        """Return the parts of a write that most turns do not have."""
        state, now_us = self.state, turn.now_us
        return {
            "approvals": [self._asked_row(turn, asked) for asked in turn.approvals],
            # A step that asks again within the turn keeps one row: that of its open question.
            "decisions": [
                _decision(turn, record)
                for record in turn.decided
                if record.no not in state.approvals
            ],
            "dead_letters": _dead_letters(turn),
            "escalations": [_escalation(turn, record) for record in turn.escalated],
            "consumed": [letter.message_id for letter, _ in letters],
            "outcomes": [self._outcome(letter, refusal, now_us) for letter, refusal in letters],
            "posts": [
                _post(state, at, run_no, mail, now_us)
                for at, (run_no, mail) in enumerate(turn.posts)
            ],
            "receipts": turn.receipts,
            "grants": [_grant(state, record, now_us) for record in turn.grants],
        }

    def _row(self, now_us: int) -> RunRow:
        state = self.state
        tally = state.tally
        self.row = replace(
            self.row,
            workflow=state.workflow,
            status=state.status,
            reason=_storable(state.reason),
            generation=state.generation,
            last_seq=state.seq,
            wake_us=self.next_wake_us(),
            started_us=state.started_us or None,
            ended_us=state.ended_us or None,
            updated_us=now_us,
            recoveries=0,
            steps_open=sum(tally[: StepStatus.COMPLETED]),
            steps_done=tally[StepStatus.COMPLETED] + tally[StepStatus.SKIPPED],
            steps_failed=tally[StepStatus.FAILED],
            output=state.output,
            error=state.error,
        )
        if state.status is RunStatus.QUEUED:
            self.row = replace(self.row, wake_us=now_us)
        return self.row

    def _outcome(self, letter: Letter, refusal: Refused | None, now_us: int) -> OutcomeRow:
        return OutcomeRow(
            message_id=letter.message_id,
            run_no=self.run_no,
            applied=refusal is None,
            status=self.state.status,
            seq=self.state.seq,
            detail="" if refusal is None else _storable(refusal.sentence),
            decided_us=now_us,
            word="" if refusal is None else refusal.word,
        )

    def _asked_row(self, turn: Turn, asked: ApprovalAsked) -> ApprovalRow:
        step = self.state.steps[asked.step_no]
        return ApprovalRow(
            approval_no=approval_no(self.run_no, asked.step_no),
            run_no=self.run_no,
            step_no=asked.step_no,
            organization=self.state.organization,
            conversation_id=self.state.labels.get("conversation_id", ""),
            path=_storable(step.path),
            prompt=_storable(asked.prompt),
            payload=asked.payload,
            payload_hash=asked.payload_hash,
            status=0,
            generation=self.state.generation,
            created_us=turn.now_us,
            expires_us=asked.expires_us or None,
            requested_by=_storable(", ".join(self.state.requesters)),
            four_eyes=asked.four_eyes,
        )

    # -- after the commit ----------------------------------------------------------------------

    def take_turn(self) -> Turn | None:
        """Return the turn that just became durable, once."""
        turn, self.in_flight = self.in_flight, None
        return turn

    def invocation(self, step: Step, resolve: Callable[[str, Any], Invocation]) -> Invocation:
        """Return what an attempt of `step` runs; raises what makes the attempt fail."""
        if step.task >= 0:
            turn = Turn(self.state, self.facts, 0)
            return resolve(turn.task_of(step).uses, arguments_of(turn, step))
        if self.code is None:
            raise RuntimeError("a code step without its function")
        path = step.path if step.scope == ROOT else self.state.steps[step.scope].path
        return self.code.invocation(path, step.index)

    def effect_key(self, step: Step) -> str:
        """Return the idempotency key the author declared for `step`, or ""."""
        if step.task < 0 or self.facts.plan.tasks[step.task].effect_key is None:
            return ""
        return render_effect_key(Turn(self.state, self.facts, 0), step)

    def expect(self, message_id: str) -> bool:
        """Note that mail arrives; return False for mail that has arrived before."""
        if message_id in self.known_mail or message_id in self._consumed:
            return False
        self.known_mail[message_id] = None
        return True

    def receive(self, message: Message, message_id: str = "", *, came_home: bool = False) -> None:
        """Put a message into the mailbox; mail is expected first."""
        self.mailbox.append(Letter(message, message_id, came_home and self.was_stranded))

    def forget_mail(self, message_ids: Sequence[str]) -> None:
        """Note that mail was consumed; a copy that was read before that may still arrive."""
        for message_id in message_ids:
            self.known_mail.pop(message_id, None)
            self._consumed[message_id] = None
        while len(self._consumed) > CONSUMED_KEPT:
            del self._consumed[next(iter(self._consumed))]

    def close(self) -> None:
        """Let go of the durable function; a closed actor decides nothing more."""
        self.is_closed = True
        if self.code is not None:
            self.code.close()


_REOPENING: Final = frozenset({Retry, Skip})


def _reopens(turn: Turn, message: Message) -> bool:
    """Return whether a message means to open a failed run again."""
    if turn.state.status is not RunStatus.FAILED:
        return False
    if isinstance(message, ChildEnded):
        return is_mended(turn, message)
    return type(message) in _REOPENING


_ENCODER: Final = msgspec.msgpack.Encoder()
_STATE: Final = msgspec.msgpack.Decoder(RunState)

_TOO_LONG: Final = ErrorRecord(
    code="PDM-T050",
    kind="HistoryFull",
    message="The run has used up its 16 million events.",
    why="Every event of a run has a number in 24 bits.",
    fix="End long loops with podium.continue_as_new(state), which starts a fresh run.",
    retryable=False,
)


def _storable(text: str) -> str:
    """Return `text` without NUL, which no store keeps: names and reasons come from users."""
    return text.replace("\0", "\ufffd") if "\0" in text else text


def _step_row(state: RunState, step: Step) -> StepRow:
    return StepRow(
        run_no=state.run_no,
        step_no=step.no,
        path=_storable(step.path),
        task=str(step.task) if step.task >= 0 else "",
        kind=step.kind,
        status=step.status,
        reason=_storable(step.reason),
        attempts=step.attempts,
        started_us=step.started_us or None,
        ended_us=step.ended_us or None,
        wake_us=step.wake_us or None,
        error=step.error,
    )


def _dead_letters(turn: Turn) -> list[DeadLetterRow]:
    """Return what was parked in the turn, and what became of what was."""
    news = [(step.no, step.path, "parked") for step in turn.parked]
    return [
        DeadLetterRow(
            run_no=turn.state.run_no,
            step_no=no,
            path=_storable(path),
            reason=PARKED,
            created_us=turn.now_us,
            status=status,
        )
        for no, path, status in (*news, *turn.letters)
    ]


def _decision(turn: Turn, record: ev.ApprovalDecided) -> ApprovalDecision:
    return ApprovalDecision(
        approval_no=approval_no(turn.state.run_no, record.no),
        status=record.decision,
        decided_us=turn.now_us,
        decided_by=_storable(record.by),
        comment=_storable(record.comment),
        edited=record.payload,
        rework=record.no in turn.reworked,
    )


def _escalation(turn: Turn, record: ev.ApprovalEscalated) -> Escalation:
    return Escalation(
        approval_no=approval_no(turn.state.run_no, record.no),
        at_us=turn.now_us,
        to=_storable(record.to),
    )


def _grant(state: RunState, record: ev.BudgetGranted, now_us: int) -> GrantRow:
    return GrantRow(
        grant_id=f"{state.run_no}.{record.no}.{state.seq}",
        account=record.account,
        amounts=Amounts(record.cost_nano, record.tokens, record.calls, record.time_us),
        run_no=state.run_no,
        by=_storable(record.by),
        at_us=now_us,
    )


def _post(state: RunState, at: int, run_no: int, mail: Mail, now_us: int) -> MessageRow:
    """Return a message whose id is the same when the same turn is decided again."""
    return MessageRow(
        message_id=f"{state.run_no}.{state.seq}.{at}",
        run_no=run_no,
        body=encode_mail(mail),
        sent_us=now_us,
    )
