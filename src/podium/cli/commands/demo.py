"""`podium demo`: the main job on a sample with planted defects."""

import asyncio
import os
from pathlib import Path
from typing import Final

import click

from podium.cli.options import common, session
from podium.cli.output import note
from podium.cli.projects import copy_template
from podium.cli.running import Order, start_and_follow

__all__ = ["demo"]

FOLDER: Final = "podium-demo"


@click.command(short_help="Run the main job on a sample.")
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=FOLDER)
@common
def demo(folder: Path) -> int:
    """Review a small sample with planted defects, in DIR (default: podium-demo)."""
    if not (folder / "workflow.yaml").is_file():
        copy_template("review", folder)
    os.chdir(folder)
    note(f"In {folder}: podium run workflow.yaml --yes -i path=fixtures/planted")
    order = Order(target="workflow.yaml", inputs=["path=fixtures/planted"], yes=True)
    return asyncio.run(start_and_follow(session(), order))
