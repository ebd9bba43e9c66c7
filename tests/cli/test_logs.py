"""Log lines: one shape, one level, no noise from libraries, ids of what they belong to."""

import json
import logging

import pytest

from podium.cli.logs import show_logs
from podium.runtime.attempts import _CONTEXT, AttemptContext
from podium.runtime.correlation import bind_request
from podium.runtime.secrets import Secrets


@pytest.fixture(autouse=True)
def no_request():
    yield
    bind_request("")


def line_of(capsys, style="json"):
    err = capsys.readouterr().err
    return json.loads(err) if style == "json" else err


def test_a_line_has_level_part_message_and_details(capsys):
    show_logs("warning", "text")
    logging.getLogger("podium.pump").warning("tick.resent", extra={"tries": 2})
    logging.getLogger("podium.pump").info("tick.done")
    assert capsys.readouterr().err == "WARN [pump] tick.resent tries=2\n"


def test_the_level_is_a_setting_and_a_wrong_one_means_warnings(capsys):
    show_logs("info", "text")
    logging.getLogger("podium.engine").info("run.adopted")
    show_logs("loud", "text")
    logging.getLogger("podium.engine").info("run.adopted")
    assert capsys.readouterr().err == "INFO [engine] run.adopted\n"


@pytest.mark.parametrize(
    ("logger", "level", "message", "line"),
    [
        (
            "podium.tasks",
            "ERROR",
            "Task 'data-transform-123' failed: Connection timeout",
            "ERROR [TaskExecutor] Task 'data-transform-123' failed: Connection timeout\n",
        ),
        (
            "podium.scheduler",
            "WARNING",
            "High memory usage detected: 85%",
            "WARN [Scheduler] High memory usage detected: 85%\n",
        ),
        (
            "podium.database",
            "ERROR",
            "Connection pool exhausted",
            "ERROR [Database] Connection pool exhausted\n",
        ),
    ],
)
def test_the_lines_that_operators_search_for_keep_their_shape(capsys, logger, level, message, line):
    show_logs("info", "text")
    logging.getLogger(logger).log(logging.getLevelName(level), message)
    assert capsys.readouterr().err == line


def test_off_a_terminal_a_line_is_one_json_object(capsys):
    show_logs("warning")
    logging.getLogger("podium.tasks").error("two\nlines", extra={"tries": 2})
    found = line_of(capsys)
    assert (found["level"], found["component"], found["tries"]) == ("error", "TaskExecutor", 2)
    assert found["message"] == "two\nlines"
    assert found["time"].endswith("Z")


def test_an_exception_is_part_of_its_line(capsys):
    show_logs("warning", "json")
    try:
        int("seven")
    except ValueError:
        logging.getLogger("podium.server").exception("request.failed")
    assert "ValueError: invalid literal" in line_of(capsys)["exception"]


def test_a_line_names_the_attempt_it_was_written_in(capsys):
    show_logs("warning", "json")
    token = _CONTEXT.set(AttemptContext("run_00000001", "a[3]", 2, 1, 1, organization="acme"))
    try:
        logging.getLogger("podium.models").warning("slow")
    finally:
        _CONTEXT.reset(token)
    found = line_of(capsys)
    assert (found["run_id"], found["step"], found["attempt"]) == ("run_00000001", "a[3]", 2)
    assert found["organization"] == "acme"


def test_a_line_of_the_service_names_its_request_and_one_of_the_engine_does_not(capsys):
    show_logs("warning", "json")
    bind_request("req_1", "acme")
    logging.getLogger("podium.server").warning("slow")
    found = line_of(capsys)
    assert (found["request_id"], found["organization"]) == ("req_1", "acme")
    # Ticks work for many requests, in the context of whichever came last.
    logging.getLogger("podium.pump").warning("tick.resent")
    assert "request_id" not in line_of(capsys)


def test_a_secret_is_taken_out_wherever_it_stands(capsys):
    for style in ("json", "text"):
        show_logs("warning", style, secrets=Secrets(["hunter22"]))
        extra = {"url": "https://x/?key=hunter22"}
        logging.getLogger("podium.server").warning("hunter22", extra=extra)
        assert "hunter22" not in capsys.readouterr().err


def test_attempts_may_log_from_info_on_unless_the_program_has_its_own_idea(monkeypatch):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    root.setLevel(logging.WARNING)
    show_logs("warning")
    assert root.level == logging.INFO
    root.setLevel(logging.ERROR)
    show_logs("warning")
    assert root.level == logging.ERROR


def test_errors_of_the_libraries_below_have_the_same_shape(capsys):
    show_logs("warning", "text", secrets=Secrets(["hunter22"]))
    logging.getLogger("uvicorn.error").error("Exception in ASGI application: hunter22")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("asyncio").error("Task exception was never retrieved")
    assert capsys.readouterr().err == (
        "ERROR [uvicorn.error] Exception in ASGI application: [secret]\n"
        "ERROR [asyncio] Task exception was never retrieved\n"
    )


def test_loggers_that_are_told_otherwise_are_quiet(capsys):
    show_logs("warning", "text", quiet=("podium.tasks",))
    logging.getLogger("podium.tasks").error("failed")
    logging.getLogger("podium.pump").error("failed")
    assert capsys.readouterr().err == "ERROR [pump] failed\n"
