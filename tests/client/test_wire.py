"""What both clients send, what they make of answers, when they ask again. No server is needed."""

import asyncio
import inspect
import itertools
import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from podium import errors
from podium.client import AsyncClient, Client, Tries
from podium.client.frames import Frame, Frames

URL = "http://podium.test"
KEY = "sk_a_key_that_must_not_show"
RUN = {"run_id": "run_1", "status": "running"}
Handler = Callable[[httpx2.Request], httpx2.Response]

BLOCKING, WITH_LOOP = "blocking", "with a loop"


class Twins:
    """Asks through one of the two clients, so that each test is one about both."""

    def __init__(self, which: str) -> None:
        self.which = which
        self.seen: list[httpx2.Request] = []

    def __call__(self, handler: Handler, ask: Callable[[Any], Any], *, most: int = 5) -> Any:
        """Return what `ask(client)` gives, its generators as lists."""

        def seen(request: httpx2.Request) -> httpx2.Response:
            self.seen.append(request)
            return handler(request)

        settings = {
            "key": KEY,
            "transport": httpx2.MockTransport(seen),
            "tries": Tries(most, dice=lambda: 0.0),
        }
        if self.which == BLOCKING:
            with Client(URL, **settings) as client:
                return drained(ask(client))
        return asyncio.run(self._with_loop(settings, ask))

    async def _with_loop(self, settings: dict[str, Any], ask: Callable[[Any], Any]) -> Any:
        async with AsyncClient(URL, **settings) as client:
            told = ask(client)
            if inspect.isasyncgen(told):
                return [each async for each in told]
            return await told

    def bodies(self) -> list[Any]:
        return [json.loads(each.content) for each in self.seen]


def drained(told: Any) -> Any:
    return list(told) if inspect.isgenerator(told) else told


@pytest.fixture(params=[BLOCKING, WITH_LOOP])
def twins(request: pytest.FixtureRequest) -> Twins:
    return Twins(request.param)


def answers(*told: Any) -> Handler:
    """Give one answer after the other, the last one for ever; an exception is raised."""
    waiting = list(told)

    def handler(request: httpx2.Request) -> httpx2.Response:
        one = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(one, Exception):
            raise one
        # A response is read once: give a copy.
        return httpx2.Response(one.status_code, content=one.content, headers=one.headers)

    return handler


def ok(value: Any, status: int = 200) -> httpx2.Response:
    return httpx2.Response(status, json=value)


def problem(status: int, **more: Any) -> httpx2.Response:
    told = {"code": "word", "podium_code": "PDM-X001", "detail": "What.", "why": "Why."}
    headers = more.pop("headers", {})
    return httpx2.Response(status, json=told | {"status": status} | more, headers=headers)


# --- what is sent -----------------------------------------------------------------------------


def test_the_key_goes_along_and_never_shows(twins):
    twins(answers(ok(RUN, 202)), lambda client: client.start("review"))
    assert twins.seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in repr(Client(URL, key=KEY)) + repr(AsyncClient(URL, key=KEY))


@pytest.mark.parametrize("key", ["sk_a\n", "sk_a b", "sk_\u00e9", " sk_a", "sk_a\r\nx: 1"])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_what_is_no_key_is_refused_without_showing_it(kind, key):
    with pytest.raises(errors.RequestError) as caught:
        kind(URL, key=key)
    assert "sk_" not in str(caught.value)


def test_a_start_sends_what_was_given_and_nothing_else(twins):
    twins(
        answers(ok(RUN, 202)),
        lambda client: client.start("review", input={"a": None}, idempotency_key="k", priority=3),
    )
    sent = {"workflow": "review", "input": {"a": None}, "idempotency_key": "k", "priority": 3}
    assert twins.bodies() == [sent]
    assert twins.seen[0].url.path == "/v1/runs"


def test_a_definition_is_sent_as_one(twins):
    twins(answers(ok(RUN, 202)), lambda client: client.start({"name": "x", "tasks": []}))
    assert twins.bodies()[0]["definition"] == {"name": "x", "tasks": []}


def test_an_id_cannot_leave_its_place_in_the_path(twins):
    twins(answers(ok(RUN)), lambda client: client.run("../keys?x#y").signal("a/b"))
    assert twins.seen[0].url.raw_path == b"/v1/runs/..%2Fkeys%3Fx%23y/signals/a%2Fb"


def test_lists_ask_for_the_next_page_only_while_there_is_one(twins):
    pages = [{"items": [], "next_cursor": "c"}, {"items": [], "next_cursor": None}]
    twins(answers(*map(ok, pages)), lambda client: client.runs(status=["failed"], workflow="w"))
    assert [str(each.url.query, "ascii") for each in twins.seen] == [
        "status=failed&workflow=w",
        "status=failed&workflow=w&cursor=c",
    ]


# --- what comes back --------------------------------------------------------------------------

CLASSES = [
    (400, "PDM-R132", errors.RequestError),
    (401, "PDM-R111", errors.AccessError),
    (403, "PDM-R110", errors.AccessError),
    (404, "PDM-R404", errors.NotFoundError),
    (409, "PDM-C001", errors.ConflictError),
    (413, "PDM-R135", errors.RequestError),
    (422, "PDM-R012", errors.RequestError),
    (429, "PDM-R120", errors.RequestError),
    (500, "PDM-I001", errors.InternalError),
    (503, "PDM-S001", errors.StoreError),
]


@pytest.mark.parametrize(("status", "code", "kind"), CLASSES)
def test_a_problem_is_the_error_that_an_app_would_have_raised(twins, status, code, kind):
    told = problem(status, podium_code=code, fix="Fix.", request_id="req_1")
    with pytest.raises(kind) as caught:
        twins(answers(told), lambda client: client.run("run_1").view(), most=1)
    error = caught.value
    assert (error.what, error.why, error.fix) == ("What.", "Why.", "Fix.")
    assert (error.code, error.code_word, error.status) == (code, "word", status)
    assert error.request_id == "req_1"


def test_a_conflict_tells_the_state_and_the_allowed_verbs(twins):
    told = problem(409, state="completed", allowed=["rerun"])
    with pytest.raises(errors.ConflictError) as caught:
        twins(answers(told), lambda client: client.run("run_1").cancel())
    assert (caught.value.state, caught.value.allowed) == ("completed", ("rerun",))


def test_the_faults_of_a_definition_come_with_their_places(twins):
    fault = {"podium_code": "PDM-D102", "detail": "A cycle.", "path": "/tasks/0", "line": 3}
    told = problem(422, podium_code="PDM-D000", faults=[fault])
    with pytest.raises(errors.DefinitionError) as caught:
        twins(answers(told), lambda client: client.start({"name": "x"}))
    [found] = caught.value.faults
    assert (found.code, found.pointer, found.line) == ("PDM-D102", "/tasks/0", 3)


@pytest.mark.parametrize("body", [b"<html>502</html>", b"", b"[]", b"\xff"])
def test_what_no_podium_server_said_is_told_as_that(twins, body):
    with pytest.raises(errors.StoreError, match="not one of a podium server") as caught:
        twins(
            answers(httpx2.Response(502, content=body)),
            lambda client: client.run("run_1").view(),
            most=1,
        )
    assert caught.value.code == "PDM-S031"


def test_a_success_of_another_shape_is_told_as_that_too(twins):
    with pytest.raises(errors.StoreError) as caught:
        twins(answers(ok({"hello": "world"})), lambda client: client.run("run_1").view())
    assert caught.value.code == "PDM-S031"


def test_a_server_that_is_not_there_is_named_without_the_key(twins):
    with pytest.raises(errors.StoreError, match=URL) as caught:
        twins(answers(httpx2.ConnectError("refused")), lambda client: client.run("run_1").view())
    assert caught.value.code == "PDM-S030"
    assert KEY not in str(caught.value)


# --- asking again -----------------------------------------------------------------------------

LOST = httpx2.ReadError("reset")
AWAY = problem(503)


@pytest.mark.parametrize("first", [LOST, AWAY, httpx2.Response(502), httpx2.ReadTimeout("slow")])
def test_a_lost_start_is_sent_again_under_the_same_key(twins, first):
    """The client's own key makes it one run, however often it is sent."""
    twins(answers(first, first, ok(RUN, 202)), lambda client: client.start("review"))
    keys = {body["idempotency_key"] for body in twins.bodies()}
    assert len(twins.seen) == 3
    assert len(keys) == 1


def test_two_starts_have_two_keys(twins):
    for _ in range(2):
        twins(answers(ok(RUN, 202)), lambda client: client.start("review"))
    assert len({body["idempotency_key"] for body in twins.bodies()}) == 2


@pytest.mark.parametrize("first", [LOST, AWAY])
def test_a_verb_whose_answer_is_lost_is_not_sent_again(twins, first):
    with pytest.raises(errors.StoreError):
        twins(answers(first, ok(RUN)), lambda client: client.run("r").retry())
    assert len(twins.seen) == 1


def test_what_was_refused_for_its_rate_was_not_done_and_is_sent_again(twins):
    refused = problem(429, headers={"retry-after": "0"})
    twins(answers(refused, ok(RUN)), lambda client: client.run("r").retry())
    assert len(twins.seen) == 2


def test_a_refusal_is_not_sent_again(twins):
    with pytest.raises(errors.RequestError):
        twins(answers(problem(400)), lambda client: client.start("review"))
    assert len(twins.seen) == 1


def test_tries_are_bounded(twins):
    with pytest.raises(errors.StoreError):
        twins(answers(AWAY), lambda client: client.run("run_1").view(), most=3)
    assert len(twins.seen) == 3


def test_the_server_says_how_long_to_wait_within_what_a_caller_can_stand():
    error = errors.StoreError("away")
    for asked, waited in ((0.0, 0.2), (3.0, 3.0), (3600.0, 10.0)):
        error.retry_after_s = asked
        assert Tries(dice=lambda: 1.0).again_after(1, error, repeatable=True) == waited


# --- streams ----------------------------------------------------------------------------------


def event(seq: int) -> dict[str, Any]:
    return {
        "id": f"run_1:{seq}",
        "source": "/",
        "sequence": seq,
        "type": "orchestration.run.started",
        "subject": "run_1",
        "time": "2026-11-21T00:00:00Z",
        "data": {},
    }


def streamed(*seqs: int, end: str = "") -> httpx2.Response:
    text = ": heartbeat\n\n"
    text += "".join(f"id: {seq}\ndata: {json.dumps(event(seq))}\n\n" for seq in seqs)
    text += f"event: {end}\nid: {seqs[-1] if seqs else 0}\ndata: {{}}\n\n" if end else "id: 99\nda"
    return httpx2.Response(200, text=text, headers={"content-type": "text/event-stream"})


def test_a_stream_that_breaks_goes_on_where_it_broke(twins):
    told = twins(
        answers(streamed(1, 2), LOST, AWAY, streamed(3, end="complete")),
        lambda client: client.run("run_1").follow(),
    )
    assert [each.sequence for each in told] == [1, 2, 3]
    # An id counts once its frame is whole: 99 came in a frame that never ended.
    assert [each.headers.get("last-event-id") for each in twins.seen] == [None, "2", "2", "2"]


def test_a_stream_whose_server_stays_away_ends_with_an_error(twins):
    with pytest.raises(errors.StoreError):
        twins(answers(streamed(1), LOST), lambda client: client.run("run_1").follow(), most=3)
    assert len(twins.seen) == 4


def test_a_pruned_stream_is_told_as_the_server_says(twins):
    with pytest.raises(errors.RequestError, match="What"):
        twins(answers(problem(410)), lambda client: client.run("run_1").follow(after=7))
    assert twins.seen[0].headers["last-event-id"] == "7"


def test_frames_are_read_as_the_standard_says():
    frames = Frames()
    lines = [":x", "id: 4", "event:name", "data: a", "data:  b", "other: y", "", "", "data", ""]
    told = [frame for line in lines if (frame := frames.line(line))]
    assert told == [Frame("4", "name", "a\n b"), Frame("4", "message", "")]


def test_a_heartbeat_before_the_first_frame_does_not_lose_the_place():
    frames = Frames(last_id="7")
    assert [frames.line(line) for line in (": heartbeat", "")] == [None, None]
    assert frames.last_id == "7"


def test_an_endless_frame_is_refused():
    lines = itertools.repeat("data: x", 20_000)
    with pytest.raises(ValueError, match="does not end"):
        list(map(Frames().line, lines))
