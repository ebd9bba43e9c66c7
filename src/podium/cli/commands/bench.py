"""`podium bench`: hands its arguments to the bench."""

import click

from podium.bench import main

__all__ = ["bench"]


@click.command(
    short_help="Measure this machine.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...]) -> int:
    """Measure what this machine, its disk and this version do (see `podium bench --help`)."""
    try:
        return main(list(arguments))
    except SystemExit as wanted:
        return wanted.code if isinstance(wanted.code, int) else 2
