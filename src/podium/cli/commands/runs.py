"""`podium runs`: list, show and explain runs, and steer them."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
import msgspec

from podium.authoring.inputs import parse_cli_inputs
from podium.cli.again import rerun_and_follow
from podium.cli.lazy import LazyGroup
from podium.cli.looking import explain_one, list_all, print_events, show_one
from podium.cli.options import common, session
from podium.cli.running import pairs
from podium.cli.tailing import print_logs
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
    """Add `--by`, and `--if-seq` to be sure that nothing has happened since."""
    seen = click.option(
        "--if-seq",
        "seen_seq",
        metavar="SEQ",
        default=0,
        type=click.IntRange(0),
        help="Refuse if the run has had events since this one.",
    )
    return click.option("--by", metavar="WHO", help="Who asks (default: you).")(seen(command))


def stand_ins(command: F) -> F:
    """Add `--agent`."""
    told = "Let another agent stand in; may be repeated."
    return click.option("--agent", "agents", metavar="OLD=NEW", multiple=True, help=told)(command)


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
@click.option("--step", metavar="PATH", default="", help="Only what this step wrote.")
@click.option("--follow", is_flag=True, help="Wait for more until the run has ended.")
@click.option("--tail", metavar="N", default=0, type=click.IntRange(0), help="Only the last lines.")
@common
def logs(run: str, *, step: str, follow: bool, tail: int) -> int:
    """Print what the attempts of a run printed and logged."""
    return asyncio.run(print_logs(session(), run, step=step, follow=follow, tail=tail))


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
def cancel(*, reason: str, by: str | None, seen_seq: int, **choice: Any) -> int:
    """Stop cooperatively: what runs is asked to stop, nothing new starts."""
    return _steer(
        "cancel",
        "was cancelled",
        lambda handle, who: handle.cancel(by=who, reason=reason, seen_seq=seen_seq),
        by=by,
        **choice,
    )


@runs.command()
@choosing
@click.option("--reason", default="", help="Kept with the run.")
@signed
@common
def abort(*, reason: str, by: str | None, seen_seq: int, **choice: Any) -> int:
    """Stop now, whatever runs; nothing is cleaned up."""
    return _steer(
        "abort",
        "was aborted",
        lambda handle, who: handle.abort(by=who, reason=reason, seen_seq=seen_seq),
        by=by,
        **choice,
    )


@runs.command()
@choosing
@signed
@common
def pause(*, by: str | None, seen_seq: int, **choice: Any) -> int:
    """Start nothing more; what runs may end."""
    return _steer(
        "pause",
        "was paused",
        lambda handle, who: handle.pause(by=who, seen_seq=seen_seq),
        by=by,
        **choice,
    )


@runs.command()
@choosing
@click.option("--approval", metavar="APPROVAL", default="", help="Approve this one of the run.")
@signed
@common
def resume(*, approval: str, by: str | None, seen_seq: int, **choice: Any) -> int:
    """Go on after a pause, or with an approval."""
    return _steer(
        "resume",
        "was resumed",
        lambda handle, who: handle.resume(by=who, approval=approval, seen_seq=seen_seq),
        by=by,
        **choice,
    )


@runs.command()
@choosing
@click.option("--step", metavar="STEP", default="", help="Only this one: its path or record id.")
@click.option(
    "--set",
    "inputs",
    metavar="NAME=VALUE",
    multiple=True,
    help="Change an argument of the step; NAME:=JSON takes any JSON.",
)
@stand_ins
@signed
@common
def retry(
    *,
    step: str,
    inputs: Sequence[str],
    agents: Sequence[str],
    by: str | None,
    seen_seq: int,
    **choice: Any,
) -> int:
    """Run failed steps again, in place; in an open run, try now what waits for its next attempt."""
    edits = parse_cli_inputs(inputs, None) if inputs else msgspec.UNSET
    return _steer(
        "retry",
        "goes on",
        lambda handle, who: handle.retry(
            step, by=who, inputs=edits, agents=pairs(agents), seen_seq=seen_seq
        ),
        by=by,
        **choice,
    )


@runs.command()
@choosing
@click.option(
    "--step",
    metavar="STEP",
    default="",
    help="This one: its path or record id (default: the last that failed).",
)
@click.option("--output", metavar="JSON", default="null", help="What to take as its output.")
@signed
@common
def skip(*, step: str, output: str, by: str | None, seen_seq: int, **choice: Any) -> int:
    """Take an output for a failed or resting step and go on; a person is asked where one was."""
    value = json_option("--output", output)
    return _steer(
        "skip",
        "goes on without the step",
        lambda handle, who: handle.skip(step, output=value, by=who, seen_seq=seen_seq),
        by=by,
        **choice,
    )


def anew(command: F) -> F:
    """Add what shapes a new run from an old one."""
    for option in (
        stand_ins,
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
def rerun(run: str, from_step: str, *, agents: Sequence[str], **order: Any) -> int:
    """Start a new run from an old one and follow it; the old one stays as it is."""
    order["agents"] = pairs(agents)
    return asyncio.run(rerun_and_follow(session(), run, from_step=from_step, order=order))


@runs.command()
@click.argument("run")
@click.argument("step")
@anew
@common
def fork(run: str, step: str, *, agents: Sequence[str], **order: Any) -> int:
    """Start a new run from a step of an old one: `rerun --from STEP`."""
    order["agents"] = pairs(agents)
    return asyncio.run(rerun_and_follow(session(), run, from_step=step, order=order))
