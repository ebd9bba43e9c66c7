"""Brings a durable function back to where it was: its journal, delivered again in order.

Two things can be wrong, and both mean that the function changed under its journal: it asks
for another step under a recorded path, or it does not ask for a recorded step at all.
"""

from podium.core.messages import CodeCancel, CodeFinished, CodeStep
from podium.core.payload import ErrorRecord, encode_error
from podium.core.scope import output_of
from podium.core.state import ROOT, Step
from podium.core.states import StepKind
from podium.core.turn import Turn
from podium.runtime.code import CodeRun, Command

__all__ = ["Replay"]


class Replay:
    """One replay. `run` returns what the function asks for beyond its journal."""

    def __init__(self, turn: Turn, code: CodeRun) -> None:
        self._turn = turn
        self._state = turn.state
        self._code = code
        self._beyond: list[Command] = []
        self._late: dict[str, int] = {}
        """Recorded results of a re-opened run that the function has not asked for yet."""
        self._given_up: dict[str, None] = {}
        """Steps of branches that the function abandoned."""
        self._fault: CodeFinished | None = None

    def run(self) -> list[Command]:
        """Drive the function through its recorded results; return the commands left over."""
        self._take(self._code.start(self._turn.now_us))
        for number in list(self._state.ended):
            if self._fault is not None or self._code.finished:
                break
            self._deliver_recorded(self._state.steps[number])
        if self._fault is None:
            self._check_unasked()
        return self._beyond if self._fault is None else [self._fault]

    def _deliver_recorded(self, step: Step) -> None:
        if self._code.waits_for(step.path):
            self._deliver(step)
        elif step.path in self._given_up:
            # It ended in the same instant in which a sibling branch failed: nobody was told.
            return
        elif self._state.generation > 1:
            # A retried step may ask in another order than its first life did: results of
            # that life wait here until the function asks for them.
            self._late[step.path] = step.no
        else:
            self._missing(step)

    def _deliver(self, step: Step) -> None:
        output = output_of(self._turn, step) if step.error is None else b""
        commands = self._code.deliver(
            step.path, output=output, error=step.error, now_us=self._turn.now_us
        )
        self._take(commands)
        while self._late:
            path = next((path for path in self._late if self._code.waits_for(path)), None)
            if path is None:
                return
            self._deliver(self._state.steps[self._late.pop(path)])

    def _take(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, CodeCancel):
                self._given_up.update(dict.fromkeys(command.paths))
            number = self._state.paths.get(command.path) if type(command) is CodeStep else None
            if number is None or type(command) is not CodeStep:
                self._beyond.append(command)
                continue
            step = self._state.steps[number]
            self._turn.facts.requests[number] = command
            if _differs(step, command):
                self._changed(step, command)

    def _check_unasked(self) -> None:
        """Look for open steps nobody waits for: the function no longer asks for them.

        In a re-opened run that is no fault: the retried step may lead another way.
        """
        if self._code.finished:
            return
        roots = [step for step in self._state.steps.values() if step.scope == ROOT and step.no]
        lost = [s for s in roots if s.status.is_open and not self._code.waits_for(s.path)]
        if lost and self._state.generation > 1:
            self._beyond.append(CodeCancel(tuple(step.path for step in lost)))
        elif lost:
            self._missing(lost[0])

    def _missing(self, step: Step) -> None:
        asked = ", ".join(repr(path) for path in self._code.waiting[:3]) or "nothing"
        self._fail(
            f"The function no longer asks for the step {step.path!r}; it asks for {asked}.",
        )

    def _changed(self, step: Step, command: CodeStep) -> None:
        if command.kind is not step.kind:
            what = f"is a {StepKind(command.kind).name.lower()} now and was recorded as a "
            self._fail(f"The step {step.path!r} {what}{step.kind.name.lower()}.")
        else:
            self._fail(f"The step {step.path!r} is called with other arguments than recorded.")

    def _fail(self, what: str) -> None:
        if self._fault is not None:
            return
        record = ErrorRecord(
            code="PDM-T010",
            kind="NondeterminismError",
            message=what,
            why="The journal holds what the function did before; its code changed since, or "
            "depends on time, chance or the outside world.",
            fix="Restore the code this run was started with and `podium runs retry RUN`, or "
            "start anew with `podium runs rerun RUN`.",
            retryable=False,
        )
        self._fault = CodeFinished(error=encode_error(record))


def _differs(step: Step, command: CodeStep) -> bool:
    if step.kind is not command.kind:
        return True
    return bool(step.mark and command.mark and step.mark != command.mark)
