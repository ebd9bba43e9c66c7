"""`podium serve`: the HTTP API and the engine in one process."""

import asyncio

import click

from podium.cli.options import common, session

__all__ = ["serve"]


@click.command(short_help="Serve the HTTP API and run the engine.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8470,
    show_default=True,
    help="The port; 0 takes a free one.",
)
@click.option(
    "--role",
    type=click.Choice(["all", "api", "engine"]),
    default="all",
    show_default=True,
    help="Serve and run, only serve, or only run.",
)
@click.option(
    "--grace",
    metavar="DURATION",
    help="How long running attempts may go on after SIGTERM (default: 120s).",
)
@common
def serve(host: str, port: int, role: str, grace: str | None) -> int:
    """Serve the HTTP API and run the engine until SIGTERM or Ctrl-C.

    The first signal drains: nothing new begins, running attempts may end within the grace. The
    second one ends the process at once. Either way nothing that was acknowledged is lost.
    """
    from podium.cli.serving import Order, serve_until_told  # noqa: PLC0415

    return asyncio.run(serve_until_told(session(), Order(host, port, role, grace)))
