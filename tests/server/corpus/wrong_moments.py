"""Verbs in states that do not take them, signals and approvals that are none (rows 21, 22, 25)."""

from cases import Case, got, posted

VERBS_BY_STATE = {
    "done": ("retry", "skip", "abort", "cancel", "pause", "resume"),
    "failed": ("cancel", "pause", "resume"),
    "aborted": ("retry", "skip", "abort", "cancel", "pause", "resume"),
    "waiting": ("resume",),
}
UNKNOWN_FIELDS = ("retry", "skip", "abort", "cancel", "pause", "resume", "fork", "rerun")
CURSORS = {
    "text": "abc",
    "negative": "-1",
    "fraction": "1.5",
    "in-the-future": "999999",
    "huge": "9" * 30,
    "of-other-digits": "\u0663",
    "with-markup": "<1>",
}

CASES: list[Case] = [
    *(
        posted(
            f"{verb}-of-a-run-that-is-{state}",
            {},
            409,
            "wrong_state",
            path=f"/v1/runs/{{{state}}}/actions/{verb}",
        )
        for state, verbs in VERBS_BY_STATE.items()
        for verb in verbs
    ),
    *(
        posted(
            f"{verb}-with-an-unknown-field",
            {"xyzzy": 1},
            422,
            "unknown_field",
            path=f"/v1/runs/{{failed}}/actions/{verb}",
        )
        for verb in UNKNOWN_FIELDS
    ),
    *(
        posted(
            f"{verb}-with-a-list",
            [],
            422,
            "wrong_type",
            path=f"/v1/runs/{{failed}}/actions/{verb}",
        )
        for verb in UNKNOWN_FIELDS
    ),
    *(
        posted(
            f"{verb}-with-broken-json",
            b"{",
            400,
            "syntax_error",
            path=f"/v1/runs/{{failed}}/actions/{verb}",
        )
        for verb in UNKNOWN_FIELDS
    ),
    *(
        posted(
            f"retry-{name}",
            {},
            status,
            code,
            path="/v1/runs/{failed}/actions/retry",
            headers={"if-match": value},
        )
        for name, value, status, code in (
            ("if-match-old", '"1"', 409, "stale"),
            ("if-match-in-the-future", '"99999"', 409, "stale"),
            ("if-match-text", '"abc"', 400, "invalid_parameter"),
            ("if-match-negative", '"-1"', 400, "invalid_parameter"),
            ("if-match-huge", '"' + "9" * 40 + '"', 400, "invalid_parameter"),
        )
    ),
    *(
        got(
            f"events-after-{name}",
            f"/v1/runs/{{done}}/events?after={cursor}",
            400,
            "invalid_cursor",
        )
        for name, cursor in CURSORS.items()
    ),
    *(
        got(
            f"events-last-id-{name}",
            "/v1/runs/{done}/events",
            400,
            "invalid_cursor",
            headers={"last-event-id": cursor},
        )
        for name, cursor in CURSORS.items()
        if cursor.isascii()
    ),
    # A cursor of another run is as unknown as the run that it names.
    got(
        "events-after-of-another-run",
        "/v1/runs/{done}/events?after=run_0zzzzzzz:1",
        404,
        "not_found",
    ),
    *(
        posted(f"decision-{name}", body, status, code, path="/v1/approvals/{approval}/decision")
        for name, body, status, code in (
            ("missing", {}, 422, "missing_field"),
            ("unknown", {"decision": "maybe"}, 422, "unknown_choice"),
            ("of-a-number", {"decision": 1}, 422, "wrong_type"),
            ("null", {"decision": None}, 422, "wrong_type"),
            ("with-unknown-field", {"decision": "approve", "xyzzy": 1}, 422, "unknown_field"),
            ("edit-without-payload", {"decision": "edit"}, 422, "invalid_decision"),
            ("list", [], 422, "wrong_type"),
        )
    ),
    *(
        posted(
            f"decision-on-{name}",
            {"decision": "approve"},
            status,
            code,
            path=f"/v1/approvals/{approval}/decision",
        )
        for name, approval, status, code in (
            ("an-unknown-approval", "apr_0zzzzzzz_1", 404, "not_found"),
            ("no-approval-id", "x", 400, "invalid_id"),
            ("a-run-id", "run_00000001", 400, "invalid_id"),
            ("a-number-that-runs-over", "apr_00000001_16777217", 400, "invalid_id"),
            ("a-number-of-5000-digits", "apr_00000001_" + "9" * 5000, 400, "invalid_id"),
            ("a-digit-of-another-script", "apr_00000001_%D9%A3", 400, "invalid_id"),
            ("a-leading-zero", "apr_00000001_01", 400, "invalid_id"),
        )
    ),
    *(
        posted(f"signal-{name}", body, status, code, path=f"/v1/runs/{run}/signals/{signal}")
        for name, run, signal, body, status, code in (
            ("to-an-unknown-run", "run_0zzzzzzz", "go", {}, 404, "not_found"),
            ("to-no-run-id", "x", "go", {}, 400, "invalid_id"),
            ("to-a-closed-run", "{done}", "go", {}, 409, "wrong_state"),
            ("with-a-name-of-nul", "{waiting}", "a%00", {}, 422, "invalid_identifier"),
            ("with-a-name-of-300-letters", "{waiting}", "a" * 300, {}, 422, "invalid_identifier"),
            ("with-an-unknown-field", "{waiting}", "go", {"xyzzy": 1}, 422, "unknown_field"),
        )
    ),
]
