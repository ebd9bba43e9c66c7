"""The agent template as `podium init` gives it: its own tests, and its own words."""

import json
import shutil
import subprocess
import sys


def test_the_tests_of_the_template_pass(examples, tmp_path):
    project = tmp_path / "desk"
    shutil.copytree(examples / "agent", project)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "tests"], cwd=project, capture_output=True, text=True, check=False
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_without_a_model_the_rules_answer_and_nothing_is_paid(examples, tmp_path):
    project = tmp_path / "desk"
    shutil.copytree(examples / "agent", project)
    command = [sys.executable, "-m", "podium", "run", "workflow.yaml", "--yes", "--json"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert (told["status"], told["cost_usd"]) == ("completed", 0), done.stderr
    assert told["output"]["mode"] == "rules"
    answers = json.loads((project / "answers.json").read_text())
    assert [answer["topic"] for answer in answers] == ["delivery", "refund", "account", "refund"]
