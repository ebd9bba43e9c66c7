"""Functions of programs that are run as scripts: known to others by their file."""

import subprocess
import sys
import threading

import pytest

from podium.errors import RequestError
from podium.runtime.registry import load_target


def test_threads_that_ask_for_one_script_get_all_of_it(tmp_path):
    script = tmp_path / "slow.py"
    script.write_text("import time\ntime.sleep(0.2)\ndef late(): ...\n")
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(load_target(f"{script}:late")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_a_script_that_cannot_be_imported_is_tried_again(tmp_path):
    script = tmp_path / "odd.py"
    script.write_text("def early(): ...\nraise LookupError('not yet')\n")
    for _ in range(2):
        with pytest.raises(LookupError, match="not yet"):
            load_target(f"{script}:early")
    script.write_text("def early(): ...\n")
    assert load_target(f"{script}:early").__name__ == "early"


def test_a_script_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RequestError, match="PDM-R022"):
        load_target(f"{tmp_path}/gone.py:f")


def test_the_running_program_is_not_imported_a_second_time(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(
        "from podium.runtime.registry import load_target, target_of\n"
        "def own(): ...\n"
        "assert target_of(own) == f'{__file__}:own'\n"
        "print(load_target(target_of(own)) is own)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")
