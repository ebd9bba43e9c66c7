"""The Dockerfile keeps its promises, and its replay reads it as a daemon would.

The steps themselves are run by `nox -s image`, which needs a package index.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import image
from image import DOCKERFILE, Instruction, Replay, read_dockerfile

ROOT = Path(__file__).resolve().parents[2]
PORT = "8470"


@pytest.fixture(scope="module")
def steps() -> list[Instruction]:
    return read_dockerfile(DOCKERFILE.read_text("utf-8"))


def of(steps: list[Instruction], word: str, stage: str = "final") -> list[Instruction]:
    return [each for each in steps if each.word == word and each.stage == stage]


def test_what_runs_holds_neither_compiler_nor_installer_nor_source(steps):
    """The last stage only copies: whatever it does not copy stays behind."""
    assert len(of(steps, "FROM")) == 1
    assert of(steps, "RUN") == []
    assert all("--from=build" in each.text for each in of(steps, "COPY"))
    assert "pip uninstall --yes pip" in of(steps, "RUN", "build")[-1].text


def test_it_runs_as_nobody_in_particular_by_number(steps):
    """A number, so that an orchestrator can prove that it is not root."""
    [user] = of(steps, "USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user.text)
    # Nothing after it gives the right back, and the folder it writes to is its own.
    assert f"--chown={user.text} /data /data" in " ".join(each.text for each in of(steps, "COPY"))


def test_signals_reach_the_engine(steps):
    """The exec form: a shell as the first process would swallow SIGTERM."""
    [entry], [arguments] = of(steps, "ENTRYPOINT"), of(steps, "CMD")
    assert [*entry.exec_form(), *arguments.exec_form()][:2] == ["podium", "serve"]


def test_the_health_check_asks_whether_it_is_ready(steps):
    [check] = of(steps, "HEALTHCHECK")
    command = json.loads(check.text.partition(" CMD ")[2])
    assert f"127.0.0.1:{PORT}/v1/health/ready" in command[-1]
    assert [each.text for each in of(steps, "EXPOSE")] == [PORT]
    compile(command[-1], "healthcheck", "exec")


def test_what_changes_seldom_stands_before_what_changes_often(steps):
    copied = [each.text for each in of(steps, "COPY", "build") if "--from" not in each.text]
    assert copied[0].startswith("requirements/")
    assert copied[-1] == "src/ src/"


def test_every_package_is_locked_by_hash_and_has_a_wheel(steps):
    installs = [each.text for each in of(steps, "RUN", "build") if " install " in each.text]
    for text in installs:
        assert "--require-hashes --only-binary :all:" in text or "--no-index --no-deps" in text


def test_what_it_copies_exists_and_is_not_ignored(steps):
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copies = [each for each in steps if each.word == "COPY" and "--from" not in each.text]
    sources = [source for each in copies for source in each.text.split()[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), f"{source} is copied but does not exist"
        assert source.split("/")[0] in allowed, f"{source} is copied but .dockerignore hides it"


def test_the_context_leaves_out_tests_documentation_and_history():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert next(line for line in lines if line and not line.startswith("#")) == "*"
    assert not {"!tests", "!docs", "!.git", "!deploy"} & set(lines)


def test_its_python_is_one_we_test(steps):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    [python] = of(steps, "FROM")
    version = re.search(r"python:([\d.]+)-slim", python.text)[1]
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]


def test_the_linter_of_dockerfiles_is_content():
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("hadolint is not installed here: make setup (make check runs it too)")
    told = subprocess.run([linter, DOCKERFILE], capture_output=True, text=True, check=False)
    assert told.stdout == ""
    assert told.returncode == 0


# --- compose ----------------------------------------------------------------------------------


def test_the_composed_service_has_no_more_rights_than_it_needs():
    composed = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text("utf-8"))
    service = composed["services"]["podium"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert (ROOT / "deploy" / service["build"]["context"]).resolve() == ROOT
    assert (ROOT / service["build"]["dockerfile"]).exists()


def test_the_first_key_is_a_secret_that_git_does_not_see():
    composed = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text("utf-8"))
    secret = composed["secrets"]["podium_bootstrap_key"]
    assert f"/deploy/{Path(secret['file']).name}" in (ROOT / ".gitignore").read_text().splitlines()
    variable = composed["services"]["podium"]["environment"]["PODIUM_BOOTSTRAP_KEY_FILE"]
    assert variable == "/run/secrets/podium_bootstrap_key"


# --- the replay -------------------------------------------------------------------------------


def test_continued_lines_and_arguments_are_read_as_one_instruction():
    text = (
        "ARG V=3\n# why\nFROM a:${V} AS one\nRUN first \\\n    # between\n    && second\nFROM b\n"
    )
    read = [(each.line, each.stage, each.word, each.text) for each in read_dockerfile(text)]
    assert read == [
        (1, "", "ARG", "V=3"),
        (3, "one", "FROM", "a:3 AS one"),
        (4, "one", "RUN", "first && second"),
        (7, "final", "FROM", "b"),
    ]


def test_the_replay_moves_the_paths_of_the_image_and_no_others(tmp_path):
    replay = Replay(tmp_path)
    moved = replay.here("/opt/x/bin/pip install /data /usr/bin/env a/opt/b")
    assert moved == f"{tmp_path}/opt/x/bin/pip install {tmp_path}/data /usr/bin/env a/opt/b"


def test_the_replay_copies_runs_and_starts(tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "given").write_text("content")
    replay = Replay(tmp_path / "image", root=tmp_path)
    text = (
        "FROM a\nWORKDIR /src\nCOPY tree/ kept/\nENV A=/opt/made\n"
        'RUN mkdir -p /opt && cp kept/given "$A"\nENTRYPOINT ["/opt/made"]\n'
    )
    replay.follow(read_dockerfile(text))
    assert (tmp_path / "image/opt/made").read_text() == "content"
    assert replay.command("x") == [f"{tmp_path}/image/opt/made", "x"]


def test_the_replay_refuses_what_it_does_not_know(tmp_path):
    with pytest.raises(ValueError, match="line 2: ADD is not known"):
        Replay(tmp_path).follow(read_dockerfile("FROM a\nADD x y\n"))


def test_a_step_that_fails_ends_the_replay(tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        Replay(tmp_path).follow(read_dockerfile("FROM a\nRUN false; true\n"))


def test_the_replay_knows_every_instruction_of_our_file(steps):
    words = {each.word for each in steps}
    assert [word for word in words if not hasattr(image.Replay, f"_{word.lower()}")] == []
