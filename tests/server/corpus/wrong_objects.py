"""Schedules, workflows, webhooks, keys, organizations, budgets, dead letters and the older paths
(rows 9, 12, 19, 20, 26): what each of them refuses.
"""

from typing import Any

from cases import Case, got, posted

CRONS = {
    "of-six-wrong-fields": "* * * * * * *",
    "of-four-fields": "* * * *",
    "minute-61": "61 * * * *",
    "minute-negative": "-1 * * * *",
    "hour-24": "0 24 * * *",
    "day-0": "0 0 0 * *",
    "day-32": "0 0 32 * *",
    "month-13": "0 0 * 13 *",
    "weekday-8": "0 0 * * 8",
    "step-of-nothing": "*/0 * * * *",
    "range-backwards": "30-10 * * * *",
    "word": "often",
    "month-of-a-word": "0 0 1 foo *",
    "list-with-a-hole": "1,,2 * * * *",
    "day-that-never-comes": "0 0 31 2 *",
    "nothing": "",
    "number": 5,
    "null": None,
    "shell": "* * * * *; rm -rf /",
    "line-end": "* * * * *\n* * * * *",
    "long": "*," * 5000 + "* * * * *",
}
ZONES = {
    "unknown": "Europe/Atlantis",
    "abbreviation": "CEST",
    "path": "../../etc/passwd",
    "absolute-path": "/etc/localtime",
    "number": 1,
    "null-byte": "Europe/Berlin\u0001",
    "folder": "Europe",
    "empty": "",
}
SCHEDULE: dict[str, Any] = {"name": "nightly", "workflow": "echo", "cron": "0 2 * * *"}
SCHEDULES: dict[str, dict[str, Any]] = {
    "without-anything": {},
    "without-a-workflow": {"name": "nightly", "cron": "0 2 * * *"},
    "without-a-time": {"name": "nightly", "workflow": "echo"},
    "with-two-times": SCHEDULE | {"interval": "1h"},
    "with-an-unknown-field": SCHEDULE | {"crom": "* * * * *"},
    "with-an-unknown-overlap": SCHEDULE | {"overlap": "sometimes"},
    "with-an-interval-of-nothing": {"name": "n", "workflow": "echo", "interval": 0},
    "with-a-negative-interval": {"name": "n", "workflow": "echo", "interval": -5},
    "with-an-interval-of-a-century": {"name": "n", "workflow": "echo", "interval": "99999999d"},
    "with-a-negative-jitter": SCHEDULE | {"jitter": -1},
    "with-a-negative-window": SCHEDULE | {"catch_up": -1},
    "with-a-name-of-a-path": SCHEDULE | {"name": "../x"},
    "with-a-name-of-nothing": SCHEDULE | {"name": ""},
    "with-a-name-of-200-letters": SCHEDULE | {"name": "n" * 200},
}
UNKNOWN_SCHEDULE = {
    "GET": ("", "/ticks", "/preview"),
    "POST": ("/pause", "/resume", "/trigger"),
}
WEBHOOKS: dict[str, dict[str, Any]] = {
    "with-an-unknown-field": {"url": "https://example.com/", "evnts": []},
    "with-an-event-of-nothing": {"url": "https://example.com/", "events": [""]},
    "with-an-event-of-another-kind": {"url": "https://example.com/", "events": ["user.*"]},
    "with-events-of-text": {"url": "https://example.com/", "events": "orchestration.run.*"},
    "with-a-number-for-a-url": {"url": 1},
    "with-a-secret-that-is-none": {"url": "https://example.com/", "secret": "abc"},
    "with-a-short-secret": {"url": "https://example.com/", "secret": "whsec_YQ=="},
    "of-both-directions": {"url": "https://example.com/", "signal": "go"},
    "inbound-for-nothing": {},
    "inbound-for-an-unknown-workflow-and-a-signal": {"workflow": "a", "signal": "b"},
    "with-100-events": {"url": "https://example.com/", "events": ["orchestration.run.*"] * 100},
    "with-a-line-end-in-its-text": {"url": "https://example.com/", "description": "a\u0000"},
}
KEYS: dict[str, dict[str, Any]] = {
    "without-a-role": {},
    "with-an-unknown-role": {"role": "root"},
    "with-a-role-in-capitals": {"role": "ADMIN"},
    "with-a-role-of-a-number": {"role": 1},
    "with-an-unknown-field": {"role": "viewer", "scopes": ["*"]},
    "for-another-organization": {"role": "admin", "organization": "other"},
    "that-ends-before-it-begins": {"role": "viewer", "expires_in": "-1d"},
    "that-ends-at-once": {"role": "viewer", "expires_in": 0},
    "that-ends-sometime": {"role": "viewer", "expires_in": "soon"},
    "that-ends-in-a-million-years": {"role": "viewer", "expires_in": "999999999d"},
    "that-ends-at-infinity": {"role": "viewer", "expires_in": True},
    "with-a-long-name": {"role": "viewer", "name": "n" * 300},
}
BUDGETS: dict[str, dict[str, Any]] = {
    "without-a-scope": {"limits": {"usd": 1}},
    "of-an-unknown-scope": {"scope": "planet", "limits": {"usd": 1}},
    "per-fortnight": {"scope": "organization", "per": "fortnight", "limits": {"usd": 1}},
    "without-limits": {"scope": "organization"},
    "with-a-negative-limit": {"scope": "organization", "limits": {"usd": -1}},
    "with-a-limit-of-text": {"scope": "organization", "limits": {"usd": "much"}},
    "with-an-unknown-limit": {"scope": "organization", "limits": {"euros": 1}},
    "that-does-something-else": {"scope": "organization", "on_limit": "cry", "limits": {"usd": 1}},
    "with-an-unknown-field": {"scope": "organization", "limit_usd": 1},
}
WORKFLOW = {"name": "echo2", "tasks": [{"name": "a"}]}
SEEDS = ("/api/orchestrations/{failed}/actions/retry", "/api/orchestrations/{failed}/actions/skip")

CASES: list[Case] = [
    *(
        posted(f"cron-{name}", SCHEDULE | {"cron": cron}, 422, "", path="/v1/schedules")
        for name, cron in CRONS.items()
    ),
    *(
        posted(
            f"cron-preview-{name}", SCHEDULE | {"cron": cron}, 422, "", path="/v1/schedules/preview"
        )
        for name, cron in CRONS.items()
    ),
    *(
        posted(f"zone-{name}", SCHEDULE | {"timezone": zone}, 422, "", path="/v1/schedules")
        for name, zone in ZONES.items()
    ),
    *(
        posted(f"schedule-{name}", document, 422, "", path="/v1/schedules")
        for name, document in SCHEDULES.items()
    ),
    *(
        Case(
            name=f"schedule-unknown-{method}{end}",
            method=method,
            path=f"/v1/schedules/nobody{end}",
            status=404,
            code="not_found",
        )
        for method, ends in UNKNOWN_SCHEDULE.items()
        for end in ends
    ),
    Case(
        name="schedule-unknown-DELETE",
        method="DELETE",
        path="/v1/schedules/nobody",
        status=404,
        code="not_found",
    ),
    got("schedule-preview-of-no-ticks", "/v1/schedules/nobody/preview?count=0", 400, ""),
    *(
        posted(f"webhook-{name}", body, 422, "", path="/v1/webhooks")
        for name, body in WEBHOOKS.items()
    ),
    *(
        got(f"webhook-unknown{end}", f"/v1/webhooks/whk_unknown{end}", 404, "not_found")
        for end in ("", "/deliveries")
    ),
    posted("webhook-unknown-test", {}, 404, "not_found", path="/v1/webhooks/whk_unknown/test"),
    posted("webhook-unknown-in", {}, 404, "", path="/v1/webhooks/in/whk_unknown"),
    *(posted(f"key-{name}", body, 422, "", path="/v1/keys") for name, body in KEYS.items()),
    got("key-unknown", "/v1/keys/key_unknown", 404, "not_found"),
    posted("key-unknown-revoke", {}, 404, "not_found", path="/v1/keys/key_unknown/revoke"),
    posted("key-unknown-rotate", {}, 404, "not_found", path="/v1/keys/key_unknown/rotate"),
    *(
        posted(f"organization-{name}", body, 422, "", path="/v1/organizations")
        for name, body in {
            "without-a-slug": {},
            "of-capitals": {"slug": "ACME"},
            "with-a-slash": {"slug": "a/b"},
            "with-dots": {"slug": ".."},
            "of-nothing": {"slug": ""},
            "with-a-line-end": {"slug": "acme\n"},
            "of-200-letters": {"slug": "a" * 200},
            "with-an-unknown-field": {"slug": "acme", "owner": "me"},
        }.items()
    ),
    got("organization-unknown", "/v1/organizations/nobody", 404, "not_found"),
    *(
        posted(f"budget-rule-{name}", body, 422, "", path="/v1/budgets", method="PUT")
        for name, body in BUDGETS.items()
    ),
    posted("grant-of-nothing", {}, 422, "missing_field", path="/v1/budgets/grants"),
    posted(
        "grant-of-a-negative",
        {"account": "run/run_00000001", "amounts": {"usd": -1}},
        422,
        "",
        path="/v1/budgets/grants",
    ),
    *(
        posted(f"dead-letter-{verb}-{name}", {}, status, "", path=f"/v1/dead-letters/{bad}/{verb}")
        for verb in ("replay", "discard")
        for name, bad, status in (
            ("unknown", "stp_0zzzzzzz_1", 404),
            ("of-no-id", "x", 400),
            ("of-a-number-that-runs-over", "stp_00000001_99999999", 400),
        )
    ),
    got("dead-letters-of-an-unknown-status", "/v1/dead-letters?status=lost", 400, ""),
    *(
        posted(f"workflow-{name}", body, status, code, path="/v1/workflows")
        for name, body, status, code in (
            ("without-a-definition", {}, 422, "missing_field"),
            ("of-a-number", {"definition": 1}, 422, "wrong_type"),
            (
                "with-an-unknown-field",
                {"definition": WORKFLOW, "force": True},
                422,
                "unknown_field",
            ),
            ("that-may-not", {"definition": "/etc/passwd"}, 422, ""),
            (
                "that-names-what-it-may-not",
                {"definition": {"name": "x", "tasks": [{"name": "a", "uses": "python:os:system"}]}},
                403,
                "task_not_allowed",
            ),
        )
    ),
    got("workflow-unknown-get", "/v1/workflows/nobody", 404, "not_found"),
    got("workflow-unknown-version", "/v1/workflows/echo?version=99", 404, "not_found"),
    got("workflow-unknown-versions", "/v1/workflows/nobody/versions", 404, "not_found"),
    got("workflow-diff-of-nothing", "/v1/workflows/echo/diff", 400, "invalid_parameter"),
    got("workflow-diff-of-unknown", "/v1/workflows/echo/diff?old=99", 404, "not_found"),
    posted(
        "workflow-activate-unknown",
        {"version": "99"},
        404,
        "not_found",
        path="/v1/workflows/echo/activate",
    ),
    posted(
        "workflow-activate-nothing",
        {"version": ""},
        422,
        "out_of_range",
        path="/v1/workflows/echo/activate",
    ),
    got("agent-unknown", "/v1/agents/nobody", 404, "not_found"),
    got("audit-of-no-page", "/v1/audit?limit=0", 400, "invalid_parameter"),
    got("audit-before-text", "/v1/audit?cursor=abc", 400, ""),
    got("logs-of-an-unknown-run", "/v1/runs/run_0zzzzzzz/logs", 404, "not_found"),
    got("feed-after-text", "/v1/events?after=abc", 400, "invalid_cursor"),
    got("feed-after-the-future", "/v1/events?after=999999999999", 400, "invalid_cursor"),
    got("parameter-unknown", "/v1/runs?statsu=failed", 400, "invalid_parameter", says="'status'"),
    *(
        posted(f"seed-{path.rpartition('/')[2]}-{name}", body, status, code, path=path)
        for path in SEEDS
        for name, body, status, code in (
            ("with-snake-case", {"step_record_id": "x"}, 422, "unknown_field"),
            ("with-a-step-that-is-none", {"stepRecordId": "x"}, 404, "not_found"),
            ("with-a-step-of-another-run", {"stepRecordId": "stp_0zzzzzzz_1"}, 404, "not_found"),
            ("with-a-list", [], 422, "wrong_type"),
        )
    ),
    got("seed-unknown-run", "/api/orchestrations/run_0zzzzzzz", 404, "not_found"),
    got("seed-unknown-execution", "/v1/executions/run_0zzzzzzz", 404, "not_found"),
    got("seed-execution-of-no-id", "/v1/executions/7", 400, "invalid_id"),
    got("seed-executions-of-no-status", "/v1/executions?status=stuck", 400, "unknown_status"),
    got("seed-executions-of-too-many", "/v1/executions?limit=5000", 400, "invalid_parameter"),
    got("seed-unknown-agent", "/api/admin/agents/nobody", 404, "not_found"),
]
