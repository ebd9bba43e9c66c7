"""Definitions that come along (rows 1 to 14): the corpus of the command line, and what only the
network refuses: functions, programs and files that nobody allowed.
"""

from pathlib import Path
from typing import Any

from cases import Case, posted

CORPUS = Path(__file__).parents[2] / "authoring" / "fixtures" / "bad_definitions"
BROKEN_TEXT = {"PDM-D001", "PDM-D002"}


def from_the_command_line() -> list[Case]:
    """Return each bad definition as text; those that are no UTF-8 cannot be text in JSON."""
    found = []
    for line in (CORPUS / "expected.tsv").read_text("utf-8").splitlines():
        name, *faults = line.split("\t")
        # Text is read as YAML, whose flow style forgives what JSON does not.
        if name.endswith((".raw", "syntax-single-quotes.json", "syntax-trailing-comma.json")):
            continue
        numbers = tuple(fault.split()[0] for fault in faults)
        status = 400 if len(numbers) == 1 and numbers[0] in BROKEN_TEXT else 422
        text = (CORPUS / name).read_text("utf-8")
        found.append(posted(f"definition-{name}", {"definition": text}, status, "", faults=numbers))
    return found


def graph(**task: Any) -> dict[str, Any]:
    return {"definition": {"name": "x", "tasks": [{"name": "a", **task}]}}


def asking(tool: dict[str, Any]) -> dict[str, Any]:
    """Return a definition with an agent that has one tool."""
    return {
        "definition": {
            "name": "x",
            "agents": {"a": {"instructions": "Go.", "tools": [tool]}},
            "tasks": [{"name": "t", "uses": "agent:a", "with": {"input": "x"}}],
        }
    }


def flat(count: int) -> str:
    return "name: x\ntasks:\n" + "".join(f"- name: t{no}\n" for no in range(count))


NOT_ALLOWED: dict[str, dict[str, Any]] = {
    "os-system": {"uses": "python:os:system", "with": {"command": "id"}},
    "eval": {"uses": "python:builtins:eval"},
    "subprocess": {"uses": "python:subprocess:run"},
    "importlib": {"uses": "python:importlib:import_module"},
    "pickle": {"uses": "python:pickle:loads"},
    "our-own-engine": {"uses": "python:podium.app:connect"},
    "what-an-allowed-module-imports": {"uses": "python:allowed_tasks:join"},
    "a-module-inside-of-an-allowed-one": {"uses": "python:allowed_tasks.os:system"},
    "a-name-that-begins-like-an-allowed-one": {"uses": "python:allowed_tasks2:echo"},
    "shell-of-a-program": {"uses": "shell", "with": {"command": ["rm", "-rf", "x"]}},
    "shell-of-a-path": {"uses": "shell", "with": {"command": ["/usr/bin/true"]}},
    "shell-of-a-relative-path": {"uses": "shell", "with": {"command": ["../true"]}},
    "shell-of-an-expression": {
        "uses": "shell",
        "with": {"command": ["${{ 'r' + 'm' }}", "x"]},
    },
    "inside-of-a-block": {"tasks": [{"name": "b", "uses": "python:os:system"}]},
}

# What expressions must never reach: the language has no way to say it, so it is a fault of text.
INJECTIONS = {
    "class-walk": "${{ ().__class__.__mro__ }}",
    "import": "${{ __import__('os').system('id') }}",
    "environment": "${{ env.HOME }}",
    "lambda": "${{ (lambda: 1)() }}",
    "jinja": "${{ config.items() }}",
    "statement": "${{ import os }}",
    "assignment": "${{ x = 1 }}",
    "template-in-template": "${{ ${{ 1 }} }}",
    "dollar-brace": "${{ ",
    "of-100-kilobytes": "${{ " + "1+" * 50_000 + "1 }}",
    "backtick": "${{ `id` }}",
    "getattr": "${{ getattr(inputs, '__class__') }}",
}

CASES: list[Case] = [
    *from_the_command_line(),
    *(
        posted(f"not-allowed-{name}", graph(**task), 403, "task_not_allowed")
        for name, task in NOT_ALLOWED.items()
    ),
    *(
        posted(f"expression-{name}", graph(uses="noop", when=text), 422, "")
        for name, text in INJECTIONS.items()
    ),
    *(
        posted(f"agent-{name}", asking(tool), 403, "task_not_allowed")
        for name, tool in {
            "that-asks-this-machine": {"uses": "http_get", "hosts": ["127.0.0.1:8470"]},
            "that-asks-this-machine-v6": {"uses": "http_get", "hosts": ["[::1]"]},
            "that-asks-for-metadata": {"uses": "http_get", "hosts": ["169.254.169.254"]},
            "that-asks-a-private-network": {
                "uses": "http_get",
                "hosts": ["example.com", "10.0.0.1"],
            },
            "that-reads-files": {"uses": "read_file", "roots": ["."]},
            "that-searches-files": {"uses": "grep", "roots": ["."]},
            "that-calls-a-function": {"uses": "python:os:system", "effect": "write"},
        }.items()
    ),
    posted("definition-of-10001-tasks", {"definition": flat(10_001)}, 422, "graph_too_large"),
    posted(
        "definition-too-large",
        {"definition": "name: x\ntasks: []\n#" + "x" * (256 * 1024)},
        413,
        "too_large",
    ),
    posted("definition-without-anything", {"definition": {}}, 422, "missing_field"),
    posted("definition-of-no-text", {"definition": ""}, 400, ""),
    posted(
        "instructions-from-a-file",
        {
            "definition": {
                "name": "x",
                "agents": {"a": {"model": "m", "instructions": "/etc/passwd.md"}},
                "tasks": [{"name": "a", "uses": "agent:a"}],
            }
        },
        422,
        "",
    ),
    posted(
        "name-in-two-unicode-forms",
        {"definition": {"name": "x", "tasks": [{"name": "caf\u00e9"}, {"name": "cafe\u0301"}]}},
        422,
        "",
        faults=("PDM-D104", "PDM-D104"),
    ),
    *(
        posted(
            f"name-{what}",
            {"definition": {"name": name, "tasks": [{"name": "a"}]}},
            422,
            "invalid_identifier",
        )
        for what, name in {
            "of-64": "a" * 64,
            "with-a-slash": "a/b",
            "with-dots": "..",
            "with-a-line-end": "a\n",
            "with-a-bidi-mark": "a\u202eb",
            "with-a-zero-width-space": "a\u200bb",
            "of-a-full-width-letter": "\uff41",
            "of-an-emoji": "\U0001f4a3",
            "with-a-quote": "a'b",
            "with-markup": "<script>",
            "of-nothing": "",
        }.items()
    ),
]
