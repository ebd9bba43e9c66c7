"""What programs hold in their hands: an `App` on a store, and a handle on each run."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from podium.authoring.accounts import accounts_of, check_account, rules_of, set_rule
from podium.authoring.admission import Admission
from podium.authoring.deciding import decide, find_approval
from podium.authoring.decorators import DurableWorkflow
from podium.authoring.files import WorkflowFile
from podium.authoring.following import follow
from podium.authoring.graph import Graph
from podium.authoring.inputs import fit_input
from podium.authoring.logs import Logs
from podium.authoring.recovery import BULK_MAX, BulkResult, DeadLetters, bulk
from podium.authoring.schedules import Schedules
from podium.authoring.standing import Standing
from podium.authoring.steering import Steering
from podium.authoring.streaming import text_of
from podium.authoring.webhooks import WebhookDesk
from podium.authoring.workflows import Workflows
from podium.core.budget_values import limits_of
from podium.core.budgets import Amounts, Budget, Limits
from podium.core.cloudevents import CloudEvent
from podium.core.definition import Workflow
from podium.core.ids import (
    approval_id,
    parse_approval_id,
    parse_run_id,
    parse_step_id,
    run_id,
)
from podium.core.messages import Mail, Retry
from podium.core.payload import ErrorRecord, decode_error
from podium.core.states import RunStatus
from podium.errors import (
    RequestError,
    RunError,
    StoreError,
    TaskError,
)
from podium.ports.ledger import AccountRow, GrantRow, LedgerRow
from podium.ports.store import ApprovalRow, OutcomeRow, RunFilter, RunRow
from podium.runtime.answers import unknown_run, unknown_step
from podium.runtime.engine import Engine
from podium.runtime.explain import Explanation, explain_run
from podium.runtime.options import StartRequest
from podium.runtime.reruns import rerun_request
from podium.runtime.services import FOLDER_LABEL
from podium.runtime.streams import Chunk
from podium.runtime.views import RunView, StepView, look_at, view_step

__all__ = ["App", "RunHandle", "Startable"]

Startable = DurableWorkflow[..., Any] | Graph | Workflow | WorkflowFile | str
"""A durable function, a graph, what `podium.load` read, or the name of a published workflow."""
BUDGET_WORDS: Final = ("usd", "tokens", "calls", "time")


class App(Standing):
    """A podium process as a program sees it; use it as an async context manager.

    Opening it starts an engine in this event loop; leaving it hands every unfinished run back
    to the store, where the next engine finds it.
    """

    def __init__(self, engine: Engine, *, organization: str = "default") -> None:
        super().__init__(engine, organization=organization)
        engine.scheduler.fit = fit_input
        self.admission: Admission | None = None
        """What callers from outside may have run; None for those who may do anything."""
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
        by: str = "",
    ) -> "RunHandle":
        """Start a run; durable on return.

        The same `idempotency_key` with the same workflow version and input returns the run it
        started first; with others it raises `ConflictError` PDM-C010. `detach` leaves the run
        to any engine on this store. `budget`, such as `{"usd": 0.50, "calls": 40}`, limits what
        the run and its child runs may use of models. `by` is who asks: where a task declares
        `four_eyes`, they cannot approve it. Raises `RequestError` for input that does not fit.
        """
        marks = dict(labels or {})
        if isinstance(workflow, WorkflowFile):
            marks.setdefault(FOLDER_LABEL, str(workflow.folder))
            workflow = workflow.definition
        plan = await self._plan(workflow, version)
        value = fit_input(plan.workflow, input)
        body = self.engine.payloads.encode(value)
        digest = hashlib.sha256(plan.def_hash.encode() + body).hexdigest()
        request = StartRequest(
            plan=plan,
            input=body,
            organization=self.organization,
            idempotency_key=idempotency_key,
            request_hash=digest,
            priority=priority,
            labels=marks,
            deferred=detach,
            budget=None if budget is None else _limits(budget),
            requesters=(by or self.by,) if by or self.by else (),
        )
        row = await self.engine.start(request)
        facts = {"workflow": row.workflow, "version": row.def_hash[:12]}
        await self.audit.record("run.start", run_id(row.run_no), detail=facts)
        return RunHandle(self, row.run_no, started=row)

    async def _plan(
        self, workflow: DurableWorkflow[..., Any] | Graph | Workflow | str, version: str
    ) -> Any:
        registry, owner = self.engine.registry, self.organization
        if isinstance(workflow, str):
            return await registry.named(workflow, version, organization=owner)
        if isinstance(workflow, DurableWorkflow):
            registry.remember(workflow.definition.entrypoint, workflow.function)
            return await registry.publish(workflow.definition, organization=owner)
        if isinstance(workflow, Graph):
            for target, function in workflow.functions.items():
                registry.remember(target, function)
            workflow = workflow.build(expressions=registry.expressions)
        return await registry.publish(workflow, organization=owner)

    async def rerun(
        self,
        run: str,
        *,
        from_step: str = "",
        changes: Mapping[str, Any] | None = None,
        version: str = "",
        agents: Mapping[str, str] | None = None,
        by: str = "",
        detach: bool = False,
    ) -> "RunHandle":
        """Start a new run from an old one: same workflow and input, with `changes` merged in.

        With `from_step` (a path or a record id), finished steps that do not come after it keep
        their results; what a person had approved is asked again if anything is built on it.
        `agents` lets other agents stand in. Allowed in every state of the old run, which stays
        as it is. Raises `NotFoundError`, `RequestError` for input that does not fit, and
        `ConflictError` `unknown_agent`.
        """
        run_no = parse_run_id(run)
        old = await self.visible(run_no)
        request = await rerun_request(
            self.engine,
            run_no,
            from_step=from_step,
            changes=dict(changes or {}),
            version=version,
            agents=dict(agents or {}),
            by=by or self.by,
            check=fit_input,
        )
        row = await self.engine.start(replace(request, deferred=detach))
        facts = {"to": run_id(row.run_no)}
        owner = old.organization
        await self.audit.record("run.rerun", run, organization=owner, detail=facts)
        return RunHandle(self, row.run_no)

    def run(self, run: str) -> "RunHandle":
        """Return a handle on a run by its id; nothing is looked up yet."""
        return RunHandle(self, parse_run_id(run))

    async def list_runs(
        self, where: RunFilter | None = None, *, limit: int = 100, before: str = ""
    ) -> Sequence[RunRow]:
        """Return runs newest first, those older than the run `before` (keyset paging)."""
        wanted = where or RunFilter()
        if self.scope:
            wanted = msgspec.structs.replace(wanted, organization=self.scope)
        older = parse_run_id(before) if before else None
        return await self.engine.store.runs(wanted, limit=limit, before=older)

    @property
    def logs(self) -> Logs:
        """Return what the attempts of runs printed and logged."""
        return Logs(self)

    def follow(self, run: str, *, after: int = 0) -> AsyncGenerator[CloudEvent]:
        """Yield the events of a run after a sequence number, in order, until the run has ended.

        Go on with the `sequence` of the last event, in any process: nothing is missed and
        nothing comes twice. Raises `NotFoundError`, `RequestError` PDM-R150 for a cursor that
        is none of this run, and `GoneError` PDM-R415 for events that retention removed.
        """
        return follow(self, run, after=after)

    @property
    def dead_letters(self) -> DeadLetters:
        """Return the steps that are parked: interrupted too often to be tried again."""
        return DeadLetters(self)

    async def bulk(
        self,
        verb: str,
        where: RunFilter,
        *,
        dry_run: bool = False,
        limit: int = BULK_MAX,
        by: str = "",
        **options: Any,
    ) -> BulkResult:
        """Apply a verb to the runs of a filter, newest first; one that refuses stops no other.

        `dry_run` says what would happen, as things stand. `options` are those of the verb, such
        as `reason`. Raises `RequestError` for an unknown verb, or for a filter that leaves
        nothing out.
        """

        async def act(row: RunRow) -> RunStatus:
            handle = RunHandle(self, row.run_no)
            status: RunStatus = await getattr(handle, verb)(by=by, **options)
            return status

        return await bulk(self, verb, where, act, dry_run=dry_run, limit=limit)

    @property
    def webhooks(self) -> WebhookDesk:
        """Return the desk of webhooks: make, change, rotate, replay, receive."""
        return WebhookDesk(self)

    async def check_edit(self, run_no: int, arguments: Any) -> None:
        """Raise `AccessError` for arguments that a caller from outside may not give a step."""
        if self.admission is not None:
            row = await self.visible(run_no)
            plan = await self.engine.registry.plan(row.def_hash)
            self.admission.check_edit(plan.workflow, arguments)

    async def recover(self) -> int:
        """Take over unfinished runs of dead processes; return how many came."""
        return await self.engine.adopt_all()

    @property
    def schedules(self) -> Schedules:
        """Return the schedules."""
        return Schedules(self)

    @property
    def workflows(self) -> Workflows:
        """Return the published definitions."""
        return Workflows(self.engine, self.organization, self.audit)

    # -- budgets -------------------------------------------------------------------------------

    async def budgets(self, *, prefix: str = "", limit: int = 100) -> Sequence[AccountRow]:
        """Return where the accounts of budgets stand, those used last first."""
        return await accounts_of(self, prefix=prefix, limit=limit)

    async def budget_rules(self) -> Sequence[Budget]:
        """Return the rules that hold here: those of the settings, and those set on the store."""
        return await rules_of(self)

    async def set_budget(self, rule: Budget, *, remove: bool = False) -> Budget:
        """Keep a rule on the store, or forget it; an organization's own is for itself alone."""
        return await set_rule(self, rule, remove=remove)

    async def ledger(self, run: str, *, limit: int = 1000) -> Sequence[LedgerRow]:
        """Return what a run and its child runs were billed, oldest first."""
        run_no = parse_run_id(run)
        if self.scope:
            await self.visible(run_no)
        return await self.engine.store.ledger(run_no, limit=limit)

    async def grant(self, account: str, amounts: Mapping[str, Any], *, by: str = "") -> None:
        """Raise the limits of an account for everybody, such as by `{"usd": 5}`."""
        more = _limits(amounts)
        await check_account(self, account)
        row = GrantRow(
            grant_id=uuid.uuid4().hex,
            account=account,
            amounts=Amounts(
                more.cost_nano or 0, more.tokens or 0, more.calls or 0, more.time_us or 0
            ),
            by=by or self.by,
            at_us=self.engine.store.now_us(),
        )
        await self.engine.store.grant(row)
        await self.audit.record("budget.grant", account, detail=amounts)

    # -- approvals -----------------------------------------------------------------------------

    async def approvals(
        self, *, pending: bool = True, run: str = "", limit: int = 100, after: str = ""
    ) -> Sequence[ApprovalRow]:
        """Return approvals, oldest first, those that come after the approval `after`."""
        return await self.engine.store.approvals(
            pending=pending,
            run_no=parse_run_id(run) if run else None,
            organization=self.scope,
            limit=limit,
            after=parse_approval_id(after) if after else None,
        )

    async def approval(self, approval: str) -> ApprovalRow:
        """Return one approval; raises `NotFoundError`."""
        return await find_approval(self, approval)

    async def decide(
        self,
        approval: str,
        decision: str,
        *,
        by: str = "",
        comment: str = "",
        payload: Any = msgspec.UNSET,
        payload_hash: str = "",
        rework: bool = False,
        seen_seq: int = 0,
    ) -> OutcomeRow:
        """Decide an approval: approve, reject, edit (approve with another payload), or rework.

        `rework` rejects a result and has its step do it again, with the comment at hand. The
        decision is bound to what was shown, and to `payload_hash` if it is given. Repeating it
        is harmless, whoever does.

        Raises `NotFoundError`; `RequestError` PDM-R196; `AccessError` `four_eyes` for whoever
        asked for the run; and `ConflictError` `already_decided` (otherwise), `approval_expired`
        (also when it was withdrawn), `payload_changed`, `stale` (`seen_seq` is not the run's
        last event) or `wrong_state`.
        """
        row = await self.approval(approval)
        if payload is not msgspec.UNSET:
            await self.check_edit(row.run_no, payload)
        deed = decide(
            self,
            row,
            decision,
            by=by or self.by,
            comment=comment,
            payload=payload,
            payload_hash=payload_hash,
            rework=rework,
            seen_seq=seen_seq,
        )
        owner = row.organization
        return await self.audit.seen(deed, f"approval.{decision}", approval, organization=owner)


class RunHandle(Steering):
    """One run: wait for it, ask about it, tell it things."""

    def __init__(self, app: App, run_no: int, *, started: RunRow | None = None) -> None:
        self._app = app
        self.run_no = run_no
        self.started = started
        """The run's row as it was when it was started; None on a handle made from an id."""
        self._is_visible = False

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
        await self._must_exist()
        return await self._app.engine.ended(self.run_no)

    async def _must_exist(self) -> None:
        """Raise what an unknown run raises for one of another organization."""
        # Whose a run is never changes: one look is enough for a handle.
        if self._app.scope and not self._is_visible:
            await self.row()

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
        return (await self.look())[1]

    async def look(self, *, steps: bool = True) -> tuple[RunRow, RunView]:
        """Return row and view of the run as of now, of one look; the view with or without steps."""
        row, view = await look_at(self._app.engine, self.run_no, steps=steps)
        if not self._app.standpoint.sees(row.organization):
            raise unknown_run(self.run_no)
        return row, view

    async def step(self, step_record_id: str) -> StepView:
        """Return one step with what it was given and what it gave; raises `NotFoundError`."""
        run_no, step_no = parse_step_id(step_record_id)
        await self.row()
        if run_no != self.run_no:
            raise unknown_step(step_record_id, self.id)
        return await view_step(self._app.engine, run_no, step_no)

    async def explain(self) -> Explanation:
        """Return in one sentence why the run is where it is, with a code and a fix."""
        await self._must_exist()
        return await explain_run(self._app.engine, self.run_no)

    async def row(self) -> RunRow:
        """Return the run's row; raises `NotFoundError`."""
        row = await self._app.visible(self.run_no)
        self._is_visible = True
        return row

    async def status(self) -> RunStatus:
        """Return where the run stands."""
        return RunStatus((await self.row()).status)

    # -- verbs ---------------------------------------------------------------------------------

    async def _tell(self, mail: Mail) -> RunStatus:
        app, owner = self._app, ""
        if isinstance(mail, Retry) and mail.arguments is not None:
            await app.check_edit(self.run_no, app.engine.payloads.decode(mail.arguments))
        if app.standpoint.via:
            owner = (await app.visible(self.run_no)).organization
        told = mail if mail.by else msgspec.structs.replace(mail, by=app.by)
        verb = f"run.{type(mail).__name__.lower()}"
        deed = app.engine.tell(self.run_no, told)
        outcome = await app.audit.seen(deed, verb, self.id, organization=owner)
        return RunStatus(outcome.status)

    async def _approve(self, approval: str, *, by: str, payload: Any, seen_seq: int) -> RunStatus:
        outcome = await self._app.decide(
            approval, "approve", by=by, payload=payload, seen_seq=seen_seq
        )
        return RunStatus(outcome.status)

    def _encode(self, value: Any) -> bytes:
        return self._app.engine.payloads.encode(value)

    async def stream(self) -> AsyncGenerator[Chunk]:
        """Yield the text that its steps and its child runs write, until the run has ended.

        See `podium.authoring.streaming.text_of`: nothing of it is kept, and what other
        processes write is not heard. Raises `NotFoundError`.
        """
        await self.row()
        async with aclosing(text_of(self._app.engine, self.run_no)) as chunks:
            async for chunk in chunks:
                if chunk is not None:
                    yield chunk

    async def pending_approvals(self) -> list[str]:
        """Return the ids of the approvals this run waits for."""
        await self._must_exist()
        rows = await self._app.engine.store.approvals(pending=True, run_no=self.run_no)
        return [approval_id(row.approval_no) for row in rows]


def _limits(value: Mapping[str, Any]) -> Limits:
    for name in value:
        if name not in BUDGET_WORDS:
            raise _no_budget(f"{name!r} is none of {', '.join(BUDGET_WORDS)}")
    try:
        return limits_of(value)
    except ValueError as error:
        raise _no_budget(str(error)) from error


def _no_budget(why: str) -> RequestError:
    return RequestError(
        f"This is no budget: {why}.",
        fix='For example {"usd": 0.50, "tokens": 200000, "calls": 40, "time": "10m"}.',
        code="PDM-R053",
    )


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
