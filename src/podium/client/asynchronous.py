"""The client for programs with an event loop.

The one for programs without is written from this file by `scripts/sync_client.py`.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from podium.client import calls
from podium.client.calls import Call
from podium.client.frames import Frame, Frames
from podium.client.library import credentials, library
from podium.client.problems import error_of, run_error, status_of, unreachable
from podium.client.tries import Tries
from podium.core.cloudevents import CloudEvent
from podium.core.states import RunStatus
from podium.errors import PodiumError, StoreError
from podium.server.holdings import (
    Budgets,
    Validated,
    WorkflowShape,
    WorkflowVersion,
)
from podium.server.shapes import (
    Approval,
    Run,
    RunSummary,
    Step,
)

__all__ = ["AsyncClient", "AsyncRunHandle"]

T = TypeVar("T")
Json = Any

CONNECT_S: Final = 5.0
SILENCE_S: Final = 45.0
"""Three heartbeats: a stream that is silent for longer is broken, whatever its socket says."""
ENDS: Final = frozenset({"complete", "error"})


class AsyncClient:
    """A podium server as a program sees it: the verbs of `App`, and its errors, over HTTP.

    Use it as a context manager. Requests whose answer was lost are sent again where repeating
    them is harmless, and nowhere else.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str = "",
        timeout: float = 30.0,
        tries: Tries | None = None,
        transport: Any = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._tries = tries or Tries()
        self._library = library()
        self._http = self._library.AsyncClient(
            base_url=self.url,
            headers=credentials(key),
            timeout=self._library.Timeout(timeout, connect=min(timeout, CONNECT_S)),
            transport=transport,
            # A key must not travel on to wherever an answer points.
            follow_redirects=False,
        )

    def __repr__(self) -> str:
        """Return the address; the key stays out of logs."""
        return f"<{type(self).__name__} {self.url}>"

    async def __aenter__(self) -> Self:
        """Return the client; nothing is sent yet."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, call: Call[T]) -> T:
        """Send a request and return its answer; raises the error of Podium that it tells of.

        `StoreError` PDM-S030 if no server answers, PDM-S031 if something else does.
        """
        tried = 0
        while True:
            tried += 1
            try:
                return await self._once(call)
            except PodiumError as error:
                delay = self._tries.again_after(tried, error, repeatable=call.repeatable)
                if delay is None:
                    raise
            await asyncio.sleep(delay)

    async def _once(self, call: Call[T]) -> T:
        try:
            answer = await self._http.request(
                call.method,
                call.path,
                params=call.query,
                content=call.content(),
                headers=call.all_headers(),
            )
        except self._library.TransportError as error:
            raise unreachable(self.url, error) from error
        if not answer.is_success:
            raise error_of(answer.status_code, answer.headers, answer.content)
        return call.read(answer.content)

    async def rest(self, tried: int, error: PodiumError) -> None:
        """Wait before the next try of something repeatable; raises `error` if there is none."""
        delay = self._tries.again_after(tried, error, repeatable=True)
        if delay is None:
            raise error
        await asyncio.sleep(delay)

    async def stream(self, run: str, frames: Frames) -> AsyncGenerator[Frame]:
        """Yield what one connection to the events of a run brings; raises as `send`."""
        call = calls.follow(run, last_id=frames.last_id)
        try:
            async with self._http.stream(
                call.method,
                call.path,
                headers=call.all_headers(),
                timeout=self._library.Timeout(SILENCE_S, connect=CONNECT_S),
            ) as answer:
                if not answer.is_success:
                    body = await answer.aread()
                    raise error_of(answer.status_code, answer.headers, body)
                async for line in answer.aiter_lines():
                    frame = frames.line(line)
                    if frame is not None:
                        yield frame
        except self._library.TransportError as error:
            raise unreachable(self.url, error) from error

    # -- runs ----------------------------------------------------------------------------------

    async def start(
        self,
        workflow: str | Mapping[str, Json],
        *,
        input: Json = None,  # noqa: A002 - the word of the contract
        idempotency_key: str | None = None,
        priority: int | None = None,
        labels: Mapping[str, str] | None = None,
        version: str | None = None,
        budget: Mapping[str, Json] | None = None,
    ) -> "AsyncRunHandle":
        """Start a published workflow by its name, or a definition; durable on return.

        See `App.start`. Without a key the client makes one, so that an answer that is lost
        never starts a second run.
        """
        call = calls.start(
            workflow,
            input=input,
            idempotency_key=idempotency_key,
            priority=priority,
            labels=labels,
            version=version,
            budget=budget,
        )
        return AsyncRunHandle(self, (await self.send(call)).run_id)

    def run(self, run: str) -> "AsyncRunHandle":
        """Return a handle on a run by its id; nothing is looked up yet."""
        return AsyncRunHandle(self, run)

    async def runs(
        self,
        *,
        status: Sequence[str] = (),
        workflow: str = "",
        label: str = "",
        created_after: str = "",
        created_before: str = "",
    ) -> AsyncIterator[RunSummary]:
        """Yield runs, newest first, a page at a time as far as they are asked for."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self.send(
                calls.list_runs(
                    status=status,
                    workflow=workflow,
                    label=label,
                    created_after=created_after,
                    created_before=created_before,
                    cursor=cursor,
                )
            )
            for each in page.items:
                yield each
            cursor = page.next_cursor

    async def rerun(
        self,
        run: str,
        *,
        from_step: str | None = None,
        changes: Mapping[str, Json] | None = None,
        version: str | None = None,
    ) -> "AsyncRunHandle":
        """Start a new run from an old one, with `changes` merged into its input.

        See `App.rerun`.
        """
        edits = None if changes is None else {"inputs": changes}
        call = calls.act(run, "rerun", from_step=from_step, version=version, modifications=edits)
        return AsyncRunHandle(self, (await self.send(call)).run_id)

    # -- approvals -----------------------------------------------------------------------------

    async def approvals(self, *, pending: bool = True, run: str = "") -> AsyncIterator[Approval]:
        """Yield approvals, oldest first."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self.send(calls.list_approvals(pending=pending, run=run, cursor=cursor))
            for each in page.items:
                yield each
            cursor = page.next_cursor

    async def decide(
        self,
        approval: str,
        decision: str,
        *,
        comment: str = "",
        payload: Json = msgspec.UNSET,
        payload_hash: str = "",
    ) -> RunStatus:
        """Decide an approval: approve, reject, rework, or edit (approve another payload).

        See `App.decide`; who decides is who the key belongs to.
        """
        call = calls.decide(
            approval, decision, comment=comment, payload=payload, payload_hash=payload_hash
        )
        told = await self.send(call)
        return status_of(told)

    # -- workflows -----------------------------------------------------------------------------

    async def workflows(self) -> Sequence[WorkflowVersion]:
        """Return the active version of every workflow."""
        return (await self.send(calls.list_workflows())).items

    async def workflow(self, name: str, *, version: str = "") -> WorkflowShape:
        """Return a version with its definition; raises `NotFoundError`."""
        return await self.send(calls.get_workflow(name, version=version))

    async def versions(self, name: str) -> Sequence[WorkflowVersion]:
        """Return the versions of a workflow, newest first."""
        return (await self.send(calls.list_versions(name))).items

    async def publish(
        self, definition: str | Mapping[str, Json], *, activate: bool = True
    ) -> WorkflowVersion:
        """Publish a definition, an object or YAML text; raises `DefinitionError`."""
        return await self.send(calls.publish(definition, activate=activate))

    async def validate(self, definition: str | Mapping[str, Json]) -> Validated:
        """Check a definition; raises `DefinitionError` with every fault in it."""
        return await self.send(calls.validate(definition))

    async def activate(self, name: str, version: str) -> WorkflowVersion:
        """Let new runs take a version; runs under way keep theirs."""
        return await self.send(calls.activate(name, version))

    async def budgets(self) -> Budgets:
        """Return the budgets, and where their accounts stand."""
        return await self.send(calls.list_budgets())


class AsyncRunHandle:
    """One run on a server: wait for it, ask about it, tell it things."""

    def __init__(self, client: AsyncClient, run: str) -> None:
        self._client = client
        self.id = run

    def __repr__(self) -> str:
        """Return the id, for logs and prompts."""
        return f"<{type(self).__name__} {self.id}>"

    async def result(self) -> Json:
        """Wait for the end and return the output; raises `RunError` if it did not complete."""
        run = await self.wait()
        if status_of(run) == RunStatus.COMPLETED:
            return run.output
        raise run_error(run)

    async def wait(self) -> Run:
        """Wait until the run is closed and return it, however it ended."""
        run = await self.view()
        if status_of(run).is_open:
            async with aclosing(self.follow(after=run.seq)) as events:
                async for _ in events:
                    pass
            run = await self.view()
        return run

    async def view(self) -> Run:
        """Return the run with its input and output; raises `NotFoundError`."""
        return await self._client.send(calls.get_run(self.id))

    async def status(self) -> RunStatus:
        """Return where the run stands."""
        told = await self._client.send(calls.run_status(self.id))
        return status_of(told)

    async def steps(self) -> AsyncIterator[Step]:
        """Yield the steps in the order in which they were opened."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self._client.send(calls.list_steps(self.id, cursor=cursor))
            for each in page.items:
                yield each
            cursor = page.next_cursor

    async def explain(self) -> Json:
        """Return what the run waits for, since when, and what to do."""
        return await self._client.send(calls.explain(self.id))

    async def follow(self, *, after: int = 0) -> AsyncGenerator[CloudEvent]:
        """Yield the events after a sequence number as they happen, until the run is closed.

        A connection that breaks is made again where it broke: nothing is missing, nothing
        comes twice. Raises `StoreError` once the server stays away.
        """
        frames = Frames(last_id=str(after) if after else "")
        tried = 0
        while True:
            tried += 1
            try:
                async with aclosing(self._client.stream(self.id, frames)) as stream:
                    async for frame in stream:
                        if frame.name in ENDS:
                            return
                        tried = 0
                        yield msgspec.json.decode(frame.data, type=CloudEvent)
                broken = StoreError("The stream of events ended early.", code="PDM-S030")
            except StoreError as error:
                broken = error
            frames.lost()
            await self._client.rest(tried, broken)

    async def pending_approvals(self) -> list[str]:
        """Return the ids of the approvals this run waits for."""
        return [each.approval_id async for each in self._client.approvals(run=self.id)]

    # -- verbs ---------------------------------------------------------------------------------

    async def _act(self, verb: str, if_match: int | None = None, **body: Json) -> RunStatus:
        told = await self._client.send(calls.act(self.id, verb, if_match=if_match, **body))
        return status_of(told)

    async def cancel(self, *, reason: str | None = None, if_match: int | None = None) -> RunStatus:
        """Stop cooperatively; returns the state, `ConflictError` if it is closed already.

        With `if_match`, as for all verbs, only if the run has not changed since that `seq`.
        """
        return await self._act("cancel", if_match, reason=reason)

    async def abort(self, *, reason: str | None = None, if_match: int | None = None) -> RunStatus:
        """Stop now, whatever runs."""
        return await self._act("abort", if_match, reason=reason)

    async def pause(self, *, if_match: int | None = None) -> RunStatus:
        """Start nothing more until `resume`; what runs may end."""
        return await self._act("pause", if_match)

    async def resume(
        self,
        *,
        approval: str | None = None,
        if_match: int | None = None,
    ) -> RunStatus:
        """Go on after `pause`; with an approval, approve it."""
        return await self._act("resume", if_match, approval_id=approval)

    async def retry(
        self,
        step: str | None = None,
        *,
        inputs: Mapping[str, Json] | None = None,
        agents: Mapping[str, str] | None = None,
        if_match: int | None = None,
    ) -> RunStatus:
        """Run the failed steps of a failed run again, in place, perhaps with other inputs."""
        edits = {"inputs": inputs, "agent_overrides": agents}
        given = {name: value for name, value in edits.items() if value is not None}
        return await self._act("retry", if_match, step=step, modifications=given or None)

    async def skip(
        self, step: str | None = None, *, output: Json = None, if_match: int | None = None
    ) -> RunStatus:
        """Take `output` for a failed step and go on."""
        return await self._act("skip", if_match, step=step, output=output)

    async def signal(self, name: str, payload: Json = None) -> RunStatus:
        """Send a signal; it is kept until the run waits for it."""
        told = await self._client.send(calls.signal(self.id, name, payload))
        return status_of(told)
