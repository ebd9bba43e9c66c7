"""Replay deploy/Dockerfile in a folder: the steps of the image, without a container daemon.

Every absolute path of the image stands under the folder instead. What only a daemon can do
(another user, a network of its own) is left out and said so.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = ROOT / "deploy" / "Dockerfile"

# What the image owns; other absolute paths (/bin/sh) are the machine's.
OWN = ("/data", "/opt", "/src")
# Where a server of the image listens; one that is tried out takes a free port instead.
PORT = "8470"


@dataclass(frozen=True)
class Instruction:
    """One instruction with its line: RUN, the text after it, and the stage it belongs to."""

    line: int
    stage: str
    word: str
    text: str

    def exec_form(self) -> list[str]:
        """Return the arguments of `["podium", "serve"]`; raises ValueError for the shell form."""
        arguments = json.loads(self.text)
        if not isinstance(arguments, list):
            raise TypeError(f"line {self.line}: {self.word} is not in the exec form")
        return arguments


def read_dockerfile(text: str) -> list[Instruction]:
    """Return the instructions with continued lines joined and build arguments filled in."""
    found: list[Instruction] = []
    stage, values = "", {}
    for line, logical in logical_lines(text):
        word, _, rest = logical.partition(" ")
        rest = re.sub(r"\$\{(\w+)\}", lambda name: values.get(name[1], name[0]), rest.strip())
        if word == "ARG":
            name, _, value = rest.partition("=")
            values[name] = value
        elif word == "FROM":
            stage = rest.partition(" AS ")[2] or "final"
        found.append(Instruction(line, stage, word, rest))
    return found


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines with their number, without comments, continued lines joined."""
    parts: list[str] = []
    start = 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        start = start if parts else number
        parts.append(line.strip().removesuffix("\\").strip())
        if not line.rstrip().endswith("\\"):
            yield start, " ".join(parts)
            parts = []


class Replay:
    """Carries out the instructions of the wanted stages under `folder`."""

    def __init__(self, folder: Path, *, root: Path = ROOT, skipped: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.root = root
        self.skipped = skipped
        self.environment: dict[str, str] = {}
        self.place = folder
        self.started: list[str] = []
        self.probe: list[str] = []

    def follow(self, instructions: list[Instruction]) -> None:
        """Do every step in order; raises CalledProcessError at the first that fails."""
        for each in instructions:
            if each.stage in self.skipped:
                continue
            step = getattr(self, f"_{each.word.lower()}", None)
            if step is None:
                raise ValueError(f"line {each.line}: {each.word} is not known to the replay")
            step(each)

    def here(self, text: str) -> str:
        """Return the text with the image's own paths moved under the folder."""
        own = "|".join(map(re.escape, OWN))
        return re.sub(rf"(?<![\w.])({own})(?=[/\s:]|$)", rf"{self.folder}\1", text)

    def command(self, *extra: str) -> list[str]:
        """Return the command that a container would start, with `extra` as its arguments."""
        start = [self.here(word) for word in self.started]
        return [*start, *extra]

    def variables(self) -> dict[str, str]:
        """Return what a process of the image finds in its environment."""
        return os.environ | self.environment

    def _from(self, each: Instruction) -> None:
        self.environment, self.place = {}, self.folder

    def _env(self, each: Instruction) -> None:
        for pair in shlex.split(each.text):
            name, _, value = pair.partition("=")
            value = self.here(value).replace("$PATH", os.environ["PATH"])
            # Three slashes and a path: the fourth is the path's own.
            self.environment[name] = re.sub(r"^(sqlite:///)(/data)", rf"\1{self.folder}\2", value)

    def _workdir(self, each: Instruction) -> None:
        self.place = Path(self.here(each.text))
        self.place.mkdir(parents=True, exist_ok=True)

    def _copy(self, each: Instruction) -> None:
        words = [word for word in shlex.split(each.text) if not word.startswith("--chown")]
        if words[0].startswith("--from"):
            return  # One folder for all stages: what an earlier stage made is there already.
        *sources, target = words
        for source in sources:
            into = self.place / target
            origin = self.root / source
            if origin.is_dir():
                shutil.copytree(origin, into, dirs_exist_ok=True, ignore=_ignored)
            else:
                into = into / Path(source).name if target.endswith("/") else into
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(origin, into)

    def _run(self, each: Instruction) -> None:
        command = self.here(each.text)
        say(f"RUN {command}")
        variables = self.variables()
        subprocess.run(["/bin/sh", "-euc", command], cwd=self.place, env=variables, check=True)

    def _healthcheck(self, each: Instruction) -> None:
        self.probe = json.loads(each.text.partition(" CMD ")[2])

    def _entrypoint(self, each: Instruction) -> None:
        self.started = each.exec_form()

    def _nothing(self, each: Instruction) -> None:
        """Leave out what shapes the container, not its content."""

    _arg = _label = _user = _volume = _expose = _stopsignal = _cmd = _nothing


def _ignored(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name in {"__pycache__", "node_modules", ".podium"}}


def try_out(replay: Replay) -> int:
    """Use what was built as a container would be used, and measure it."""
    variables: Mapping[str, str] = replay.variables()
    for arguments in (["--version"], ["init", "trial"], ["run", "trial/workflow.yaml", "--yes"]):
        say(" ".join(["podium", *arguments]))
        command = replay.command(*arguments)
        subprocess.run(command, cwd=replay.place, env=variables, check=True)
    serve_and_probe(replay)
    size = sum(each.lstat().st_size for each in (replay.folder / "opt/podium").rglob("*"))
    say(f"{size / 1e6:.0f} MB beside the base image")
    return 0


def serve_and_probe(replay: Replay) -> None:
    """Start the server, ask the health check of the image, and end it as a daemon would."""
    variables = replay.variables()
    command = replay.command("serve", "--port", "0", "--json")
    say("podium serve, its health check, SIGTERM")
    with subprocess.Popen(
        command, cwd=replay.place, env=variables, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            line = server.stdout.readline() if server.stdout else ""
            port = json.loads(line)["url"].rpartition(":")[2]
            probe = [word.replace(PORT, port) for word in replay.probe]
            subprocess.run(probe, env=variables, check=True)
        finally:
            server.terminate()
    if server.returncode != 0:
        raise subprocess.CalledProcessError(server.returncode, command)


def say(text: str) -> None:
    """Tell the person what happens, apart from the output of the steps."""
    print(f"image: {text}", file=sys.stderr, flush=True)


def main(argv: list[str]) -> int:
    """Replay the Dockerfile in the named folder, which must not exist, and try the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--without-pages", action="store_true", help="leave out the npm stage")
    chosen = parser.parse_args(argv)
    chosen.folder.mkdir(parents=True)
    skipped = ("pages",) if chosen.without_pages else ()
    replay = Replay(chosen.folder.resolve(), skipped=skipped)
    replay.follow(read_dockerfile(DOCKERFILE.read_text("utf-8")))
    return try_out(replay)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
