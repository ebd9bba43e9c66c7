"""`podium init`: a working project to edit, copied from a template."""

from pathlib import Path

import click

from podium.cli.options import common, session
from podium.cli.output import emit_json, note
from podium.cli.projects import copy_template

__all__ = ["init"]


@click.command(short_help="Make a working project to edit.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--template", default="review", show_default=True, metavar="NAME", help="agent, etl, or review."
)
@common
def init(folder: Path, template: str) -> int:
    """Copy a template into DIR, which must be new or empty."""
    files = copy_template(template, folder)
    if session().as_json:
        emit_json({"folder": str(folder), "template": template, "files": files})
        return 0
    note(f"{folder} holds the template {template!r}: {len(files)} files.")
    note("Next:")
    note(f"  cd {folder}")
    note("  podium plan workflow.yaml")
    note("  podium run workflow.yaml")
    return 0
