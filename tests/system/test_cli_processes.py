"""The command line as real processes: killed, interrupted, detached, asked, several at once."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.slow]

JOB = Path(__file__).with_name("cli_job.py")
PATIENCE_S = 60.0
Process = subprocess.Popen[str]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEDGER", str(tmp_path / "ledger"))
    yield tmp_path
    for process in _STARTED:
        process.kill()
        process.communicate()
    _STARTED.clear()


_STARTED: list[Process] = []


def start(*arguments: str, **options) -> Process:
    process = subprocess.Popen(
        [sys.executable, "-m", "podium", *arguments],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options,
    )
    _STARTED.append(process)
    return process


def call(*arguments: str) -> tuple[int, str, str]:
    process = start(*arguments)
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


def runs() -> list[dict]:
    return json.loads(call("runs", "list", "--json")[1])["items"]


def effects(place: Path) -> list[str]:
    ledger = place / "ledger"
    return ledger.read_text().splitlines() if ledger.exists() else []


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


def test_after_kill_9_the_same_command_goes_on_and_repeats_nothing_finished(place):
    command = ("run", f"{JOB}:steps", "-i", "count=40", "--idempotency-key", "k", "--json")
    first = start(*command)
    wait_until(lambda: len(effects(place)) >= 10)
    first.kill()
    first.wait()
    done = len(effects(place))
    code, out, err = call(*command)
    assert (code, json.loads(out)["output"]) == (0, sum(range(40)))
    assert "finished steps are not repeated" in err
    twice = [n for n, times in Counter(effects(place)).items() if times > 1]
    assert len(twice) <= 1
    assert done < 40


def test_recover_continues_what_a_killed_process_left(place):
    first = start("run", f"{JOB}:steps", "-i", "count=30")
    wait_until(lambda: len(effects(place)) >= 5)
    first.kill()
    first.wait()
    code, _, err = call("recover")
    assert (code, "1 completed" in err) == (0, True)
    assert set(effects(place)) == set(map(str, range(30)))


def test_whoever_watches_a_run_takes_it_over_when_its_process_dies(place):
    command = ("run", f"{JOB}:steps", "-i", "count=120", "--idempotency-key", "k", "--json")
    first = start(*command)
    wait_until(lambda: len(effects(place)) >= 3)
    second = start(*command)
    wait_until(lambda: len(effects(place)) >= 60)
    first.kill()
    out, _ = second.communicate(timeout=PATIENCE_S)
    assert json.loads(out)["output"] == sum(range(120))
    assert len(effects(place)) <= 121


def test_ctrl_c_once_detaches_and_says_how_to_continue(place):
    first = start("run", f"{JOB}:steps", "-i", "count=500")
    wait_until(lambda: len(effects(place)) >= 3)
    first.send_signal(signal.SIGINT)
    _, err = first.communicate(timeout=PATIENCE_S)
    assert (first.returncode, "podium recover" in err) == (130, True)
    assert runs()[0]["status"] == "running"


def test_ctrl_c_with_a_key_names_the_same_command(place):
    first = start("run", f"{JOB}:steps", "-i", "count=500", "--idempotency-key", "my key")
    wait_until(lambda: len(effects(place)) >= 3)
    first.send_signal(signal.SIGINT)
    _, err = first.communicate(timeout=PATIENCE_S)
    assert f"podium run {JOB}:steps -i count=500 --idempotency-key 'my key'" in err


def test_ctrl_c_twice_cancels_the_run(place):
    first = start("run", f"{JOB}:steps", "-i", "count=500")
    wait_until(lambda: len(effects(place)) >= 3)
    first.send_signal(signal.SIGINT)
    time.sleep(0.3)
    first.send_signal(signal.SIGINT)
    _, err = first.communicate(timeout=PATIENCE_S)
    assert (first.returncode, "is cancelled" in err) == (130, True)
    assert runs()[0]["status"] == "cancelled"


def test_a_thread_that_hangs_does_not_keep_the_process(place):
    first = start("run", f"{JOB}:blocking")
    wait_until(lambda: effects(place) == ["stuck"])
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=20)
    assert first.returncode == 130


def test_a_detached_run_is_driven_in_the_background(place):
    code, out, err = call("run", f"{JOB}:steps", "-i", "count=5", "--detach", "--json")
    assert (code, "in the background" in err) == (0, True)
    wait_until(lambda: runs()[0]["status"] == "completed")
    assert json.loads(out)["run_id"] == runs()[0]["run_id"]
    assert (place / ".podium" / "logs" / "recover.log").exists()


def test_a_signal_reaches_the_process_that_follows_the_run(place):
    holding = start("run", f"{JOB}:held", "--json")
    wait_until(lambda: any(row["reason"] == "signal" for row in runs()))
    run = runs()[0]["run_id"]
    code, _, err = call("signal", run, "go", "--payload", "5")
    assert (code, "podium recover" in err) == (0, False)
    out, _ = holding.communicate(timeout=PATIENCE_S)
    assert json.loads(out)["output"] == 5


def test_a_closed_pipe_ends_quietly(place):
    command = f"{sys.executable} -m podium run {JOB}:steps -i count=200 --events | head -n 1"
    done = subprocess.run(
        command, shell=True, check=False, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert json.loads(done.stdout)["type"] == "orchestration.run.queued"
    assert "Error" not in done.stderr


def test_many_processes_share_one_store(place):
    processes = [
        start("run", f"{JOB}:steps", "-i", "count=5", "-i", "pause=0", "--json") for _ in range(4)
    ]
    results = [json.loads(process.communicate(timeout=PATIENCE_S)[0]) for process in processes]
    assert {result["status"] for result in results} == {"completed"}
    assert len({result["run_id"] for result in results}) == 4


class Terminal:
    """A program at a terminal, and a person who types."""

    def __init__(self, *arguments: str) -> None:
        self.screen = ""
        pid, self.handle = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(sys.executable, [sys.executable, "-m", "podium", *arguments])
        self.pid = pid

    def read_until(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.screen:
            assert time.monotonic() < deadline, self.screen
            if select.select([self.handle], [], [], 0.1)[0]:
                try:
                    self.screen += os.read(self.handle, 65536).decode(errors="replace")
                except OSError:
                    break
        assert text in self.screen

    def type(self, text: str) -> None:
        os.write(self.handle, text.encode())

    def exit_code(self) -> int:
        while True:
            try:
                if not os.read(self.handle, 65536):
                    break
            except OSError:
                break
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_person_at_a_terminal_sees_a_tree_is_shown_the_payload_and_approves(place):
    terminal = Terminal("run", f"{JOB}:gated")
    terminal.read_until("[d]etach?")
    terminal.type("s\n")
    terminal.read_until('"text": "hello"')
    terminal.type("a\n")
    terminal.read_until("completed in")
    assert terminal.exit_code() == 0
    assert "waits for approval" in terminal.screen


@pytest.mark.parametrize(
    ("answer", "code", "status"), [("r", 0, "completed"), ("d", 130, "waiting")]
)
def test_a_person_may_reject_or_leave(place, answer, code, status):
    terminal = Terminal("run", f"{JOB}:gated")
    terminal.read_until("[d]etach?")
    terminal.type(f"{answer}\n")
    assert terminal.exit_code() == code
    assert runs()[0]["status"] == status


def test_the_question_goes_away_when_somebody_else_decides(place):
    terminal = Terminal("run", f"{JOB}:gated")
    terminal.read_until("[d]etach?")
    approval = json.loads(call("approvals", "list", "--json")[1])["items"][0]["approval_id"]
    assert call("approvals", "approve", approval)[0] == 0
    terminal.read_until("completed in")
    assert terminal.exit_code() == 0


def test_yes_at_a_terminal_asks_nothing(place):
    terminal = Terminal("run", f"{JOB}:gated", "--yes")
    terminal.read_until("completed in")
    assert (terminal.exit_code(), "etach?" in terminal.screen) == (0, False)


def test_no_wait_at_a_terminal_exits_6(place):
    terminal = Terminal("run", f"{JOB}:gated", "--no-wait")
    terminal.read_until("podium approvals approve")
    assert terminal.exit_code() == 6
