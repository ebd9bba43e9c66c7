"""The verbs of a run: what programs, the command line and the server tell it."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from podium.authoring.deciding import unknown_approval
from podium.core.ids import parse_approval_id, parse_step_id, unpack_key
from podium.core.messages import Abort, Cancel, Mail, Pause, Resume, Retry, Signal, Skip
from podium.core.states import RunStatus
from podium.errors import RequestError
from podium.runtime.answers import unknown_step

__all__ = ["Steering", "check_signal_name"]

STEP_ID: Final = "stp_"
"""How the record id of a step begins; its path never does."""
SIGNAL_NAME_MAX: Final = 255


class Steering(Protocol):
    """The verbs, for whoever can deliver a message to the run and encode a payload."""

    run_no: int

    @property
    def id(self) -> str:
        """Return the public id of the run."""

    async def _tell(self, mail: Mail) -> RunStatus: ...

    async def _approve(
        self, approval: str, *, by: str, payload: Any, seen_seq: int
    ) -> RunStatus: ...

    def _encode(self, value: Any) -> bytes: ...

    async def cancel(self, *, by: str = "", reason: str = "", seen_seq: int = 0) -> RunStatus:
        """Stop cooperatively; returns the state, `ConflictError` if it is closed already.

        Like every verb it takes `seen_seq`, the last event of the run that the caller saw: if
        the run has gone on since, it is refused with the word `stale`.
        """
        return await self._tell(Cancel(by=by, reason=reason, seen_seq=seen_seq))

    async def abort(self, *, by: str = "", reason: str = "", seen_seq: int = 0) -> RunStatus:
        """Stop now, whatever runs."""
        return await self._tell(Abort(by=by, reason=reason, seen_seq=seen_seq))

    async def pause(self, *, by: str = "", seen_seq: int = 0) -> RunStatus:
        """Start nothing more until `resume`; what runs may end."""
        return await self._tell(Pause(by=by, seen_seq=seen_seq))

    async def resume(
        self,
        *,
        by: str = "",
        approval: str = "",
        payload: Any = msgspec.UNSET,
        seen_seq: int = 0,
    ) -> RunStatus:
        """Go on after `pause`; with `approval`, approve that approval of this run.

        Raises what `App.decide` raises, and `NotFoundError` for an approval of another run.
        """
        if not approval:
            return await self._tell(Resume(by=by, seen_seq=seen_seq))
        if unpack_key(parse_approval_id(approval))[0] != self.run_no:
            raise unknown_approval(approval)
        return await self._approve(approval, by=by, payload=payload, seen_seq=seen_seq)

    async def retry(
        self,
        step: str = "",
        *,
        by: str = "",
        inputs: Any = msgspec.UNSET,
        agents: Mapping[str, str] | None = None,
        seen_seq: int = 0,
    ) -> RunStatus:
        """Run the failed steps of a failed run again, in place; `step` by path or record id.

        `inputs` are arguments to take instead: an object is merged into those of the task.
        `agents` lets other agents stand in (slug, or path of a step → slug). What a person has
        approved is asked again if it changes. An open run without a live attempt tries again
        now what only waits for its turn.

        Raises `NotFoundError` for a step the run never had, and `ConflictError`: `wrong_state`,
        `recovery_in_flight` (another retry was quicker), `stale`, `step_needed`,
        `unknown_agent`, `approval_needed`.
        """
        mail = Retry(
            by=by,
            seen_seq=seen_seq,
            step="" if step.startswith(STEP_ID) else step,
            step_no=self._step_no(step),
            arguments=None if inputs is msgspec.UNSET else self._encode(inputs),
            agents=dict(agents or {}),
        )
        return await self._tell(mail)

    async def skip(
        self, step: str = "", *, output: Any = None, by: str = "", seen_seq: int = 0
    ) -> RunStatus:
        """Take `output` for a failed or resting step and go on; `step` by path or record id.

        A step that takes an approval is not got around: a person is asked about the output.
        Raises like `retry`.
        """
        mail = Skip(
            by=by,
            seen_seq=seen_seq,
            step="" if step.startswith(STEP_ID) else step,
            step_no=self._step_no(step),
            output=self._encode(output),
        )
        return await self._tell(mail)

    def _step_no(self, step: str) -> int:
        """Return the number of a step that is named by its record id; 0 for a path."""
        if not step.startswith(STEP_ID):
            return 0
        run_no, step_no = parse_step_id(step)
        if run_no != self.run_no or not step_no:
            raise unknown_step(step, self.id)
        return step_no

    async def signal(self, name: str, payload: Any = None, *, by: str = "") -> RunStatus:
        """Send a signal; it is kept until the run waits for it."""
        check_signal_name(name)
        body = self._encode(payload)
        return await self._tell(Signal(by=by, name=name, payload=body))


def check_signal_name(name: str) -> None:
    """Refuse what nobody could wait for; raises `RequestError` PDM-R160."""
    if not 0 < len(name) <= SIGNAL_NAME_MAX or not name.isprintable():
        raise RequestError(
            f"{name[:40]!r} is no name of a signal.",
            why=f"A name has 1 to {SIGNAL_NAME_MAX} characters that can be printed.",
            fix="Use the name that the run waits for: `podium runs explain RUN` says it.",
            code="PDM-R160",
        )
