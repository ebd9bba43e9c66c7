"""The typed client against the service itself: the same verbs, the same errors, and no drift."""

import asyncio
import inspect
import re
import threading

import httpx2
import pytest

from podium import errors
from podium.client import AsyncClient, Client, calls
from podium.core.states import RunStatus

DOUBLE = {
    "name": "double",
    "inputs": {"number": {"type": "integer"}},
    "tasks": [
        {
            "name": "go",
            "uses": "python:served_tasks:double",
            "with": {"number": "${{ inputs.number }}"},
        }
    ],
}
BROKEN = {
    "name": "broken",
    "tasks": [{"name": "fails", "uses": "python:served_tasks:broken", "max_retries": 0}],
}
ASKING = {"name": "asking", "tasks": [{"name": "ask", "checkpoint": "before"}]}
WAITING = {"name": "waiting", "tasks": [{"name": "wait", "uses": "signal", "with": {"name": "go"}}]}


@pytest.fixture
def podium(server):
    with Client(server.url) as client:
        yield client


# --- the verbs --------------------------------------------------------------------------------


def test_a_run_is_started_awaited_and_looked_at(podium):
    run = podium.start(DOUBLE, input={"number": 21}, labels={"team": "a"})
    assert run.result() == 42
    view = run.view()
    assert (view.workflow, view.input, view.labels) == ("double", {"number": 21}, {"team": "a"})
    assert [step.path for step in run.steps()] == ["go"]
    assert [each.run_id for each in podium.runs(label="team=a")] == [run.id]
    assert run.explain()["code"]


def test_what_failed_is_raised_with_the_error_of_the_task(podium):
    run = podium.start(BROKEN)
    with pytest.raises(errors.TaskError, match="it is broken") as caught:
        run.result()
    assert caught.value.kind == "ValueError"


def test_a_workflow_is_published_compared_and_chosen(podium):
    one = podium.publish(DOUBLE)
    other = podium.publish(DOUBLE | {"description": "another"}, activate=False)
    assert [each.number for each in podium.versions("double")] == [other.number, one.number]
    assert [each.version for each in podium.workflows()] == [one.version]
    assert not podium.send(calls.diff("double", str(one.number), str(other.number))).equal
    assert podium.activate("double", str(other.number)).active
    assert podium.start("double", input={"number": 1}).result() == 2


def test_an_approval_is_listed_and_decided(podium):
    run = podium.start(ASKING)
    while not (asked := run.pending_approvals()):
        pass
    assert podium.decide(asked[0], "approve", comment="yes") in RunStatus
    run.result()
    assert [each.status for each in podium.approvals(pending=False)] == ["approved"]


def test_verbs_answer_with_the_state(podium):
    run = podium.start(WAITING)
    while run.status() is not RunStatus.WAITING:
        pass
    assert run.pause() is RunStatus.PAUSED
    assert run.resume() in {RunStatus.WAITING, RunStatus.RUNNING}
    run.signal("go", {"n": 1})
    assert run.wait().status == "completed"


def test_a_failed_run_is_retried_skipped_and_run_anew(podium):
    run = podium.start(BROKEN)
    assert run.wait().status == "failed"
    run.retry("fails", inputs={})
    assert run.wait().status == "failed"
    run.skip("fails", output=1)
    assert run.wait().status == "completed"
    assert podium.rerun(run.id).wait().status == "failed"


# --- errors -----------------------------------------------------------------------------------


def test_errors_are_those_of_an_app(podium):
    run = podium.start(DOUBLE, input={"number": 1})
    run.result()
    with pytest.raises(errors.ConflictError) as conflict:
        run.cancel()
    assert (conflict.value.state, conflict.value.code_word) == ("completed", "wrong_state")
    with pytest.raises(errors.NotFoundError):
        podium.run("run_0zzzzzzz").view()
    with pytest.raises(errors.RequestError, match="not a run id"):
        podium.run("x").view()
    with pytest.raises(errors.DefinitionError) as faults:
        podium.validate({"name": "x", "tasks": [{"name": "a", "depends_on": ["b"]}]})
    assert faults.value.faults[0].code == "PDM-D101"


def test_a_verb_on_what_has_changed_since_is_refused(podium):
    run = podium.start(WAITING)
    seen = run.view().seq
    while run.status() is not RunStatus.WAITING:
        pass
    run.pause()
    with pytest.raises(errors.ConflictError) as caught:
        run.resume(if_match=seen)
    assert caught.value.code_word == "stale"


# --- following --------------------------------------------------------------------------------


def test_a_run_is_followed_to_its_end_without_gaps(podium):
    run = podium.start(WAITING)
    found = []
    follower = threading.Thread(target=lambda: found.extend(run.follow()))
    follower.start()
    while run.status() is not RunStatus.WAITING:
        pass
    run.signal("go")
    follower.join(20)
    seqs = [each.sequence for each in found]
    assert seqs == sorted(set(seqs))
    assert found[-1].type == "orchestration.run.completed"
    page = podium.send(calls.list_events(run.id))["items"]
    assert [each["sequence"] for each in page] == seqs
    assert [each.sequence for each in run.follow(after=seqs[2])] == seqs[3:]


def test_a_loop_follows_too(server):
    async def follow() -> list[str]:
        async with AsyncClient(server.url) as client:
            run = await client.start(DOUBLE, input={"number": 2})
            assert await run.result() == 4
            return [event.type async for event in run.follow()]

    assert asyncio.run(follow())[-1] == "orchestration.run.completed"


class Torn(httpx2.HTTPTransport):
    """A network that cuts every stream after some lines."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = super().handle_request(request)
        if "event-stream" not in answer.headers.get("content-type", ""):
            return answer
        return httpx2.Response(
            answer.status_code, headers=answer.headers, stream=TornStream(answer.stream)
        )


class TornStream(httpx2.SyncByteStream):
    def __init__(self, stream) -> None:
        self._stream = stream

    def __iter__(self):
        sent = 0
        for piece in self._stream:
            for line in piece.splitlines(keepends=True):
                sent += 1
                yield line
                # In the middle of a frame, and now and then after a whole one.
                if sent == 6:
                    raise httpx2.ReadError("torn")

    def close(self) -> None:
        self._stream.close()


def test_a_torn_stream_loses_nothing_and_repeats_nothing(server):
    with Client(server.url) as sound:
        run = sound.start(DOUBLE, input={"number": 3})
        run.result()
        whole = [each.sequence for each in run.follow()]
    with Client(server.url, transport=Torn()) as torn:
        assert [each.sequence for each in torn.run(run.id).follow()] == whole


# --- no drift ---------------------------------------------------------------------------------

# How to call each function of `calls`; one that is missing here fails the test below.
ARGUMENTS = {
    "act": ("run_1", "retry"),
    "activate": ("w", "1"),
    "decide": ("apr_1", "approve"),
    "diff": ("w", "1", "2"),
    "publish": ({"name": "x"},),
    "validate": ({"name": "x"},),
    "signal": ("run_1", "go"),
    "start": ("w",),
    "list_budgets": (),
    "list_workflows": (),
    "list_runs": (),
    "list_approvals": (),
    "get_workflow": ("w",),
    "list_versions": ("w",),
    "get_approval": ("apr_1",),
}
OF_A_RUN = ("run_1",)


def functions() -> dict[str, object]:
    return {
        name: function
        for name, function in vars(calls).items()
        if inspect.isfunction(function)
        and function.__module__ == calls.__name__
        and not name.startswith("_")
    }


@pytest.mark.parametrize("name", functions())
async def test_every_call_is_described_by_the_service(api, name):
    """The client asks for nothing that the description does not know: path, query and body."""
    call = functions()[name](*ARGUMENTS.get(name, OF_A_RUN))
    described = (await api.get("/openapi.json")).json()
    paths = described["paths"]
    path = next(
        each for each in paths if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", each), call.path)
    )
    operation = paths[path][call.method.lower()]
    known = {each["name"] for each in operation.get("parameters", ())}
    optional = set(inspect.signature(functions()[name]).parameters)
    assert {*call.query, *(optional & {"limit", "cursor"})} <= known
    if isinstance(call.body, dict):
        content = operation["requestBody"]["content"]["application/json"]["schema"]
        fields = properties(content, described["components"]["schemas"])
        assert set(call.body) <= fields


def properties(schema: dict, known: dict) -> set[str]:
    """Return the names of all fields of a schema, through references and alternatives."""
    if "$ref" in schema:
        schema = known[schema["$ref"].rpartition("/")[2]]
    found = set(schema.get("properties", ()))
    for part in [*schema.get("oneOf", ()), *schema.get("anyOf", ())]:
        found |= properties(part, known)
    return found
