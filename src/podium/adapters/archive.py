"""An archive of runs: JSON lines in a folder, one file for each month, safe on disk on return."""

import asyncio
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from podium.core.ids import run_id
from podium.errors import StoreError
from podium.runtime.retention import Archived

__all__ = ["FolderArchive"]

FORMAT = 1


class FolderArchive:
    """Appends runs to `runs-YYYY-MM.jsonl`, by the month in which they ended.

    A line holds the run's row, its journal and its log; bytes are Base64. A run may stand there
    twice, after a crash or if two processes forget at once: both lines say the same.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __call__(self, runs: Sequence[Archived]) -> None:
        """Write runs; raises `StoreError` PDM-S040 if the folder cannot be written to."""
        try:
            await asyncio.to_thread(self._write, runs)
        except OSError as error:
            raise StoreError(
                f"The archive {str(self._folder)!r} cannot be written to.",
                why=str(error),
                fix="Give podium the right to write there, or name another folder. Until then "
                "nothing is forgotten.",
                code="PDM-S040",
            ) from error

    def _write(self, runs: Sequence[Archived]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        by_month: dict[str, list[str]] = {}
        for run in runs:
            ended_us = run.record.row.ended_us or 0
            month = f"{datetime.fromtimestamp(ended_us / 1e6, UTC):%Y-%m}"
            by_month.setdefault(month, []).append(_line(run))
        for month, lines in by_month.items():
            path = self._folder / f"runs-{month}.jsonl"
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write("".join(lines))
                file.flush()
                os.fsync(file.fileno())


def _line(run: Archived) -> str:
    plain: dict[str, Any] = msgspec.to_builtins(run)
    document = {
        "format": FORMAT,
        "run_id": run_id(run.record.row.run_no),
        "run": plain["record"]["row"],
        "journal": plain["record"]["tail"],
        "logs": plain["logs"],
    }
    return json.dumps(document) + "\n"
