"""The pure parts of the wires: events, headers, error bodies."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.adapters.models import sse
from podium.adapters.models.draft import called
from podium.adapters.models.faults import refusal
from podium.adapters.models.headers import WAIT_MAX_S, limit_state
from podium.adapters.models.sse import Events, EventTooLong, SentEvent
from podium.ports.models import FaultKind, LimitState, ToolCall

# -- events --------------------------------------------------------------------------------------

LINES = st.lists(
    st.sampled_from(["data: a", "data:é", "data", ": note", "event: x", "id: 1", "", "data: 漢字"]),
    max_size=20,
)


@given(LINES, st.sampled_from(["\n", "\r\n", "\r"]), st.data())
def test_events_do_not_depend_on_how_bytes_arrive(
    lines: list[str], end: str, data: st.DataObject
) -> None:
    whole = end.join([*lines, "", ""]).encode() + b": end\n"
    at_once = Events().feed(whole)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=8)))
    events, begun = Events(), 0
    found: list[SentEvent] = []
    for cut in [*cuts, len(whole)]:
        found += events.feed(whole[begun:cut])
        begun = cut
    assert found == at_once


def test_an_event_may_have_several_lines_and_a_name() -> None:
    events = Events().feed(b"event: x\ndata: a\ndata: b\n\ndata: c\n\ndata: lost")
    assert events == [SentEvent("x", "a\nb"), SentEvent("", "c")]


@pytest.mark.parametrize("text", [b"data: " + b"a" * 200, b"data: aaaa\n" * 30])
def test_an_event_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr(sse, "EVENT_MAX", 100)
    with pytest.raises(EventTooLong):
        Events().feed(text)


# -- headers -------------------------------------------------------------------------------------

NOON = {"date": "Sat, 21 Nov 2026 12:00:00 GMT"}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "30"}, 30),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "30", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:07 GMT"} | NOON, 7),
        ({"retry-after": "Sat, 21 Nov 2026 11:00:00 GMT"} | NOON, 0),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:07 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "99999999"}, WAIT_MAX_S),
        ({"retry-after": "٣"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert limit_state(headers).retry_after_s == seconds


def test_openai_headers_are_read() -> None:
    assert limit_state(
        {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": "59",
            "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-limit-tokens": "150000",
            "x-ratelimit-remaining-tokens": "149984",
            "x-ratelimit-reset-tokens": "1h6m0.5s",
        }
    ) == LimitState(
        requests_limit=60,
        requests_left=59,
        requests_reset_s=1,
        tokens_limit=150_000,
        tokens_left=149_984,
        tokens_reset_s=3_960.5,
    )


def test_anthropic_headers_are_read_against_the_clock_of_the_server() -> None:
    state = limit_state(
        NOON
        | {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": "2026-11-21T12:00:20Z",
            "anthropic-ratelimit-input-tokens-limit": "1000",
        }
    )
    assert (state.requests_left, state.requests_reset_s, state.tokens_limit) == (0, 20, 1_000)


@given(st.text(max_size=40))
def test_no_header_breaks_reading(text: str) -> None:
    names = ("date", "retry-after", "retry-after-ms", "x-ratelimit-reset-tokens")
    state = limit_state(dict.fromkeys((*names, "x-ratelimit-limit-tokens"), text))
    assert state.retry_after_s is None or 0 <= state.retry_after_s <= WAIT_MAX_S


# -- refusals ------------------------------------------------------------------------------------

K = FaultKind


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"code": "context_length_exceeded"}, K.CONTEXT_WINDOW),
        (400, {"message": "This model's maximum context length is 4096 tokens."}, K.CONTEXT_WINDOW),
        (
            400,
            {"type": "invalid_request_error", "message": "prompt is too long: 2"},
            K.CONTEXT_WINDOW,
        ),
        (400, {"code": "content_filter", "message": "…"}, K.CONTENT_POLICY),
        (400, {"message": "violates our usage policy"}, K.CONTENT_POLICY),
        (400, {"message": "Your credit balance is too low to use the API."}, K.QUOTA),
        (400, {"code": None, "message": "bad"}, K.BAD_REQUEST),
        (401, {"code": "invalid_api_key"}, K.AUTH),
        (402, {"type": "billing_error"}, K.QUOTA),
        (403, {"type": "permission_error"}, K.AUTH),
        (404, {"code": "model_not_found"}, K.NOT_FOUND),
        (413, {"type": "request_too_large"}, K.BAD_REQUEST),
        (422, {}, K.BAD_REQUEST),
        (429, {"type": "tokens", "code": "rate_limit_exceeded"}, K.RATE_LIMITED),
        (429, {"type": "insufficient_quota", "code": "insufficient_quota"}, K.QUOTA),
        (
            429,
            {
                "type": "rate_limit_error",
                "details": {"error_code": "enforced_spend_limit_reached"},
            },
            K.QUOTA,
        ),
        (500, {"type": "server_error"}, K.SERVER),
        (500, {"message": "context limit reached in worker 3"}, K.SERVER),
        (503, {"type": "server_error"}, K.OVERLOADED),
        (504, {}, K.TIMEOUT),
        (529, {"type": "overloaded_error"}, K.OVERLOADED),
        (599, {}, K.SERVER),
    ],
)
def test_a_refusal_is_told_by_its_code_its_words_and_its_status(
    status: int, error: dict[str, object], kind: FaultKind
) -> None:
    assert refusal(status, {}, msgspec.json.encode({"error": error})).kind is kind


@given(st.integers(400, 599), st.binary(max_size=200))
def test_no_body_breaks_a_refusal(status: int, body: bytes) -> None:
    fault = refusal(status, {}, body)
    assert len(fault.detail) <= 500


@pytest.mark.parametrize("body", [b'{"error": "no"}', b'{"error": null}', b'["x"]', b"no", b"\xff"])
def test_an_odd_error_body_is_still_a_fault(body: bytes) -> None:
    assert refusal(400, {}, body).kind is K.BAD_REQUEST


# -- tool calls ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "arguments", "raw"),
    [('{"a": 1}', {"a": 1}, ""), ("", {}, ""), (" ", {}, ""), ("{", None, "{"), ("[1]", [1], "")],
)
def test_arguments_are_what_was_written(text: str, arguments: object, raw: str) -> None:
    assert called("1", "f", text) == ToolCall(id="1", name="f", arguments=arguments, raw=raw)
