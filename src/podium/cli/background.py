"""A process that drives runs after the command that started them is gone."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from podium.authoring.client import App
from podium.ports.store import NodeRow

__all__ = ["dead_nodes", "live_engines", "start_background"]

DRIVING_ROLES: Final = frozenset({"all", "engine"})
"""Nodes that take any run; others only drive what they were given."""


async def live_engines(app: App) -> list[NodeRow]:
    """Return the living nodes of this store that take any run; `app` only reads or drives."""
    gone = {each.node_id for each in await dead_nodes(app)}
    if app.engine.node is not None:
        gone.add(app.engine.node.node_id)
    nodes = await app.engine.store.nodes()
    return [each for each in nodes if each.role in DRIVING_ROLES and each.node_id not in gone]


async def dead_nodes(app: App) -> Sequence[NodeRow]:
    """Return the nodes that are up by their row but proven dead."""
    return await app.engine.store.dead_nodes(app.engine.node or _NOBODY)


_NOBODY: Final = NodeRow(
    node_id=-1, epoch=0, state=0, boot_id="", pid=0, host="", role="", started_us=0,
    lease_until_us=0,
)  # fmt: skip


def start_background(database_url: str, folder: Path) -> tuple[int, Path]:
    """Start `podium recover` apart from this terminal; return its process id and its log."""
    log = folder / "logs" / "recover.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "podium", "recover", "--store", database_url]
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    return process.pid, log
