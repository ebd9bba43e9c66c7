"""What programs hold in their hands: an `App` on a store, and a handle on each run."""

import asyncio
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec

from podium.authoring.decorators import DurableWorkflow
from podium.authoring.graph import Graph
from podium.authoring.inputs import check_inputs
from podium.core.budget_values import limits_of
from podium.core.budgets import Amounts, Limits
from podium.core.definition import Workflow, WorkflowKind
from podium.core.ids import approval_id, parse_approval_id, parse_run_id, run_id, unpack_key
from podium.core.messages import Abort, Cancel, Decide, Mail, Pause, Resume, Retry, Signal, Skip
from podium.core.payload import ErrorRecord, decode_error
from podium.core.states import RunStatus
from podium.errors import (
    ConflictError,
    NotFoundError,
    RequestError,
    RunError,
    StoreError,
    TaskError,
)
from podium.ports.ledger import AccountRow, GrantRow, LedgerRow
from podium.ports.store import ApprovalRow, ApprovalStatus, OutcomeRow, RunRow
from podium.runtime.engine import Engine
from podium.runtime.options import StartRequest
from podium.runtime.reruns import rerun_request
from podium.runtime.views import RunView, view_run

__all__ = ["App", "RunHandle", "Startable"]

Startable = DurableWorkflow[..., Any] | Graph | Workflow | str
"""A durable function, a graph, a loaded definition, or the name of a published workflow."""


class App:
    """A podium process as a program sees it; use it as an async context manager.

    Opening it starts an engine in this event loop; leaving it hands every unfinished run back
    to the store, where the next engine finds it.
    """

    def __init__(self, engine: Engine, *, organization: str = "default") -> None:
        self.engine = engine
        self.organization = organization
        self._task: asyncio.Task[None] | None = None
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        """Open the store and start the engine; raises `StoreError` if the store is unusable."""
        await self.engine.store.open()
        await self._group.__aenter__()
        self._task = self._group.create_task(self.engine.run(), name="podium-engine")
        started = self._group.create_task(self.engine.started())
        await asyncio.wait([self._task, started], return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            started.cancel()
            await self._task
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the engine and close the store."""
        self.engine.stop()
        try:
            await self._group.__aexit__(None, None, None)
        finally:
            await self.engine.registry.services.close()
            await self.engine.store.close()

    # -- starting ------------------------------------------------------------------------------

    async def start(
        self,
        workflow: Startable,
        *,
        input: Any = None,  # noqa: A002 - the word of the contract
        idempotency_key: str | None = None,
        priority: int = 50,
        labels: Mapping[str, str] | None = None,
        version: str = "",
        detach: bool = False,
        budget: Mapping[str, Any] | None = None,
    ) -> "RunHandle":
        """Start a run; durable on return.

        The same `idempotency_key` with the same workflow version and input returns the run it
        started first; with others it raises `ConflictError` PDM-C010. `detach` leaves the run
        to any engine on this store. `budget`, such as `{"usd": 0.50, "calls": 40}`, limits what
        the run and its child runs may use of models. Raises `RequestError` for input that does
        not fit.
        """
        plan = await self._plan(workflow, version)
        value = _checked_input(plan.workflow, input)
        body = self.engine.payloads.encode(value)
        digest = hashlib.sha256(plan.def_hash.encode() + body).hexdigest()
        request = StartRequest(
            plan=plan,
            input=body,
            organization=self.organization,
            idempotency_key=idempotency_key,
            request_hash=digest,
            priority=priority,
            labels=dict(labels or {}),
            deferred=detach,
            budget=None if budget is None else _limits(budget),
        )
        row = await self.engine.start(request)
        return RunHandle(self, row.run_no)

    async def _plan(self, workflow: Startable, version: str) -> Any:
        registry = self.engine.registry
        if isinstance(workflow, str):
            return await registry.named(workflow, version)
        if isinstance(workflow, DurableWorkflow):
            registry.remember(workflow.definition.entrypoint, workflow.function)
            return await registry.publish(workflow.definition)
        if isinstance(workflow, Graph):
            for target, function in workflow.functions.items():
                registry.remember(target, function)
            return await registry.publish(workflow.build(expressions=registry.expressions))
        return await registry.publish(workflow)

    async def rerun(
        self,
        run: str,
        *,
        from_step: str = "",
        changes: Mapping[str, Any] | None = None,
        version: str = "",
    ) -> "RunHandle":
        """Start a new run from an old one: same workflow and input, with `changes` merged in.

        With `from_step`, finished steps that do not come after it keep their results. Allowed
        in every state of the old run, which stays as it is.
        """
        request = await rerun_request(
            self.engine,
            parse_run_id(run),
            from_step=from_step,
            changes=dict(changes or {}),
            version=version,
        )
        row = await self.engine.start(request)
        return RunHandle(self, row.run_no)

    def run(self, run: str) -> "RunHandle":
        """Return a handle on a run by its id; nothing is looked up yet."""
        return RunHandle(self, parse_run_id(run))

    async def recover(self) -> int:
        """Take over unfinished runs of dead processes; return how many came."""
        return await self.engine.adopt_all()

    # -- budgets -------------------------------------------------------------------------------

    async def budgets(self, *, prefix: str = "", limit: int = 100) -> Sequence[AccountRow]:
        """Return where the accounts of budgets stand, those used last first."""
        return await self.engine.store.accounts(prefix=prefix, limit=limit)

    async def ledger(self, run: str, *, limit: int = 1000) -> Sequence[LedgerRow]:
        """Return what a run and its child runs were billed, oldest first."""
        return await self.engine.store.ledger(parse_run_id(run), limit=limit)

    async def grant(self, account: str, amounts: Mapping[str, Any], *, by: str = "") -> None:
        """Raise the limits of an account for everybody, such as by `{"usd": 5}`."""
        more = _limits(amounts)
        row = GrantRow(
            grant_id=uuid.uuid4().hex,
            account=account,
            amounts=Amounts(
                more.cost_nano or 0, more.tokens or 0, more.calls or 0, more.time_us or 0
            ),
            by=by,
            at_us=self.engine.store.now_us(),
        )
        await self.engine.store.grant(row)

    # -- approvals -----------------------------------------------------------------------------

    async def approvals(self, *, pending: bool = True) -> Sequence[ApprovalRow]:
        """Return approvals, oldest first."""
        return await self.engine.store.approvals(pending=pending)

    async def decide(
        self,
        approval: str,
        decision: str,
        *,
        by: str = "",
        comment: str = "",
        payload: Any = msgspec.UNSET,
    ) -> OutcomeRow:
        """Decide an approval: approve, reject, or edit (approve with another payload).

        Repeating a decision is harmless; another one than the first raises `ConflictError`
        PDM-C020. The decision is bound to the payload that was shown.
        """
        number = parse_approval_id(approval)
        row = await self.engine.store.approval(number)
        if row is None:
            raise NotFoundError(
                f"The approval {approval!r} does not exist.",
                fix="List what waits with `podium approvals list`.",
                code="PDM-R407",
            )
        chosen = "edit" if payload is not msgspec.UNSET else decision
        _check_decision(row, approval, chosen)
        run_no, step_no = unpack_key(number)
        edited = None if payload is msgspec.UNSET else self.engine.payloads.encode(payload)
        mail = Decide(
            by=by,
            step_no=step_no,
            decision=chosen,
            payload_hash=row.payload_hash,
            comment=comment,
            payload=edited,
        )
        # One decision for each question: the id makes a repeat find the first outcome.
        message_id = f"decide.{number}.{row.generation}.{row.payload_hash[:16]}.{mail.decision}"
        return await self.engine.tell(run_no, mail, message_id=message_id)


class RunHandle:
    """One run: wait for it, ask about it, tell it things."""

    def __init__(self, app: App, run_no: int) -> None:
        self._app = app
        self.run_no = run_no

    def __repr__(self) -> str:
        """Return the id, for logs and prompts."""
        return f"<RunHandle {self.id}>"

    @property
    def id(self) -> str:
        """Return the public id of the run."""
        return run_id(self.run_no)

    async def result(self) -> Any:
        """Wait for the end and return the output.

        Raises `RunError` if the run failed, was cancelled or aborted; a durable function that
        continued as new is followed to the life that ends.
        """
        row = await self.wait()
        if row.status == RunStatus.COMPLETED:
            if row.reason == "continued_as_new":
                return await (await self._next_life(row)).result()
            return await self._output(row)
        raise run_error(row)

    async def wait(self) -> RunRow:
        """Wait until the run is closed and return its row, however it ended."""
        return await self._app.engine.ended(self.run_no)

    async def _next_life(self, row: RunRow) -> "RunHandle":
        key = f"continue:{self.id}"
        for _ in range(100):
            found = await self._app.engine.store.run_by_key(row.organization, key)
            if found is not None:
                return RunHandle(self._app, found.run_no)
            await asyncio.sleep(0.01)
        raise StoreError("The next life of the run has not started.", code="PDM-S021")

    async def _output(self, row: RunRow) -> Any:
        if row.output is not None:
            return self._app.engine.payloads.decode(row.output)
        return (await self.view()).output

    async def view(self) -> RunView:
        """Return the run with its steps, folded from the journal as of now."""
        return await view_run(self._app.engine, self.run_no)

    async def row(self) -> RunRow:
        """Return the run's row; raises `NotFoundError`."""
        row = await self._app.engine.store.run(self.run_no)
        if row is None:
            raise NotFoundError(
                f"The run {self.id} does not exist in this store.",
                fix="List the runs with `podium runs list`.",
            )
        return row

    async def status(self) -> RunStatus:
        """Return where the run stands."""
        return RunStatus((await self.row()).status)

    # -- verbs ---------------------------------------------------------------------------------

    async def _tell(self, mail: Mail) -> RunStatus:
        outcome = await self._app.engine.tell(self.run_no, mail)
        return RunStatus(outcome.status)

    async def cancel(self, *, by: str = "", reason: str = "") -> RunStatus:
        """Stop cooperatively; returns the state, `ConflictError` if it is closed already."""
        return await self._tell(Cancel(by=by, reason=reason))

    async def abort(self, *, by: str = "", reason: str = "") -> RunStatus:
        """Stop now, whatever runs."""
        return await self._tell(Abort(by=by, reason=reason))

    async def pause(self, *, by: str = "") -> RunStatus:
        """Start nothing more until `resume`; what runs may end."""
        return await self._tell(Pause(by=by))

    async def resume(self, *, by: str = "") -> RunStatus:
        """Go on after `pause`."""
        return await self._tell(Resume(by=by))

    async def retry(self, step: str = "", *, by: str = "") -> RunStatus:
        """Run the failed steps of a failed run again, in place."""
        return await self._tell(Retry(by=by, step=step))

    async def skip(self, step: str = "", *, output: Any = None, by: str = "") -> RunStatus:
        """Take `output` for a failed step and go on."""
        body = self._app.engine.payloads.encode(output)
        return await self._tell(Skip(by=by, step=step, output=body))

    async def signal(self, name: str, payload: Any = None, *, by: str = "") -> RunStatus:
        """Send a signal; it is kept until the run waits for it."""
        body = self._app.engine.payloads.encode(payload)
        return await self._tell(Signal(by=by, name=name, payload=body))

    async def pending_approvals(self) -> list[str]:
        """Return the ids of the approvals this run waits for."""
        rows = await self._app.engine.store.approvals(pending=True, run_no=self.run_no)
        return [approval_id(row.approval_no) for row in rows]


def _limits(value: Mapping[str, Any]) -> Limits:
    try:
        return limits_of(value)
    except ValueError as error:
        raise RequestError(
            f"This is no budget: {error}.",
            fix='For example {"usd": 0.50, "tokens": 200000, "calls": 40, "time": "10m"}.',
            code="PDM-R053",
        ) from error


_ANSWERS = {
    ApprovalStatus.APPROVED: "approve",
    ApprovalStatus.REJECTED: "reject",
    ApprovalStatus.EDITED: "edit",
}


def _check_decision(row: ApprovalRow, approval: str, decision: str) -> None:
    """Refuse a decision that contradicts the one that was taken."""
    taken = _ANSWERS.get(ApprovalStatus(row.status))
    if taken is not None and taken != decision:
        raise ConflictError(
            f"The approval {approval} was already decided: {taken}"
            + (f" by {row.decided_by}." if row.decided_by else "."),
            why="A decision stands; the run has gone on with it.",
            fix="Rerun the run if the decision was wrong: `podium runs rerun RUN`.",
            code="PDM-C020",
        )


def _checked_input(workflow: Workflow, value: Any) -> Any:
    """Return the input of a run; a durable function may take a single value that is no map."""
    if workflow.inputs is None and workflow.kind is WorkflowKind.CODE:
        return value
    return check_inputs(workflow, value)


def run_error(row: RunRow) -> RunError:
    """Return the error that a run's row stands for."""
    status = RunStatus(row.status)
    if row.error is not None:
        record: ErrorRecord = decode_error(row.error)
        error = TaskError(record.message, kind=record.kind, why=record.why, fix=record.fix)
        error.code = record.code
        error.record = record
        return error
    what = f"The run {run_id(row.run_no)} was {status.label}."
    return RunError(what, why=f"Reason: {row.reason or status.label}.", code="PDM-T004")
