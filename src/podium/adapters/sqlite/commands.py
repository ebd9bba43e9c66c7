"""Writes other than ticks: one transaction each, run on the writer thread."""

import os
import socket
from collections.abc import Sequence
from heapq import nsmallest
from typing import Any, Final

import msgspec

from podium.adapters.sqlite import rows
from podium.adapters.sqlite.clock import StoreClock
from podium.adapters.sqlite.database import Database
from podium.adapters.sqlite.nodes import machine_boot_id
from podium.ports.store import DefinitionRow, MessageRow, NodeRow, NodeState

__all__ = [
    "Understood",
    "abandon_node",
    "adopt",
    "deactivate",
    "insert_node",
    "post",
    "publish",
    "renew_nodes",
    "reserve_run_numbers",
    "save_clock",
]

DAY_US: Final = 24 * 3600 * 1_000_000

Lease = tuple[NodeRow, int]


class Understood(msgspec.Struct, frozen=True):
    """The newest run format and engine level of this program; runs beyond it are left alone."""

    format: int = 1
    engine: int = 1


def insert_node(
    db: Database, clock: StoreClock, *, boot_id: str, role: str, lease_us: int
) -> NodeRow:
    """Insert a node that is up; the caller holds the transaction and locks the node's file."""
    now_us, pid, host = clock.now_us(), os.getpid(), socket.gethostname()
    lease = (now_us + lease_us, machine_boot_id(), clock.boot_us() + lease_us)
    db.all("nodes_prune", (now_us - DAY_US,))
    [(node_id,)] = db.all("node_insert", (boot_id, pid, host, role, now_us, *lease))
    return NodeRow(
        node_id=node_id,
        epoch=1,
        state=NodeState.UP,
        boot_id=boot_id,
        pid=pid,
        host=host,
        role=role,
        started_us=now_us,
        lease_until_us=now_us + lease_us,
    )


def renew_nodes(db: Database, clock: StoreClock, held: Sequence[Lease]) -> list[int]:
    """Extend the leases of nodes and keep the time; return the ids of those declared dead.

    The regular visit also forgets outcomes that are a day old, some at a time.
    """
    now_us, boot_us = clock.now_us(), clock.boot_us()
    dead: list[int] = []
    with db.transaction():
        save_clock(db, now_us)
        db.changes("outcomes_prune", (now_us - DAY_US,))
        for node, lease_us in held:
            lease = (now_us + lease_us, boot_us + lease_us)
            if not db.changes("node_renew", (node.node_id, node.epoch, *lease)):
                dead.append(node.node_id)
    return dead


def save_clock(db: Database, now_us: int) -> None:
    """Write the time down, so that a later process does not start before it."""
    db.changes("clock_save", (now_us,))


def abandon_node(
    db: Database, clock: StoreClock, node: NodeRow, *, state: NodeState, recoveries: int
) -> int:
    """Fence a node and free its runs; return how many, 0 if it was fenced before.

    The port asks for the fence to be committed before the runs are free. One transaction does
    more: nobody ever sees one without the other, and no crash leaves runs with a fenced node.
    """
    with db.transaction():
        if not db.changes("node_end", (node.node_id, node.epoch, state)):
            return 0
        return db.changes("node_abandon", (node.node_id, clock.now_us(), recoveries))


def reserve_run_numbers(db: Database, count: int) -> int:
    """Move the counter of run numbers and return the first of `count` new ones."""
    with db.transaction():
        [(first,)] = db.all("reserve_run_numbers", (count,))
    return int(first)


def adopt(
    db: Database,
    clock: StoreClock,
    node: NodeRow,
    *,
    understood: Understood,
    limit: int,
    run_nos: Sequence[int],
) -> list[int]:
    """Give homeless runs a home on `node` and return their numbers, most urgent first."""
    fence = (node.node_id, node.epoch, understood.format, understood.engine)
    with db.transaction():
        wanted = run_nos or _candidates(db, clock.now_us(), understood=understood, limit=limit)
        return [number for number in wanted if db.changes("adopt_take", (number, *fence))]


def _candidates(db: Database, now_us: int, *, understood: Understood, limit: int) -> list[int]:
    """Return due runs and runs with mail, by priority and then by how long they have waited."""
    known = (understood.format, understood.engine)
    urgency: dict[int, tuple[Any, ...]] = {}
    for run_no, priority, sent_us in db.all("adopt_mail", known):
        urgency[run_no] = (priority, sent_us, run_no)
    left = limit
    for (priority,) in db.all("priorities_due"):
        due = db.all("adopt_due", (priority, now_us, *known, left))
        left -= len(due)
        for run_no, wake_us in due:
            place = (priority, wake_us, run_no)
            urgency[run_no] = min(urgency.get(run_no, place), place)
        if left <= 0:
            break
    return [key[2] for key in nsmallest(limit, urgency.values())]


def post(db: Database, messages: Sequence[MessageRow]) -> list[str]:
    """Put messages into inboxes, ids that are known excepted; return those that lie there."""
    with db.transaction():
        db.write("post", [msgspec.structs.astuple(message) for message in messages])
        return [m.message_id for m in messages if not db.has("outcome", (m.message_id,))]


def deactivate(db: Database, organization: str, name: str) -> bool:
    """Let a name point at no version; return whether it pointed at one."""
    with db.transaction():
        return db.changes("workflow_deactivate", (organization, name)) > 0


def publish(db: Database, row: DefinitionRow, *, activate: bool) -> DefinitionRow:
    """Record a version and point its name at it."""
    with db.transaction():
        key = (row.organization, row.def_hash)
        db.changes("definition_insert", (*key, row.name, row.label, row.body, row.created_us))
        if activate:
            db.changes("workflow_activate", (row.organization, row.name, row.def_hash))
        [found] = db.all("definition_of_hash", key)
    return rows.definition(found)
