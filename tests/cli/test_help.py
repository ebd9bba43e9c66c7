"""`--help` of every command, what it costs, and what a typo is told."""

import subprocess
import sys

import click
import pytest

from podium.cli.lazy import LazyGroup
from podium.cli.main import cli
from podium.errors import PodiumError

HEAVY = {"apsw", "asyncio", "cel_expr_python", "jsonschema_rs", "podium.app", "rich", "yaml"}


def commands(group: LazyGroup, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, LazyGroup):
            found += commands(command, (*path, name))
        elif name != "bench":
            found.append((*path, name))
    return found


@pytest.mark.parametrize("path", commands(cli), ids=lambda path: "-".join(path) or "podium")
def test_help_says_what_the_snapshot_says(podium, golden, path):
    result = podium(*path, "--help")
    assert result.code == 0
    golden(f"help-{'-'.join(path) or 'podium'}", result.out)


@pytest.mark.parametrize("path", commands(cli)[1:], ids="-".join)
def test_every_command_takes_json_store_and_debug(podium, path):
    text = podium(*path, "--help").out
    if "Commands:" not in text:
        assert all(option in text for option in ("--json", "--store URL", "--debug"))


def test_top_level_help_loads_nothing_heavy():
    program = "import sys; from podium.cli.main import run; run(['--help']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not HEAVY & loaded


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [(["rnu"], "run"), (["runs", "lst"], "list"), (["approvals", "aprove"], "approve")],
)
def test_a_misspelt_command_gets_a_suggestion(podium, arguments, meant):
    result = podium(*arguments)
    assert result.code == 2
    assert "PDM-R061" in result.err
    assert f"Did you mean '{meant}'?" in result.err


def test_a_misspelt_option_gets_a_suggestion(podium):
    result = podium("run", "x.yaml", "--yess")
    assert (result.code, "PDM-R060" in result.err) == (2, True)
    assert "'--yes'" in result.err


def test_the_version_is_printed(podium):
    assert podium("--version").out.startswith("podium ")


def test_an_internal_error_is_three_lines_unless_debugging(podium, monkeypatch):
    def explode(*_args: object, **_kwargs: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("podium.cli.session.Session.settings", property(explode))
    result = podium("config", "show", "--json", "--store", "sqlite:///x.db")
    assert result.code == 0
    result = podium("runs", "list")
    assert (result.code, "Traceback" in result.err) == (70, False)
    assert "PDM-I001" in result.err
    with pytest.raises(ZeroDivisionError):
        podium("runs", "list", "--debug")


def test_errors_of_every_kind_have_their_exit_code():
    codes = {each.__name__: each.exit_code for each in PodiumError.__subclasses__()}
    assert (
        codes.items()
        >= {
            "DefinitionError": 2,
            "RequestError": 2,
            "ConflictError": 4,
            "StoreError": 5,
            "RunError": 1,
            "InternalError": 70,
        }.items()
    )
