"""Memory: read where the system says it, and warned of once."""

import asyncio
import logging

import pytest

from podium.runtime.resources import memory_used, watch_memory


@pytest.fixture
def machine(tmp_path):
    path = tmp_path / "meminfo"
    path.write_text("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n")
    return path


def test_the_limit_of_a_container_counts_first(tmp_path, machine):
    assert memory_used(tmp_path, machine) == (750 * 1024, 1000 * 1024)
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_used(tmp_path, machine)[1] == 1000 * 1024
    (tmp_path / "memory.max").write_text("400\n")
    (tmp_path / "memory.current").write_text("100\n")
    assert memory_used(tmp_path, machine) == (100, 400)


def test_a_system_that_says_nothing_is_no_error(tmp_path):
    assert memory_used(tmp_path, tmp_path / "none") == (0, 0)


def test_it_is_told_once_until_it_was_calm_again(caplog):
    shares = [(84, 100), (85, 100), (99, 100), (82, 100), (86, 100), (70, 100), (90, 100)]

    class Over(Exception):
        """There is nothing more to see."""

    def used():
        if not shares:
            raise Over
        return shares.pop(0)

    with pytest.raises(Over):
        asyncio.run(watch_memory(used, every_s=0))
    told = [record.getMessage() for record in caplog.records]
    assert told == ["High memory usage detected: 85%", "High memory usage detected: 90%"]
    assert caplog.records[0].levelno == logging.WARNING
