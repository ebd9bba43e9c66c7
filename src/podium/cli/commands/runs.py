"""`podium runs`: list, show and explain runs, and steer them."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import click

from podium.cli.again import rerun_and_follow
from podium.cli.lazy import LazyGroup
from podium.cli.looking import explain_one, list_all, print_events, show_one
from podium.cli.options import common, session
from podium.cli.verbs import Choice, Verb, json_option, steer_many

__all__ = ["runs"]

F = TypeVar("F", bound=Callable[..., Any])


@click.group(cls=LazyGroup, short_help="List, show, explain and steer runs.")
def runs() -> None:
    """List, show, explain and steer runs."""


def choosing(command: F) -> F:
    """Add what chooses runs: an id, or filters."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Only say which runs it would be."),
        click.option("--label", metavar="NAME=VALUE", help="Runs with this label."),
        click.option("--workflow", metavar="NAME", default="", help="Runs of this workflow."),
        click.option("--status", "statuses", metavar="STATUS", multiple=True,
                     help="Runs in this status; may be repeated."),
        click.argument("run", required=False),
    ):  # fmt: skip
        command = option(command)
    return command


def signed(command: F) -> F:
    """Add `--by`."""
    return click.option("--by", metavar="WHO", help="Who asks (default: you).")(command)


@runs.command("list")
@click.option(
    "--status",
    "statuses",
    metavar="STATUS",
    multiple=True,
    help="Runs in this status; may be repeated.",
)
@click.option("--workflow", metavar="NAME", default="", help="Runs of this workflow.")
@click.option("--label", metavar="NAME=VALUE", help="Runs with this label.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--cursor", metavar="RUN", help="Runs older than this one.")
@common
def list_runs(*, limit: int, cursor: str | None, **choice: Any) -> int:
    """List runs, the newest first."""
    return asyncio.run(list_all(session(), Choice(**choice), limit=limit, cursor=cursor))


@runs.command()
@click.argument("run")
@click.option(
    "--steps",
    "limit",
    default=200,
    show_default=True,
    type=click.IntRange(0, 1_000_000),
    help="How many steps the table shows; --json has all.",
)
@common
def show(run: str, limit: int) -> int:
    """Show a run with its steps."""
    return asyncio.run(show_one(session(), run, limit=limit))


@runs.command()
@click.argument("run")
@common
def explain(run: str) -> int:
    """Say in one sentence why a run is not moving, and what to do."""
    return asyncio.run(explain_one(session(), run))


@runs.command()
@click.argument("run")
@click.option(
    "--after",
    metavar="SEQ",
    default=0,
    type=click.IntRange(0),
    help="Only what came after this event.",
)
@click.option("--follow", is_flag=True, help="Wait for more until the run has ended.")
@common
def events(run: str, *, after: int, follow: bool) -> int:
    """Print the journal of a run; with --json, one event on each line."""
    return asyncio.run(print_events(session(), run, after=after, follow=follow))


def _steer(name: str, told: str, verb: Verb, *, by: str | None, **choice: Any) -> int:

    work = steer_many(session(), Choice(**choice), verb, name=name, by=by, told=told)
    return asyncio.run(work)


@runs.command()
@choosing
@click.option("--reason", default="", help="Kept with the run.")
@signed
@common
def cancel(*, reason: str, by: str | None, **choice: Any) -> int:
    """Stop cooperatively: what runs is asked to stop, nothing new starts."""
    return _steer(
        "cancel",
        "was cancelled",
        lambda handle, who: handle.cancel(by=who, reason=reason),
        by=by,
        **choice,
    )


@runs.command()
@choosing
@click.option("--reason", default="", help="Kept with the run.")
@signed
@common
def abort(*, reason: str, by: str | None, **choice: Any) -> int:
    """Stop now, whatever runs; nothing is cleaned up."""
    return _steer(
        "abort",
        "was aborted",
        lambda handle, who: handle.abort(by=who, reason=reason),
        by=by,
        **choice,
    )


@runs.command()
@choosing
@signed
@common
def pause(*, by: str | None, **choice: Any) -> int:
    """Start nothing more; what runs may end."""
    return _steer("pause", "was paused", lambda handle, who: handle.pause(by=who), by=by, **choice)


@runs.command()
@choosing
@signed
@common
def resume(*, by: str | None, **choice: Any) -> int:
    """Go on after a pause."""
    return _steer(
        "resume", "was resumed", lambda handle, who: handle.resume(by=who), by=by, **choice
    )


@runs.command()
@choosing
@click.option("--step", metavar="PATH", default="", help="Only this failed step.")
@signed
@common
def retry(*, step: str, by: str | None, **choice: Any) -> int:
    """Run the failed steps of a failed run again, in place."""
    return _steer(
        "retry",
        "was opened again",
        lambda handle, who: handle.retry(step, by=who),
        by=by,
        **choice,
    )


@runs.command()
@choosing
@click.option("--step", metavar="PATH", default="", help="This failed step (default: the last).")
@click.option("--output", metavar="JSON", default="null", help="What to take as its output.")
@signed
@common
def skip(*, step: str, output: str, by: str | None, **choice: Any) -> int:
    """Take an output for a failed step and go on."""
    value = json_option("--output", output)
    return _steer(
        "skip",
        "goes on without the step",
        lambda handle, who: handle.skip(step, output=value, by=who),
        by=by,
        **choice,
    )


def anew(command: F) -> F:
    """Add what shapes a new run from an old one."""
    for option in (
        click.option("--events", "as_events", is_flag=True, help="Print events as lines of JSON."),
        click.option("--detach", is_flag=True, help="Leave the run to a background process."),
        click.option("--no-wait", is_flag=True, help="Exit 6 when a person is needed."),
        click.option("--yes", is_flag=True, help="Approve every checkpoint."),
        click.option("--version", metavar="V", default="",
                     help="Another version of the workflow: hash, label or number."),
        click.option("--set", "inputs", metavar="NAME=VALUE", multiple=True,
                     help="Change an input; NAME:=JSON takes any JSON."),
    ):  # fmt: skip
        command = option(command)
    return command


@runs.command()
@click.argument("run")
@click.option(
    "--from",
    "from_step",
    metavar="STEP",
    default="",
    help="Keep the results of what does not come after this step.",
)
@anew
@common
def rerun(run: str, from_step: str, **order: Any) -> int:
    """Start a new run from an old one and follow it; the old one stays as it is."""
    return asyncio.run(rerun_and_follow(session(), run, from_step=from_step, order=order))


@runs.command()
@click.argument("run")
@click.argument("step")
@anew
@common
def fork(run: str, step: str, **order: Any) -> int:
    """Start a new run from a step of an old one: `rerun --from STEP`."""
    return asyncio.run(rerun_and_follow(session(), run, from_step=step, order=order))
