"""Real processes on one file: killed anywhere, several at once, stopped and continued."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.slow]

JOB = Path(__file__).with_name("ledger_job.py")
RUNS, STEPS = 6, 12
EFFECTS = RUNS * (STEPS + 2)


def spawn(tmp_path: Path, prefix: str = "job", pause_ms: int = 4) -> "subprocess.Popen[str]":
    arguments = [str(tmp_path / "p.db"), str(tmp_path / "ledger"), prefix, str(RUNS), str(STEPS)]
    return subprocess.Popen(
        [sys.executable, str(JOB), *arguments, str(pause_ms)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def effects(tmp_path: Path) -> Counter[str]:
    lines = (tmp_path / "ledger").read_text().splitlines()
    return Counter(line.split()[0] for line in lines)


def expected(prefix: str = "job") -> dict[str, str]:
    names = [*map(str, range(STEPS)), "left", "right"]
    return {
        f"{prefix}-{run}": ",".join(f"{prefix}-{run}/{name}" for name in names)
        for run in range(RUNS)
    }


def results(output: str) -> dict[str, str]:
    return dict(line.split() for line in output.splitlines())


def wait_for_effects(tmp_path: Path, count: int, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        ledger = tmp_path / "ledger"
        if ledger.exists() and sum(effects(tmp_path).values()) >= count:
            return
        time.sleep(0.002)


@pytest.mark.parametrize("seed", range(4))
def test_a_process_killed_anywhere_loses_nothing_and_repeats_only_what_was_in_flight(
    tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    kills = 0
    for threshold in sorted(dice.sample(range(5, EFFECTS - 5), 4)):
        process = spawn(tmp_path)
        wait_for_effects(tmp_path, threshold, process)
        kills += process.poll() is None
        process.kill()
        process.communicate()
    final = spawn(tmp_path)
    output, errors = final.communicate(timeout=120)
    assert final.returncode == 0, errors
    assert results(output) == expected()
    counted = effects(tmp_path)
    assert len(counted) == EFFECTS
    # Each kill interrupts at most two attempts of a run: its last two steps run side by side.
    assert sum(counted.values()) - EFFECTS <= kills * RUNS * 2
    assert kills > 0


def test_an_effect_keeps_its_idempotency_key_over_kills(tmp_path: Path) -> None:
    process = spawn(tmp_path, pause_ms=15)
    wait_for_effects(tmp_path, EFFECTS // 2, process)
    process.kill()
    process.communicate()
    final = spawn(tmp_path, pause_ms=0)
    final.communicate(timeout=120)
    lines = [line.split() for line in (tmp_path / "ledger").read_text().splitlines()]
    keys = {(name, key) for name, key, _token, _pid in lines}
    tokens = {name: [int(t) for n, _k, t, _p in lines if n == name] for name, *_ in lines}
    assert len(lines) > len(keys) == EFFECTS
    assert all(values == sorted(set(values)) for values in tokens.values())


def test_processes_that_share_one_file_finish_all_runs_without_a_lock_error(
    tmp_path: Path,
) -> None:
    processes = {f"p{number}": spawn(tmp_path, f"p{number}", 0) for number in range(4)}
    for prefix, process in processes.items():
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert "locked" not in errors.lower()
        assert results(output) == expected(prefix)
    assert set(effects(tmp_path).values()) == {1}


def test_two_processes_with_the_same_keys_share_the_runs(tmp_path: Path) -> None:
    first, second = spawn(tmp_path, pause_ms=10), spawn(tmp_path, pause_ms=10)
    for process in (first, second):
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert results(output) == expected()
    assert set(effects(tmp_path).values()) == {1}


def test_a_stopped_process_goes_on_where_it_was(tmp_path: Path) -> None:
    process = spawn(tmp_path, pause_ms=10)
    wait_for_effects(tmp_path, 10, process)
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.0)
    process.send_signal(signal.SIGCONT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert results(output) == expected()
    assert set(effects(tmp_path).values()) == {1}
