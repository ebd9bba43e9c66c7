"""`podium run`: start a workflow and follow it to the end."""

import asyncio
from pathlib import Path
from typing import Any

import click

from podium.cli.options import common, session
from podium.cli.running import Order, start_and_follow

__all__ = ["run"]


@click.command(short_help="Start a workflow and follow it to the end.")
@click.argument("target", metavar="FILE|MODULE:WORKFLOW")
@click.option(
    "-i",
    "--input",
    "inputs",
    metavar="NAME=VALUE",
    multiple=True,
    help="An input; NAME:=JSON takes any JSON. May be repeated.",
)
@click.option(
    "--input-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Inputs as a JSON or YAML object; -i overrides them.",
)
@click.option(
    "--idempotency-key",
    metavar="KEY",
    help="The same key means the same run: it is continued, not repeated.",
)
@click.option("--yes", is_flag=True, help="Approve every checkpoint.")
@click.option("--no-wait", is_flag=True, help="Exit 6 when a person is needed; do not ask.")
@click.option("--detach", is_flag=True, help="Leave the run to a background process.")
@click.option(
    "--timeout",
    "limit",
    metavar="DURATION",
    help="Stop following after this long (exit 124); the run stays in the store.",
)
@click.option(
    "--priority",
    metavar="0..100",
    type=click.IntRange(0, 100),
    default=50,
    help="The lower number goes first.",
)
@click.option("--label", "labels", metavar="NAME=VALUE", multiple=True, help="Mark the run.")
@click.option(
    "--version",
    "version",
    metavar="V",
    default="",
    help="For a published workflow: hash, label or number of the version.",
)
@click.option("--events", "as_events", is_flag=True, help="Print every event as a line of JSON.")
@common
def run(**given: Any) -> int:
    """Start a workflow and follow it to the end.

    Takes a definition (YAML or JSON), a durable function as module:workflow or file.py:workflow,
    or the name of a published workflow.
    """
    return asyncio.run(start_and_follow(session(), Order(**given)))
