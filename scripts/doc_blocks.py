"""Reads the documentation as data: its fenced blocks, its links, the commands it names.

The info string of a fence says what a block is: `python` runs, `python async` runs with `await`
at the top, `sh run` runs, `text output` is what the block before it prints (`…` stands for
anything), `yaml` is a definition, `yaml invalid CODE` is a wrong one, `yaml settings` is a
podium.yaml, `yaml fragment` is a part of something. `file=NAME` writes the block to a file first.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Final

import click

FENCE: Final = re.compile(r"^( *)(`{3,}|~{3,})(.*)$")
LINK: Final = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
COMMAND: Final = re.compile(r"(?<!`)`(podium [^`]+)`(?!`)")
HEADING: Final = re.compile(r"^#{1,6} +(.+?) *$")
SHELLS: Final = frozenset({"bash", "console", "sh", "shell"})
SEPARATORS: Final = frozenset({"&", "&&", "||", "|", ";", ">", ">>", "<", "2", "(", ")"})


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    words: tuple[str, ...]
    text: str

    @property
    def language(self) -> str:
        """Return the first word of the info string."""
        return self.words[0] if self.words else ""

    @property
    def file(self) -> str:
        """Return the file it is written to; empty for none."""
        named = [word.removeprefix("file=") for word in self.words if word.startswith("file=")]
        return named[0] if named else ""

    def __str__(self) -> str:
        """Return its place, as editors jump to it."""
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    found: list[Block] = []
    opened: tuple[int, str, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        fence = FENCE.match(line)
        if opened is None and fence:
            opened, lines = (number, fence[2], fence[3]), []
        elif opened is not None and line.strip() == opened[1]:
            text = dedent("\n".join(lines)) + "\n"
            found.append(Block(page, opened[0], tuple(opened[2].split()), text))
            opened = None
        elif opened is not None:
            lines.append(line)
    if opened is not None:
        raise ValueError(f"{page}:{opened[0]}: the block is not closed")
    return found


def prose_of(page: Path) -> str:
    """Return a page without its fenced blocks."""
    kept, inside = [], ""
    for line in page.read_text("utf-8").splitlines():
        fence = FENCE.match(line)
        if fence and not inside:
            inside = fence[2]
        elif inside and line.strip() == inside:
            inside = ""
        elif not inside:
            kept.append(line)
    return "\n".join(kept)


def links_of(page: Path) -> list[str]:
    """Return the targets of the links of a page that stay inside the repository."""
    prose = re.sub(r"`[^`]*`", "", prose_of(page))
    return [target for target in LINK.findall(prose) if "://" not in target]


def anchors_of(page: Path) -> set[str]:
    """Return the names that links to a page may end in, as GitHub makes them."""
    heads = [HEADING.match(line) for line in prose_of(page).splitlines()]
    texts = [re.sub(r"[`*]", "", head[1]).lower() for head in heads if head]
    return {re.sub(r"[^\w\- ]", "", text).replace(" ", "-") for text in texts}


def commands_of(page: Path) -> Iterator[str]:
    """Yield every `podium …` command line that a page shows, in blocks and in its text."""
    yield from (" ".join(found.split()) for found in COMMAND.findall(prose_of(page)))
    for block in blocks_of(page):
        if block.language in SHELLS:
            yield from shell_commands(block.text)


def shell_commands(text: str) -> Iterator[str]:
    """Yield the `podium …` commands of a shell block."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word not in SEPARATORS:
                words.append(word)
                continue
            if words[:1] == ["podium"]:
                yield shlex.join(words)
            words = []


def command_fault(root: click.Command, line: str) -> str:
    """Return what is wrong with a command line, judged by the commands there are; empty if fine."""
    words = shlex.split(line)[1:]
    # With its settings: a command keeps the first help option that it is asked for.
    command, context = root, click.Context(root, info_name="podium", **root.context_settings)
    options = _options(root)
    positional: list[str] = []
    while words and not words[0].startswith("…"):
        word, words = words[0], words[1:]
        name, _, given = word.partition("=")
        if command.context_settings.get("ignore_unknown_options"):
            # It parses its own arguments.
            return ""
        if word.startswith("-") and word != "-":
            if name not in options:
                return f"`{context.command_path}` has no option {name}"
            words = words if options[name] or given else words[1:]
        elif isinstance(command, click.Group):
            found = command.get_command(context, word)
            if found is None:
                return f"`{context.command_path}` has no command {word!r}"
            command, context = found, click.Context(found, context, info_name=word)
            options |= _options(found)
        else:
            positional.append(word)
    most = _most(command)
    return f"{line!r} has more arguments than {most}" if len(positional) > most else ""


def _options(command: click.Command) -> dict[str, bool]:
    """Return the options of a command by spelling; true for those that take no value."""
    options = [each for each in command.params if isinstance(each, click.Option)]
    spelt = {name: each.is_flag for each in options for name in (*each.opts, *each.secondary_opts)}
    return {"--help": True, "-h": True, **spelt}


def _most(command: click.Command) -> float:
    counts = [each.nargs for each in command.params if isinstance(each, click.Argument)]
    return float("inf") if -1 in counts else sum(counts)


def command_names(command: click.Command, path: str = "podium") -> Iterator[str]:
    """Yield the full name of every command that can be called."""
    if not isinstance(command, click.Group):
        yield path
        return
    context = click.Context(command, info_name=path)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found is not None and not found.hidden:
            yield from command_names(found, f"{path} {name}")
