"""The file and its surroundings: directory, permissions, file system, log, and who opens it."""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from podium.adapters.sqlite.failures import store_error
from podium.adapters.sqlite.nodes import nodes_directory
from podium.errors import StoreError

__all__ = [
    "CHECKPOINT_PAGES",
    "NETWORK_FILE_SYSTEMS",
    "grow_log",
    "opening_lock",
    "prepare_file",
    "refuse_network_file_system",
]

CHECKPOINT_PAGES: Final = 1_000
"""How long the log grows before it is copied into the file and overwritten from its start."""
LOG_BYTES: Final = (CHECKPOINT_PAGES + 50) * 4_120
ZEROS: Final = bytes(4096)
MOUNTS: Final = Path("/proc/mounts")
OPENING_WAIT_S: Final = 30.0
# SQLite's log needs shared memory and working locks between processes; these have neither.
NETWORK_FILE_SYSTEMS: Final = frozenset(
    {
        "9p", "afs", "afpfs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.ceph",
        "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs", "fuse.goofys", "fuse.rclone",
        "fuse.s3fs", "fuse.sshfs", "gfs2", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2",
        "smb3", "smbfs", "webdav",
    }
)  # fmt: skip


def prepare_file(path: Path) -> None:
    """Make sure that the file of a store exists and can be written, by its owner only."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        nodes_directory(path).mkdir(mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise store_error(error, path) from error


def grow_log(path: Path) -> None:
    """Give the log its full length once, so that no commit has to grow it (half the flush time).

    Zeros are only ever appended, so another process may write its frames meanwhile: SQLite reads
    a log up to the first frame whose checksum is wrong. The small chunks matter: a block of the
    page cache as large as the whole file makes every later flush a fifth slower.
    """
    log = path.with_name(path.name + "-wal")
    try:
        handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            missing = (LOG_BYTES - os.fstat(handle).st_size) // len(ZEROS)
            for _ in range(missing):
                os.write(handle, ZEROS)
            if missing > 0:
                os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise store_error(error, path) from error


def refuse_network_file_system(path: Path, *, mounts: str | None = None) -> None:
    """Raise PDM-S004 if `path` lies on a network file system; `mounts` is as /proc/mounts."""
    if mounts is None:
        # Elsewhere than on Linux there is no such list; the locks are then the user's care.
        mounts = MOUNTS.read_text("utf-8", "replace") if MOUNTS.exists() else ""
    place, kind = _mount_of(path.absolute(), mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreError(
            f"The store {str(path)!r} lies on a network file system ({kind} at {place!r}).",
            why="SQLite's locks do not hold there: two machines would damage the file.",
            fix="Choose a local disk with --store, or use PostgreSQL for several machines.",
            code="PDM-S004",
        )


def _mount_of(path: Path, mounts: str) -> tuple[str, str]:
    """Return the mount point that holds `path`, and its type; the longest match wins."""
    best = ("", "")
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        place = fields[1].replace("\\040", " ")
        if path.is_relative_to(place) and len(place) >= len(best[0]):
            best = (place, fields[2])
    return best


@contextmanager
def opening_lock(store: Path) -> Generator[None, None, None]:
    """Let one process at a time create or migrate the store."""
    path = nodes_directory(store) / "opening.lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise store_error(error, path) from error
    try:
        _lock_patiently(handle, path)
        yield
    finally:
        os.close(handle)


def _lock_patiently(handle: int, path: Path) -> None:
    deadline = time.monotonic() + OPENING_WAIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise StoreError(
                    f"Another process has been opening this store for {OPENING_WAIT_S:.0f} s.",
                    why=f"It holds the lock on {str(path)!r}.",
                    fix="Find it with `fuser` on that file and stop it, then try again.",
                    code="PDM-S007",
                ) from error
            time.sleep(0.01)
        else:
            return
