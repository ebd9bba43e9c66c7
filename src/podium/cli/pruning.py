"""What `podium db prune` does: forget what is old enough, and say how much that was."""

from pathlib import Path

import msgspec

from podium.app import build_retention, retention_policy
from podium.cli.output import emit_json, note
from podium.cli.session import Session
from podium.core.durations import DURATION_EXAMPLES, parse_duration
from podium.errors import RequestError
from podium.settings import RetentionSettings, Seconds, Settings

__all__ = ["prune_store"]


async def prune_store(
    session: Session, *, runs: str | None, logs: str | None, archive: Path | None, dry_run: bool
) -> int:
    """Forget by the policy of the settings, or by the one that was given."""
    settings = _chosen(session.settings, runs, logs, archive)
    if not retention_policy(settings.retention):
        note("Nothing is forgotten: set `retention:` in podium.yaml, or give --runs or --logs.")
    async with session.reading() as app:
        retention = build_retention(settings, app.engine.store)
        if dry_run:
            count = len(await retention.due())
            if session.as_json:
                emit_json({"dry_run": True, "runs": count})
            else:
                note(f"{count} runs would be forgotten.")
            return 0
        told = await retention.prune()
        facts = {"runs": told.runs, "log_lines": told.lines}
        await app.audit.record("store.prune", "", detail=facts)
    if session.as_json:
        emit_json({"dry_run": False, **msgspec.structs.asdict(told)})
    else:
        note(f"{told.runs} runs ({told.rows} rows) and {told.lines} lines of logs are forgotten.")
    return 0


def _chosen(
    settings: Settings, runs: str | None, logs: str | None, archive: Path | None
) -> Settings:
    policy = settings.retention
    if runs is not None or logs is not None:
        policy = RetentionSettings(runs=_age(runs), logs=_age(logs), archive=policy.archive)
    if archive is not None:
        policy = msgspec.structs.replace(policy, archive=str(archive))
    return msgspec.structs.replace(settings, retention=policy)


def _age(text: str | None) -> Seconds | None:
    if text is None:
        return None
    micros = parse_duration(text)
    if micros is None or micros <= 0:
        raise RequestError(
            f"{text!r} is not an age.",
            fix=f"Write a duration, such as {DURATION_EXAMPLES} or 30d.",
            code="PDM-R026",
        )
    return Seconds(micros / 1e6)
