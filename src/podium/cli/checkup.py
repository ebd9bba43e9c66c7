"""What `podium doctor` looks at; each check says ok, warn or fail, and what to do about it."""

import asyncio
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any, Final

from podium import __version__
from podium.app import examine_store, sqlite_path
from podium.authoring.client import App
from podium.authoring.doctor import SECTIONS, Check, Patient, sections_of
from podium.authoring.doctor import examine as go_through
from podium.cli.background import dead_nodes, live_engines
from podium.cli.output import emit, emit_json, note, styled
from podium.cli.recovery import open_runs, rests
from podium.cli.session import Session
from podium.errors import PodiumError, StoreError
from podium.ports.store import RunRow

__all__ = ["examine", "migrate_store"]

FREE_FAIL_BYTES: Final = 50 * 1024**2
FREE_WARN_BYTES: Final = 1024**3
SQLITE_MIN: Final = (3, 37, 0)
OVERDUE_US: Final = 5_000_000
FAILED: Final = 5
STYLES: Final = {"ok": "green", "skip": "dim", "warn": "yellow", "fail": "red"}


def examine(session: Session, section: str = "") -> int:
    """Run all checks, or those of a section, print them, and return the exit code."""
    wanted = sections_of(section)
    checks = [_versions()]
    try:
        url = session.settings.database_url
        path = sqlite_path(url)
        checks.append(_disk(path))
        if path.exists():
            checks += asyncio.run(_store(session, url, path))
        else:
            fix = "The first `podium run` creates it."
            checks.append(Check("store", "ok", f"{path} does not exist yet.", fix))
    except PodiumError as error:
        checks.append(Check("store", "fail", f"{error.code} {error.what} {error.why}", error.fix))
    if section:
        # A store that cannot be opened is a finding of every section.
        checks = [each for each in checks if each.section in wanted or each.state == "fail"]
    failed = [check for check in checks if check.state == "fail"]
    if session.as_json:
        emit_json({"ok": not failed, "checks": checks})
    else:
        _print(checks)
    return FAILED if failed else 0


def _print(checks: list[Check]) -> None:
    width = max(len(check.name) for check in checks)
    section = ""
    for check in checks:
        if check.section != section:
            section = check.section
            emit(styled(f"\n{section}  {SECTIONS[section]}", "bold"))
        state = styled(f"{check.state:<4}", STYLES[check.state])
        emit(f"{state}  {check.name:<{width}}  {check.detail}")
        if check.fix:
            emit(f"{'':6}{'':<{width}}  {check.fix}")


def _versions() -> Check:
    detail = f"podium {__version__}, Python {platform.python_version()}, {sys.platform}"
    return Check("versions", "ok", detail)


def _disk(path: Path) -> Check:
    place = path.absolute().parent
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    detail = f"{free / 1e9:.1f} GB free at {place}"
    if free < FREE_FAIL_BYTES:
        return Check("disk", "fail", detail, "Make space: runs stop at the next commit.")
    if free < FREE_WARN_BYTES:
        return Check("disk", "warn", detail, "Make space, or move the store with --store.")
    return Check("disk", "ok", detail)


async def _store(session: Session, url: str, path: Path) -> list[Check]:
    facts = examine_store(url)
    checks = [_sqlite(facts), _integrity(facts)]
    if checks[-1].state == "fail":
        return checks
    async with session.reading() as app:
        now_us = app.engine.store.now_us()
        detail = f"{path}, schema {facts['schema_known']}, {facts['size_bytes'] / 1e6:.1f} MB"
        checks.append(Check("store", "ok", detail))
        checks += [await _processes(app), await _runs(app, now_us), await _parked(app)]
        patient = Patient(app, session.settings, os.environ)
        checks += [check for part in await go_through(patient) for check in part.checks]
    return checks


def _sqlite(facts: dict[str, Any]) -> Check:
    version = str(facts["sqlite"])
    if tuple(map(int, version.split("."))) < SQLITE_MIN:
        return Check("sqlite", "fail", version, "Upgrade the package apsw.")
    return Check("sqlite", "ok", version)


def _integrity(facts: dict[str, Any]) -> Check:
    faults: list[str] = facts["faults"]
    if faults:
        fix = "Stop all podium processes and restore the file from a backup."
        return Check("integrity", "fail", "; ".join(faults[:3]), fix)
    return Check("integrity", "ok", "every page was read and is sound")


async def _processes(app: App) -> Check:
    dead = await dead_nodes(app)
    up = len(await app.engine.store.nodes()) - len(dead)
    if dead:
        pids = ", ".join(str(node.pid) for node in dead[:5])
        detail = f"{up} alive; {len(dead)} died without leaving (process {pids})"
        return Check("processes", "warn", detail, "podium recover takes their runs over.")
    return Check("processes", "ok", f"{up} alive")


async def _runs(app: App, now_us: int) -> Check:
    rows = await open_runs(app)
    idle = [row for row in rows if row.home is None and not rests(row, _due_us(row, now_us))]
    detail = f"{len(rows)} unfinished"
    if idle and not await live_engines(app):
        detail += f", {len(idle)} of them could go on and no process drives them"
        return Check("runs", "warn", detail, "podium recover")
    return Check("runs", "ok", detail)


def _due_us(row: RunRow, now_us: int) -> int:
    """Return when a run is overdue; one that waits for a person is woken for nothing at times."""
    return now_us - OVERDUE_US if row.reason == "timer" else 0


async def _parked(app: App) -> Check:
    count = len(await app.engine.store.dead_letters(limit=1000))
    if count:
        return Check("dead letters", "warn", f"{count} parked", "podium dead-letters list")
    return Check("dead letters", "ok", "none")


def migrate_store(session: Session) -> int:
    """Open the store, which migrates it, and say what schema it has."""
    url = session.settings.database_url
    path = sqlite_path(url)
    before = examine_store(url)["schema"] if path.exists() else 0
    asyncio.run(_open(session))
    facts = examine_store(url)
    if facts["schema"] != facts["schema_known"]:
        raise StoreError(f"The store {str(path)!r} still has schema {facts['schema']}.")
    if session.as_json:
        changed = before != facts["schema"]
        emit_json({"store": url, "schema_version": facts["schema"], "changed": changed})
    elif before == facts["schema"]:
        note(f"{path} has schema {before}, the newest.")
    else:
        note(f"{path} went from schema {before} to {facts['schema']}.")
    return 0


async def _open(session: Session) -> None:
    async with session.reading():
        pass
