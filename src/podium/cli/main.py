"""The command line: its commands, and how every ending becomes an exit code.

0 ok · 1 the run failed · 2 wrong usage or definition · 3 not found · 4 conflict · 5 store
unavailable · 6 waiting for an approval · 124 timed out · 130 interrupted · 70 our fault.
"""

import os
import sys
import threading
from collections.abc import Sequence
from typing import Any, Final, NoReturn, cast

import click

from podium import __version__
from podium.cli.lazy import LazyGroup
from podium.cli.options import common
from podium.cli.output import show_error
from podium.errors import InternalError, PodiumError, RequestError

__all__ = ["cli", "main", "run"]

START: Final = "Start"
LOOK: Final = "Runs and people"
DEFINE: Final = "Definitions"
ACCESS: Final = "Access"
OPERATE: Final = "Operations"
_AT: Final = "podium.cli.commands."

COMMANDS: Final = {
    "init": (START, _AT + "init:init", "Make a working project to edit."),
    "demo": (START, _AT + "demo:demo", "Run the main job on a sample."),
    "run": (START, _AT + "run:run", "Start a workflow and follow it to the end."),
    "serve": (START, _AT + "serve:serve", "Serve the HTTP API and run the engine."),
    "recover": (START, _AT + "recover:recover", "Continue every unfinished run."),
    "runs": (LOOK, _AT + "runs:runs", "List, show, explain and steer runs."),
    "approvals": (LOOK, _AT + "approvals:approvals", "List and decide what waits for a person."),
    "signal": (LOOK, _AT + "signal:signal", "Send a signal to a run."),
    "dead-letters": (LOOK, _AT + "dead_letters:dead_letters", "List parked work."),
    "schedules": (LOOK, _AT + "schedules:schedules", "Start runs at the times they are due."),
    "budgets": (LOOK, _AT + "budgets:budgets", "Show, set and raise budgets."),
    "webhooks": (LOOK, _AT + "webhooks:webhooks", "Tell others of events, and be told."),
    "validate": (DEFINE, _AT + "validate:validate", "Find every fault in a definition."),
    "plan": (DEFINE, _AT + "plan:plan", "Show what a workflow would do."),
    "workflows": (DEFINE, _AT + "workflows:workflows", "Publish, compare and roll back versions."),
    "keys": (ACCESS, _AT + "keys:keys", "Make, list, rotate and revoke keys of the service."),
    "orgs": (ACCESS, _AT + "orgs:orgs", "Make and list organizations."),
    "audit": (ACCESS, _AT + "audit:audit", "Show the audit log, and prove that it is whole."),
    "doctor": (OPERATE, _AT + "doctor:doctor", "Check the store and what lives on it."),
    "bundle": (OPERATE, _AT + "bundle:bundle", "Collect everything about a run in one file."),
    "config": (OPERATE, _AT + "config:config", "Show every setting with its source."),
    "db": (OPERATE, _AT + "db:db", "Bring the store's schema up to date."),
    "bench": (OPERATE, _AT + "bench:bench", "Measure this machine."),
}


def _version(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value:
        click.echo(f"podium {__version__}")
        ctx.exit(0)


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Each command takes --json (one document on stdout), --store URL and --debug.",
)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True,
              callback=_version,
              help="Show the version and exit.")  # fmt: skip
@common
def cli() -> None:
    """Durable workflows: every finished step survives a crash."""


def main() -> NoReturn:
    """Run the command line of this process and leave it."""
    status = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = _SIGPIPE
    sys.stderr.flush()
    if any(not thread.daemon for thread in threading.enumerate()[1:]) or status == _SIGPIPE:
        # A task of the user still runs in a thread, which nobody can stop. The journal does
        # not count it as done, so there is nothing to wait for.
        os._exit(status)
    sys.exit(status)


_SIGPIPE: Final = 141


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; errors are printed, never raised."""
    debug = "--debug" in arguments
    try:
        return cli.main(list(arguments), prog_name="podium", standalone_mode=False) or 0
    except click.exceptions.Exit as wanted:
        return wanted.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return 130
    except BrokenPipeError:
        return _SIGPIPE
    # The edge of the process: whatever comes here is told in three lines, not in a traceback.
    except Exception as error:
        if debug and not isinstance(error, click.ClickException):
            raise
        return show_error(_readable(error), as_json="--json" in arguments)


def _readable(error: BaseException) -> PodiumError:
    """Return the error as one of ours."""
    while isinstance(error, BaseExceptionGroup):
        inner = cast("Sequence[BaseException]", error.exceptions)
        error = next((each for each in inner if isinstance(each, PodiumError)), inner[0])
    if isinstance(error, PodiumError):
        return error
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx is not None else "podium"
        return RequestError(
            error.format_message(),
            fix=f"`{where} --help` shows how it is used.",
            code="PDM-R060",
        )
    return InternalError(
        f"{type(error).__name__}: {error}",
        why="This is a fault of podium, not yours; what was acknowledged is safe.",
        fix="Repeat the command with --debug and report what it prints.",
    )
