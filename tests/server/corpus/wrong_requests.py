"""Requests that are wrong before their body is read: ids, parameters, methods, types, sizes,
headers, hosts (rows 14, 16, 17, 18, 20).
"""

from urllib.parse import quote

from cases import JSON, Case, got, posted

READS = ("", "/status", "/steps", "/explain", "/plan", "/cost", "/events")
VERBS = ("retry", "skip", "abort", "cancel", "pause", "resume", "fork", "rerun")
BAD_IDS = {
    "of-one-letter": "x",
    "without-digits": "run_",
    "too-short": "run_0000001",
    "too-long": "run_000000001",
    "with-a-letter-that-is-none": "run_0000000u",
    "of-a-step": "stp_00000001_1",
    "of-an-approval": "apr_00000001_1",
    "with-nul": "run_0000000\0",
    "with-a-line-end": "run_00000001\n",
    "of-full-width-digits": "run_0000000\uff11",
    "of-a-kelvin-sign": "run_0000000\u212a",
    "with-a-quote": "run_00000001' or '1'='1",
    "of-a-path": "..\\..\\etc",
    "of-markup": "<script>alert(1)",
    "of-10000-letters": "run_" + "0" * 10_000,
}
UNKNOWN = "run_0zzzzzzz"

PARAMETERS = {
    "limit-of-nothing": ("limit=0", "invalid_parameter"),
    "limit-negative": ("limit=-1", "invalid_parameter"),
    "limit-too-large": ("limit=1001", "invalid_parameter"),
    "limit-huge": ("limit=99999999999999999999", "invalid_parameter"),
    "limit-of-5000-digits": ("limit=" + "9" * 5000, "invalid_parameter"),
    "limit-is-text": ("limit=ten", "invalid_parameter"),
    "limit-is-a-fraction": ("limit=1.5", "invalid_parameter"),
    "limit-is-true": ("limit=true", "invalid_parameter"),
    "limit-is-not-a-number": ("limit=NaN", "invalid_parameter"),
    "limit-of-other-digits": ("limit=%D9%A3", "invalid_parameter"),
    "limit-empty": ("limit=", "invalid_parameter"),
    "cursor-is-text": ("cursor=next", "invalid_cursor"),
    "cursor-of-a-step": ("cursor=stp_00000001_1", "invalid_cursor"),
    "cursor-is-sql": ("cursor=1%20or%201%3D1", "invalid_cursor"),
    "cursor-with-nul": ("cursor=run_0000000%00", "invalid_cursor"),
    "cursor-too-long": ("cursor=" + "x" * 300, "invalid_parameter"),
    "status-unknown": ("status=stuck", "unknown_status"),
    "status-nearly-known": ("status=runing", "unknown_status"),
    "status-is-a-number": ("status=2", "unknown_status"),
    "status-empty-between": ("status=failed,,running", "unknown_status"),
    "status-one-of-two": ("status=failed&status=x", "unknown_status"),
    "label-without-value": ("label=team", "invalid_label"),
    "label-without-name": ("label=%3Dx", "invalid_label"),
    "created-after-is-text": ("created_after=yesterday", "invalid_parameter"),
    "created-after-without-zone": ("created_after=2026-11-21T16:00:00", "invalid_parameter"),
    "created-after-is-a-number": ("created_after=1763726400", "invalid_parameter"),
    "created-after-has-no-such-day": ("created_after=2026-02-30T00:00:00Z", "invalid_parameter"),
}
STEP_PARAMETERS = {
    "cursor-of-a-run": ("cursor=run_00000001", "invalid_cursor"),
    "cursor-of-another-digit": ("cursor=stp_00000001_%D9%A3", "invalid_cursor"),
    "cursor-beyond-the-run": ("cursor=stp_00000001_16777216", "invalid_cursor"),
    "cursor-of-5000-digits": ("cursor=stp_00000001_" + "9" * 5000, "invalid_parameter"),
    "limit-of-nothing": ("limit=0", "invalid_parameter"),
}
METHODS = [
    ("DELETE", "/v1/runs"),
    ("PUT", "/v1/runs"),
    ("PATCH", "/v1/runs/{done}"),
    ("DELETE", "/v1/runs/{done}"),
    ("POST", "/v1/runs/{done}"),
    ("POST", "/v1/runs/{done}/status"),
    ("GET", "/v1/runs/{done}/actions/retry"),
    ("PUT", "/v1/runs/{done}/actions/retry"),
    ("POST", "/v1/health"),
    ("DELETE", "/v1/health/live"),
    ("POST", "/openapi.json"),
]
PATHS = {
    "nothing": "/v1/nothing",
    "another-version": "/v2/runs",
    "no-version": "/runs-of-mine",
    "a-verb-that-is-none": "/v1/runs/{done}/actions",
    "deeper-than-it-goes": "/v1/runs/{done}/steps/1/2/3",
    "another-case": "/v1/Runs",
    "hidden-file": "/v1/.env",
    "git": "/.git/config",
    "up-and-out": "/v1/../../../etc/passwd",
    "up-and-out-encoded": "/v1/%2e%2e/%2e%2e/etc/passwd",
    "up-and-out-twice-encoded": "/v1/%252e%252e/etc/passwd",
    "windows": "/v1/..%5c..%5cwindows",
    "nul": "/v1/runs%00",
    "debugger": "/debug/pprof",
}
TYPES = {
    "text": "text/plain",
    "form": "application/x-www-form-urlencoded",
    "multipart": "multipart/form-data; boundary=x",
    "xml": "application/xml",
    "octets": "application/octet-stream",
    "utf-7": "application/json; charset=utf-7",
    "utf-16": "application/json; charset=utf-16",
    "latin-1": "application/json;charset=iso-8859-1",
    "nonsense": "json",
    "two-types": "text/plain, application/json",
    "pickle": "application/python-pickle",
}
ENCODED = {
    "utf-16-with-a-mark": '{"workflow": "x"}'.encode("utf-16"),
    "utf-32": '{"workflow": "x"}'.encode("utf-32"),
    "latin-1": b'{"workflow": "\xe9"}',
    "overlong": b'{"workflow": "\xc0\xaf"}',
    "surrogate-in-utf-8": b'{"workflow": "\xed\xa0\x80"}',
    "cut-off": b'{"workflow": "\xf0\x9f\x92',
}
HOSTS = {
    "another-name": "evil.example",
    "rebound": "127.0.0.1.evil.example",
    "with-credentials": "localhost@evil.example",
    "a-network-address": "10.0.0.1",
    "everywhere": "0.0.0.0",
    "cloud-metadata": "169.254.169.254",
    "nearly-local": "localhost.",
}
ORIGINS = {
    "another-site": "https://evil.example",
    "null": "null",
    "another-port": "http://127.0.0.1:1",
    "local-name-of-another-scheme": "https://127.0.0.1",
    "nonsense": "::::",
}

START = b'{"workflow": "echo", "input": {"word": "a"}}'

CASES: list[Case] = [
    *(
        got(f"id-{name}{end}", f"/v1/runs/{quote(bad, safe='')}{end}", 400, "invalid_id")
        for name, bad in BAD_IDS.items()
        for end in ("", "/status", "/steps")
        if name != "of-one-letter" or not end
    ),
    *(got(f"id-of-one-letter{end}", f"/v1/runs/x{end}", 400, "invalid_id") for end in READS[1:]),
    *(got(f"unknown-run{end}", f"/v1/runs/{UNKNOWN}{end}", 404, "not_found") for end in READS),
    *(
        posted(
            f"unknown-run-{verb}", {}, 404, "not_found", path=f"/v1/runs/{UNKNOWN}/actions/{verb}"
        )
        for verb in VERBS
    ),
    *(
        posted(f"id-of-one-letter-{verb}", {}, 400, "invalid_id", path=f"/v1/runs/x/actions/{verb}")
        for verb in VERBS
    ),
    posted("verb-unknown", {}, 404, "not_found", path="/v1/runs/{done}/actions/explode"),
    posted("verb-misspelt", {}, 404, "not_found", path="/v1/runs/{failed}/actions/rety"),
    *(
        got(f"parameter-{name}", f"/v1/runs?{query}", 400, code)
        for name, (query, code) in PARAMETERS.items()
    ),
    *(
        got(f"steps-{name}", f"/v1/runs/{{done}}/steps?{query}", 400, code)
        for name, (query, code) in STEP_PARAMETERS.items()
    ),
    *(
        Case(
            name=f"method-{method}-{path}",
            method=method,
            path=path,
            status=405,
            code="method_not_allowed",
        )
        for method, path in METHODS
    ),
    *(
        Case(
            name=f"method-{method}",
            method=method,
            path="/v1/runs",
            status=405,
            code="method_not_allowed",
        )
        for method in ("TRACE", "PROPFIND", "LOCK")
    ),
    *(got(f"path-{name}", path, 404, "not_found") for name, path in PATHS.items()),
    *(
        posted(f"type-{name}", START, 415, "unsupported_media_type", headers={"content-type": kind})
        for name, kind in TYPES.items()
    ),
    *(
        posted(f"encoding-{name}", body, 415, "unsupported_media_type")
        for name, body in ENCODED.items()
    ),
    posted(
        "body-of-ten-megabytes", b'{"workflow": "' + b"x" * 10_000_000 + b'"}', 413, "too_large"
    ),
    posted("body-of-a-megabyte-and-a-bit", b" " * (1024 * 1024 + 1), 413, "too_large"),
    posted(
        "body-that-is-compressed",
        b"\x1f\x8b\x08\x00",
        415,
        "unsupported_media_type",
        headers={"content-encoding": "gzip"},
    ),
    *(
        got(f"host-{name}", "/v1/runs", 403, "host_not_allowed", headers={"host": host})
        for name, host in HOSTS.items()
    ),
    *(
        posted(f"origin-{name}", START, 403, "origin_not_allowed", headers={"origin": origin})
        for name, origin in ORIGINS.items()
    ),
    got(
        "headers-too-many",
        "/v1/runs",
        431,
        "headers_too_large",
        headers={f"x-{no}": "1" for no in range(150)},
    ),
    got(
        "headers-too-large", "/v1/runs", 431, "headers_too_large", headers={"x-large": "x" * 20_000}
    ),
    Case(
        name="body-that-is-missing",
        method="POST",
        path="/v1/runs",
        status=400,
        code="syntax_error",
        headers=JSON,
    ),
]
