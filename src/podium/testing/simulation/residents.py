"""Compares what an engine holds in memory with what its store holds."""

from collections.abc import Iterator
from typing import Any

import msgspec

from podium.core.evolve import fold
from podium.core.ids import run_id
from podium.core.state import RunState
from podium.testing.simulation.processes import Process

__all__ = ["compare_residents"]

LAZY = frozenset({"queue", "timers"})
"""Heaps whose stale entries are dropped whenever somebody looks."""


def compare_residents(process: Process) -> Iterator[str]:
    """Yield the residents whose memory is not the fold of their journal."""
    database = process.world.database
    for run_no in sorted(database.runs):
        actor = process.engine.actor(run_no)
        row = database.runs[run_no]
        if actor is None or actor.in_flight is not None:
            continue
        node = process.engine.node
        mine = node is not None and (row.home, row.home_epoch) == (node.node_id, actor.home_epoch)
        if not mine or row.last_seq != actor.state.seq:
            continue
        records = database.journal.get(run_no, [])
        fresh = RunState(run_no, is_code=actor.state.is_code)
        kept, folded = _plain(actor.state), _plain(fold(fresh, [r.body for r in records]))
        for name in kept:
            if kept[name] != folded[name]:
                yield f"{run_id(run_no)}: memory has {name} {kept[name]}, the store {folded[name]}"


def _plain(state: RunState) -> dict[str, Any]:
    fields = msgspec.structs.asdict(state)
    return {name: value for name, value in fields.items() if name not in LAZY}
