"""The house rules a machine can see, each with what to do instead.

A rule is a function from a file (or from all files together) to complaints. `make check` runs
them through `main`; tests/test_tidy.py proves that each one finds what it is there for.
"""

import ast
import fnmatch
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
TEXT_NAMES: Final = (
    *("*.css", "*.html", "*.ini", "*.js", "*.json", "*.lock", "*.md", "*.py", "*.pyi", "*.sh"),
    *("*.sql", "*.toml", "*.ts", "*.txt", "*.yaml", "*.yml"),
    *("LICENSE", "Makefile", "Dockerfile", "run", ".editorconfig", ".gitignore"),
)

MODULE_LINES_MAX: Final = 600
FUNCTION_LINES_MAX: Final = 70
LINE_COLUMNS_MAX: Final = 100
SUPPRESSIONS_PER_1000_LINES_MAX: Final = 2
CHANGE_KINDS: Final = ("added", "changed", "deprecated", "removed", "fixed", "security")
VAGUE_NAMES: Final = ("base", "common", "helper", "helpers", "manager", "misc", "util", "utils")

FIXTURES: Final = ("*/fixtures/*",)
"""Samples that are wrong on purpose; they are read as text only."""

Files = Mapping[str, str]
"""Text by path from the root, with forward slashes."""

# --- rules about one file -----------------------------------------------------------------------

IN_CLOCKS = "src/podium/adapters/*clock*"
IN_TERMINALS = ("src/podium/cli/*", "src/podium/bench/*", "scripts/*", "examples/*", "benchmarks/*")
CLOCK_REASON = "take the time from the Clock port, which tests move"
TASK_REASON = "use asyncio.TaskGroup, which neither loses a task nor its error"

# call → (where it is banned, where it is allowed nevertheless, what to do instead)
BANNED_CALLS: Final = {
    "datetime.datetime.now": ("*", (IN_CLOCKS,), CLOCK_REASON),
    "datetime.datetime.utcnow": ("*", (), CLOCK_REASON),
    "datetime.datetime.today": ("*", (), CLOCK_REASON),
    "datetime.date.today": ("*", (), CLOCK_REASON),
    "time.time": ("src/*", (IN_CLOCKS,), CLOCK_REASON),
    "time.time_ns": ("src/*", (IN_CLOCKS,), CLOCK_REASON),
    "asyncio.create_task": ("*", (), TASK_REASON),
    "asyncio.ensure_future": ("*", (), TASK_REASON),
    "asyncio.wait_for": (
        "src/*",
        (),
        "use asyncio.timeout: before Python 3.12 this one may swallow a cancellation",
    ),
    "asyncio.get_event_loop": ("*", (), "use asyncio.get_running_loop or asyncio.Runner"),
    "print": ("src/*", IN_TERMINALS, "return the text; only the command line prints"),
    "time.sleep": ("tests/*", ("tests/system/*",), "wait for a signal, or move the test clock"),
    "asyncio.sleep": ("tests/*", ("tests/system/*",), "wait for a signal, or move the test clock"),
}


def banned_calls(path: str, text: str) -> Iterator[str]:
    """Find calls that have a better replacement in this house."""
    if not path.endswith(".py"):
        return
    tree = ast.parse(text)
    names = imported_names(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or is_bare_yield(node):
            continue
        head, dot, rest = ast.unparse(node.func).partition(".")
        call = names.get(head, head) + dot + rest
        where, allowed, instead = BANNED_CALLS.get(call, ("", (), ""))
        if where and fnmatch.fnmatch(path, where) and not matches(path, allowed):
            yield f"line {node.lineno}: {call}() is banned here: {instead}"


def imported_names(tree: ast.AST) -> dict[str, str]:
    """Map the names a module uses to what they stand for: `from time import time` and aliases."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {
                alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names
            }
    return names


def is_bare_yield(node: ast.Call) -> bool:
    """Tell `asyncio.sleep(0)`, which lets others run and waits for nothing."""
    return [ast.unparse(argument) for argument in node.args] == ["0"]


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Tell whether any shell pattern covers the path."""
    return any(fnmatch.fnmatch(path, pattern) for pattern in patterns)


def missing_docstrings(path: str, text: str) -> Iterator[str]:
    """Find modules of the product that do not say what they are responsible for."""
    if path.endswith(".py") and path.startswith(("src/", "scripts/", "examples/")):
        docstring = ast.get_docstring(ast.parse(text))
        if not docstring:
            yield "the module has no docstring: say what it does and what it refuses to do"


def long_code(path: str, text: str) -> Iterator[str]:
    """Find lines, functions and modules that nobody reads in one go."""
    if not path.endswith(".py"):
        return
    lines = text.splitlines()
    if len(lines) > MODULE_LINES_MAX:
        yield f"{len(lines)} lines: a concept is missing; split where it has a name"
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_COLUMNS_MAX:
            yield f"line {number}: {len(line)} columns; at most {LINE_COLUMNS_MAX}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield f"line {node.lineno}: {node.name} has {length} lines; name its parts"


def postponed_work(path: str, text: str) -> Iterator[str]:
    """Find notes to oneself: an issue is seen by others, a note is not."""
    del path
    for number, line in enumerate(text.splitlines(), 1):
        # Spelt so that this line does not find itself.
        found = re.search(r"\b(T[O]DO|F[I]XME|X[X]X)\b", line)
        if found:
            yield f"line {number}: {found[0]}: open an issue and link it, or do it now"


def foreign_places(path: str, text: str) -> Iterator[str]:
    """Find what ties the repository to one machine: its folders and its package index."""
    del path
    # Spelt so that this line does not find itself.
    private = r"(?<![\w.])/wor[k]/|/tmp/pod[i]um/|py[p]i\.org|pythonhos[t]ed|npm[j]s\.(org|com)"
    for number, line in enumerate(text.splitlines(), 1):
        found = re.search(private, line)
        if found:
            yield f"line {number}: {found[0]!r} exists on one machine only; leave it to settings"


def vague_names(path: str, text: str) -> Iterator[str]:
    """Find files named after nothing: a homeless helper shows a missing concept."""
    del text
    for part in Path(path).with_suffix("").parts:
        if path.endswith(".py") and part in VAGUE_NAMES:
            yield f"the name {part!r} says nothing: name the concept"


def bare_suppressions(path: str, text: str) -> Iterator[str]:
    """Find suppressions that do not name what they suppress."""
    if path.endswith(".py"):
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(r"#\s*(noqa(?!:)|type:\s*ignore(?!\[))", line):
                yield f"line {number}: name the rule that is suppressed, and why if not obvious"


def machine_locks(path: str, text: str) -> Iterator[str]:
    """Find lock files that record the address of a package index."""
    if Path(path).name in {"uv.lock", "poetry.lock"}:
        yield "use requirements/*.txt: this lock names a package index"
    if Path(path).name == "package-lock.json" and '"resolved"' in text:
        yield "write it without resolved addresses"


def change_fragments(path: str, text: str) -> Iterator[str]:
    """Find changelog fragments that a release could not use."""
    if not path.startswith("changes/") or path == "changes/README.md":
        return
    kinds = "|".join(CHANGE_KINDS)
    if not re.fullmatch(rf"changes/[a-z0-9][a-z0-9-]*\.({kinds})\.md", path):
        yield f"name it <what>.<kind>.md with a kind of {', '.join(CHANGE_KINDS)}"
    if not re.fullmatch(r"[A-Z`][^#]*[.`]\n", text):
        yield "write full sentences, without a heading, ending in a period and a line end"


# --- rules about all files together -------------------------------------------------------------


def too_many_suppressions(files: Files) -> Iterator[str]:
    """Count suppressions in the product: each one is a rule that did not fit."""
    product = [line for text in product_modules(files).values() for line in text.splitlines()]
    count = sum(bool(re.search(r"#\s*(noqa|type:\s*ignore|pyright:)", line)) for line in product)
    allowed = max(1, SUPPRESSIONS_PER_1000_LINES_MAX * len(product) // 1000)
    if count > allowed:
        yield f"{count} suppressions in {len(product)} lines; at most {allowed}: mend the code"


def dead_modules(files: Files) -> Iterator[str]:
    """Find modules that nothing imports or names: not the product, nor its packaging.

    A part loaded by name counts as used if its name, or the package it is looked up in, is written
    as text (`podium.cli.commands.`). The test kit is used by tests.
    """
    used = {path: references(path, text) for path, text in files.items()}
    for path in product_modules(files):
        module = module_name(path)
        kit = ("tests/",) if module.startswith("podium.testing.") else ()
        places = ("src/", "pyproj", *kit)
        others = set[str]().union(
            *(names for user, names in used.items() if user.startswith(places) and user != path)
        )
        named = {module, module.rpartition(".")[0] + "."}
        if not path.endswith(("__init__.py", "__main__.py")) and not named & others:
            yield f"{path}: nothing uses it; delete it or connect it"


def references(path: str, text: str) -> frozenset[str]:
    """Return the dotted names a file imports or mentions in its strings."""
    if path.endswith(".toml"):
        return frozenset(re.findall(r"podium(?:\.\w+)+", text))
    if not path.endswith(".py"):
        return frozenset()
    names = set()
    package = module_name(path).removesuffix(".__init__").split(".")
    package = package if path.endswith("__init__.py") else package[:-1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            source = ".".join([*above, *filter(None, [node.module])])
            names |= {source} | {f"{source}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # Names, not prose: "podium.app:connect", ".app", and "podium.cli.commands." + name.
            found = re.fullmatch(r"(podium)?((?:\.\w+)*\.?)(?::\w+)?", node.value)
            names |= {(found[1] or ".".join(package)) + found[2]} if found else set()
    return frozenset(names)


def error_pages(files: Files) -> Iterator[str]:
    """Compare the error codes in the product with their pages, both ways."""
    pattern = re.compile(r"\bPDM-[A-Z]\d{3}\b")
    codes = {code for text in product_modules(files).values() for code in pattern.findall(text)}
    folder = "docs/errors/"
    pages = {Path(path).stem for path in files if path.startswith(folder)} - {"README", "index"}
    yield from (f"{code} has no page: write docs/errors/{code}.md" for code in codes - pages)
    yield from (f"docs/errors/{page}.md explains a code nobody raises" for page in pages - codes)


def needed_files(files: Files) -> Iterator[str]:
    """Find the papers without which a repository is not one."""
    papers = ("LICENSE", "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
    yield from (f"{paper} is missing" for paper in (*papers, "SECURITY.md") if paper not in files)


def product_modules(files: Files) -> Files:
    """Return the Python modules of the product."""
    return {
        path: text
        for path, text in files.items()
        if path.startswith("src/") and path.endswith(".py")
    }


def module_name(path: str) -> str:
    """Return the dotted name of a module under src."""
    return path.removeprefix("src/").removesuffix(".py").replace("/", ".")


# --- the repository -----------------------------------------------------------------------------

FileRule = Callable[[str, str], Iterator[str]]
TreeRule = Callable[[Files], Iterator[str]]

FILE_RULES: Final[tuple[FileRule, ...]] = (
    banned_calls,
    bare_suppressions,
    change_fragments,
    foreign_places,
    long_code,
    machine_locks,
    missing_docstrings,
    postponed_work,
    vague_names,
)
TREE_RULES: Final[tuple[TreeRule, ...]] = (
    dead_modules,
    error_pages,
    needed_files,
    too_many_suppressions,
)


def main() -> int:
    """Print every complaint about this repository; return 1 if there is one."""
    complaints = inspect(read_tree(ROOT))
    print("\n".join(complaints) or "tidy: nothing to complain about")
    return 1 if complaints else 0


def inspect(files: Files) -> list[str]:
    """Return the complaints of all rules about a tree."""
    found = [
        f"{path}: {complaint}"
        for path, text in sorted(files.items())
        for rule in ((foreign_places,) if matches(path, FIXTURES) else FILE_RULES)
        for complaint in rule(path, text)
    ]
    files = {path: text for path, text in files.items() if not matches(path, FIXTURES)}
    return found + [complaint for rule in TREE_RULES for complaint in sorted(rule(files))]


def read_tree(root: Path) -> Files:
    """Read every text file that would be committed, by its path from the root."""
    ignored = [".git/", *(root / ".gitignore").read_text().split()]
    patterns = [name if name.startswith("/") else f"*/{name}" for name in ignored]
    files = {}
    for folder, folders, names in os.walk(root):
        here = Path("/") / Path(folder).relative_to(root)
        folders[:] = [name for name in folders if not matches(f"{here / name}/", patterns)]
        for name in names:
            if matches(name, TEXT_NAMES) and not matches(str(here / name), patterns):
                text = (Path(folder) / name).read_text(encoding="utf-8")
                files[(here / name).as_posix().removeprefix("/")] = text
    return files


if __name__ == "__main__":
    sys.exit(main())
