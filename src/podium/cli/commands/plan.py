"""`podium plan`: the graph of a workflow before anything runs."""

import click

from podium.app import forecast_costs
from podium.cli.drawing import print_plan
from podium.cli.loading import load, missing_definition
from podium.cli.options import common, session

__all__ = ["plan"]


@click.command(short_help="Show what a workflow would do.")
@click.argument("target", metavar="FILE|MODULE:WORKFLOW")
@common
def plan(target: str) -> int:
    """Show the graph of a workflow: its tasks, what they wait for, and in which waves they run.

    For agents and calls of models, with what they may cost at most.
    """
    here = session()
    loaded = load(target, here.settings)
    if loaded.definition is None:
        raise missing_definition(target)
    costs = forecast_costs(loaded.definition, here.settings)
    print_plan(loaded.definition, costs, as_json=here.as_json)
    return 0
