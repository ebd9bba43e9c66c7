"""What `podium bundle` does: make the archive, and write it where nothing lies yet."""

from pathlib import Path

from podium.authoring.bundle import make_bundle
from podium.cli.hiding import hide
from podium.cli.output import emit, emit_json, note
from podium.cli.session import Session
from podium.errors import ConflictError

__all__ = ["write_bundle"]


async def write_bundle(
    session: Session, run: str, *, output: Path | None, with_payloads: bool
) -> int:
    """Write the bundle of a run to a new file, readable by its owner only."""
    path = output or Path(f"{run}.zip")
    shown = {
        name: {"value": hide(each.value, name), "source": each.source}
        for name, each in session.sourced[1].items()
    }
    async with session.reading() as app:
        body = await make_bundle(
            app,
            run,
            settings=session.settings,
            shown_settings=shown,
            with_payloads=with_payloads,
        )
    _write(path, body)
    if session.as_json:
        emit_json({"run_id": run, "file": str(path), "bytes": len(body)})
        return 0
    emit(str(path))
    note("Look through it before you pass it on: what a task prints is kept as it is.")
    return 0


def _write(path: Path, body: bytes) -> None:
    try:
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError as error:
        raise ConflictError(
            f"{str(path)!r} exists.",
            fix="Name another file with --output.",
            code="PDM-C031",
        ) from error
    path.write_bytes(body)
