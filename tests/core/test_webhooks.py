"""Webhooks as rules: signatures that others verify, patterns, answers, and when to try again."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from podium.core.webhooks import (
    ATTEMPTS_MAX,
    DEFAULT_EVENTS,
    DELAYS_US,
    Secret,
    VerdictKind,
    decode_secret,
    encode_secret,
    fault_in_pattern,
    is_wanted,
    judge,
    live_secrets,
    next_try_us,
    signature_headers,
    verification_fault,
)

OLD = encode_secret(bytes(range(32)))
NEW = encode_secret(bytes(range(32, 64)))
BODY = b'{"type":"orchestration.run.completed"}'
HOUR_US = 3600 * 1_000_000


def now_s():
    # The library that checks our signatures reads the clock on the wall.
    return int(time.time())


def signed(*secrets, at_s, body=BODY, message_id="run_00000101_7"):
    keys = [Secret(text) for text in secrets]
    return signature_headers(keys, message_id=message_id, at_s=at_s, body=body)


# --- signatures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_the_official_library_takes_a_message_while_its_secret_is_replaced(secret):
    headers = signed(NEW, OLD, at_s=now_s())
    assert Webhook(secret).verify(BODY, headers) == {"type": "orchestration.run.completed"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda headers: headers | {"webhook-id": "run_00000101_8"},
        lambda headers: headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)},
        lambda headers: headers | {"webhook-signature": "v1,AAAA"},
    ],
    ids=["id", "time", "signature"],
)
def test_both_refuse_a_message_that_was_changed(spoil):
    at_s = now_s()
    headers = spoil(signed(OLD, at_s=at_s))
    assert verification_fault([Secret(OLD)], headers, body=BODY, now_s=at_s)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(BODY, headers)


def test_we_take_what_the_official_library_signed():
    at = datetime.fromtimestamp(now_s(), UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(OLD).sign("msg_1", at, BODY.decode()),
    }
    keys = [Secret(NEW), Secret(OLD)]
    assert verification_fault(keys, headers, body=BODY, now_s=int(at.timestamp())) == ""


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_message_without_a_header_is_refused(missing):
    headers = signed(OLD, at_s=1000)
    del headers[missing]
    assert "lacks" in verification_fault([Secret(OLD)], headers, body=BODY, now_s=1000)


@pytest.mark.parametrize("skew", [-301, 301])
def test_a_message_from_another_time_is_refused(skew):
    headers = signed(OLD, at_s=100_000 + skew)
    assert "away from our clock" in verification_fault(
        [Secret(OLD)], headers, body=BODY, now_s=100_000
    )


@pytest.mark.parametrize("at", ["", "x", "1e9", "-5", "٣", "1" * 13, "1.0"])
def test_a_time_that_is_no_number_is_refused(at):
    headers = signed(OLD, at_s=5) | {"webhook-timestamp": at}
    assert verification_fault([Secret(OLD)], headers, body=BODY, now_s=5)


def test_without_a_secret_nothing_is_genuine():
    assert verification_fault([], signed(OLD, at_s=5), body=BODY, now_s=5)


@given(st.text(), st.text(), st.text(), st.binary())
def test_no_header_breaks_the_check(message_id, at, signature, body):
    headers = {"webhook-id": message_id, "webhook-timestamp": at, "webhook-signature": signature}
    assert verification_fault([Secret(OLD)], headers, body=body, now_s=5)


def test_a_secret_that_was_replaced_ends():
    secrets = [Secret(NEW), Secret(OLD, until_us=10)]
    assert live_secrets(secrets, 9) == secrets
    assert live_secrets(secrets, 10) == [Secret(NEW)]


@given(st.binary(min_size=24, max_size=64))
def test_a_key_survives_its_text_form(key):
    assert decode_secret(encode_secret(key)) == key


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("sk_abc", "begins with"),
        ("whsec_%%%", "base64"),
        (encode_secret(b"x" * 23), "23 bytes"),
        (encode_secret(b"x" * 65), "65 bytes"),
    ],
)
def test_a_bad_secret_says_what_is_wrong(text, fault):
    with pytest.raises(ValueError, match=fault):
        decode_secret(text)


# --- who hears of what --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("*", True),
        ("orchestration.*", True),
        ("orchestration.run.*", True),
        ("orchestration.run.failed", True),
        ("orchestration.run.completed", False),
        ("orchestration.step.*", False),
    ],
)
def test_a_pattern_covers_its_types(pattern, wanted):
    assert fault_in_pattern(pattern) == ""
    assert is_wanted([pattern], "orchestration.run.failed") is wanted


@pytest.mark.parametrize("pattern", ["", "run.*", "orchestration", "orchestration.runs.*",
                                     "orchestration.run", "orchestration.run.", "**",
                                     "orchestration.run.a b"])  # fmt: skip
def test_a_pattern_that_covers_nothing_is_refused(pattern):
    assert fault_in_pattern(pattern)


def test_the_defaults_are_patterns():
    assert [fault_in_pattern(each) for each in DEFAULT_EVENTS] == [""] * len(DEFAULT_EVENTS)


# --- trying again -------------------------------------------------------------------------------


def test_a_delivery_is_tried_for_three_days():
    assert ATTEMPTS_MAX == 10
    total_s = sum(DELAYS_US) // 1_000_000
    assert total_s == (75 * 60 + 35) * 60 + 5
    assert next_try_us(ATTEMPTS_MAX, dice=0.5) is None


@given(st.integers(1, ATTEMPTS_MAX - 1), st.floats(0, 0.999), st.integers(0, 48 * HOUR_US))
def test_chance_and_wishes_only_add(attempts, dice, asked_us):
    delay_us = next_try_us(attempts, dice=dice, at_least_us=asked_us)
    least_us = max(DELAYS_US[attempts], min(asked_us, 24 * HOUR_US))
    assert least_us <= delay_us <= 1.1 * least_us


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (200, VerdictKind.DELIVERED),
        (204, VerdictKind.DELIVERED),
        (299, VerdictKind.DELIVERED),
        (199, VerdictKind.RETRY),
        (301, VerdictKind.RETRY),
        (307, VerdictKind.RETRY),
        (400, VerdictKind.RETRY),
        (404, VerdictKind.RETRY),
        (410, VerdictKind.GONE),
        (429, VerdictKind.THROTTLE),
        (500, VerdictKind.RETRY),
        (502, VerdictKind.THROTTLE),
        (503, VerdictKind.THROTTLE),
        (504, VerdictKind.THROTTLE),
        (0, VerdictKind.RETRY),
    ],
)
def test_only_2xx_is_success(code, kind):
    assert judge(code).kind is kind


def test_a_receiver_cannot_ask_for_more_than_a_day():
    assert judge(429, 12.5).wait_us == 12_500_000
    assert judge(429, 1e18).wait_us == 24 * HOUR_US
