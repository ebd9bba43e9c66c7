"""Log lines: one shape, one level, no noise from libraries."""

import logging

import pytest

from podium.cli.logs import show_logs


@pytest.fixture(autouse=True)
def as_before():
    log = logging.getLogger("podium")
    before = log.level, list(log.handlers), log.propagate
    yield
    log.level, log.handlers, log.propagate = before


def test_a_line_has_level_part_message_and_details(capsys):
    show_logs("warning")
    logging.getLogger("podium.pump").warning("tick.resent", extra={"tries": 2})
    logging.getLogger("podium.pump").info("tick.done")
    assert capsys.readouterr().err == "WARN [pump] tick.resent tries=2\n"


def test_the_level_is_a_setting_and_a_wrong_one_means_warnings(capsys):
    show_logs("info")
    logging.getLogger("podium.engine").info("run.adopted")
    show_logs("loud")
    logging.getLogger("podium.engine").info("run.adopted")
    assert capsys.readouterr().err == "INFO [engine] run.adopted\n"
