"""`podium plan`: the graph of a workflow before anything runs."""

import click

from podium.cli.drawing import print_plan
from podium.cli.loading import load, missing_definition
from podium.cli.options import common, session

__all__ = ["plan"]


@click.command(short_help="Show what a workflow would do.")
@click.argument("target", metavar="FILE|MODULE:WORKFLOW")
@common
def plan(target: str) -> int:
    """Show the graph of a workflow: its tasks, what they wait for, and in which waves they run."""
    here = session()
    loaded = load(target, here.settings)
    if loaded.definition is None:
        raise missing_definition(target)
    print_plan(loaded.definition, as_json=here.as_json)
    return 0
