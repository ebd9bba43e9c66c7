"""`podium schedules`: what is started when, and what became of it."""

import asyncio
from pathlib import Path
from typing import Any

import click

from podium.cli.lazy import LazyGroup
from podium.cli.options import common, session
from podium.cli.scheduling import (
    Wishes,
    apply_file,
    backfill_one,
    create_one,
    list_all,
    pause_one,
    preview_one,
    remove_one,
    resume_one,
    show_one,
    trigger_one,
    update_one,
)

__all__ = ["schedules"]

OVERLAPS = ("skip", "buffer_one", "allow", "cancel_other", "terminate_other")


@click.group(cls=LazyGroup, short_help="Start runs at the times they are due.")
def schedules() -> None:
    """Start runs at the times they are due. `podium serve` takes the ticks."""


def when(command: Any) -> Any:
    """Add the options that say when."""
    for option in (
        click.option("--except", "except_", metavar="DATE", multiple=True,
                     help="A local date on which nothing is due."),
        click.option("--end", metavar="TIME", help="Nothing is due after."),
        click.option("--start", metavar="TIME", help="Nothing is due before."),
        click.option("--on-fold", type=click.Choice(["first", "second", "both"]),
                     help="A local time that exists twice."),
        click.option("--on-gap", type=click.Choice(["shift", "skip"]),
                     help="A local time that does not exist."),
        click.option("--timezone", metavar="ZONE",
                     help="Such as Europe/Berlin (default: UTC)."),
        click.option("--at", metavar="TIME", multiple=True,
                     help="A moment such as 2027-01-31T09:00; may be repeated."),
        click.option("--every", metavar="DURATION", multiple=True,
                     help="A period such as 15m; may be repeated."),
    ):  # fmt: skip
        command = option(command)
    return command


def what(command: Any) -> Any:
    """Add the options that say what is started, and how."""
    for option in (
        click.option("--file", "file", type=click.Path(path_type=Path), metavar="FILE",
                     help="The schedule as YAML or JSON; options stand above it."),
        click.option("--note", metavar="TEXT", help="What it is for."),
        click.option("--label", "labels", metavar="NAME=VALUE", multiple=True,
                     help="A label of each run."),
        click.option("--priority", type=click.IntRange(0, 100), help="0 (first) to 100 (last)."),
        click.option("--runs-max", type=click.IntRange(0), help="End after so many runs."),
        click.option("--jitter", metavar="DURATION", help="Take each tick up to so much later."),
        click.option("--catch-up", metavar="DURATION",
                     help="How late a tick may be taken (default: 1d)."),
        click.option("--overlap", type=click.Choice(OVERLAPS),
                     help="A tick while a run is open (default: skip)."),
        click.option("-i", "--input", "inputs", metavar="KEY=VALUE", multiple=True,
                     help="An input of each run; ${{ schedule.time }} is filled in."),
        click.option("--version", metavar="V", help="A version of the workflow."),
        click.option("--cron", metavar="LINE", multiple=True,
                     help='Such as "30 2 * * *"; may be repeated.'),
    ):  # fmt: skip
        command = option(command)
    return command


@schedules.command("list")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
@common
def list_schedules(limit: int) -> int:
    """List schedules with their next ticks."""
    return asyncio.run(list_all(session(), limit=limit))


@schedules.command()
@click.argument("schedule")
@click.option("--ticks", default=10, show_default=True, type=click.IntRange(0, 200),
              help="How many past ticks to show.")  # fmt: skip
@common
def show(schedule: str, ticks: int) -> int:
    """Show a schedule by its name or id, its next ticks and what became of the last."""
    return asyncio.run(show_one(session(), schedule, ticks=ticks))


@schedules.command()
@click.argument("name")
@click.argument("workflow", default="")
@what
@when
@click.option("--paused", is_flag=True, help="Create it paused.")
@common
def create(*, name: str, workflow: str, paused: bool, **given: Any) -> int:
    """Create a schedule NAME for WORKFLOW: a published name, or a file to publish."""
    wishes = Wishes(name=name, workflow=workflow, paused=paused, **given)
    return asyncio.run(create_one(session(), wishes))


@schedules.command()
@click.argument("name")
@click.argument("workflow", default="")
@what
@when
@common
def update(*, name: str, workflow: str, **given: Any) -> int:
    """Give a schedule another workflow, other times, other policies; the rest stays."""
    wishes = Wishes(name=name, workflow=workflow, **given)
    return asyncio.run(update_one(session(), wishes))


@schedules.command()
@click.argument("line_or_name", default="")
@when
@click.option("--count", default=10, show_default=True, type=click.IntRange(1, 1000))
@common
def preview(*, line_or_name: str, count: int, **given: Any) -> int:
    """Show the next ticks of a cron line, of the options, or of a schedule; create nothing."""
    return asyncio.run(preview_one(session(), line_or_name, count=count, given=given))


@schedules.command()
@click.argument("schedule")
@click.option("--comment", default="", help="Why; kept with it.")
@common
def pause(schedule: str, comment: str) -> int:
    """Start nothing more until `resume`; runs that are open go on."""
    return asyncio.run(pause_one(session(), schedule, comment=comment))


@schedules.command()
@click.argument("schedule")
@common
def resume(schedule: str) -> int:
    """Go on from now; what fell due during the pause is not made up for."""
    return asyncio.run(resume_one(session(), schedule))


@schedules.command()
@click.argument("schedule")
@click.option("--overlap", type=click.Choice(OVERLAPS),
              help="In place of the schedule's policy.")  # fmt: skip
@click.option("--idempotency-key", default="", metavar="KEY", help="The same key, the same run.")
@common
def trigger(schedule: str, overlap: str | None, idempotency_key: str) -> int:
    """Start a run now, also of a paused schedule."""
    work = trigger_one(session(), schedule, overlap=overlap, key=idempotency_key)
    return asyncio.run(work)


@schedules.command()
@click.argument("schedule")
@click.option("--from", "start", required=True, metavar="TIME", help="The first tick's earliest.")
@click.option("--to", "end", required=True, metavar="TIME", help="The last tick's latest.")
@click.option("--dry-run", is_flag=True, help="Show which ticks have no run, and start nothing.")
@common
def backfill(*, schedule: str, start: str, end: str, dry_run: bool) -> int:
    """Start a run for each past tick that has none. Repeating it starts nothing twice."""
    work = backfill_one(session(), schedule, start=start, end=end, dry_run=dry_run)
    return asyncio.run(work)


@schedules.command()
@click.argument("file", type=click.Path(path_type=Path), default="podium.yaml")
@click.option("--prune", is_flag=True, help="Delete schedules that the file does not declare.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@common
def apply(*, file: Path, prune: bool, dry_run: bool) -> int:
    """Make schedules as FILE declares them under `schedules:`. Repeating it changes nothing."""
    return asyncio.run(apply_file(session(), file, prune=prune, dry_run=dry_run))


@schedules.command()
@click.argument("schedule")
@common
def delete(schedule: str) -> int:
    """Delete a schedule; its runs stay."""
    return asyncio.run(remove_one(session(), schedule))
