"""The lock file of a node: held by a living process, so that getting it proves a death at once.

A lease says the same more slowly. The kernel drops the lock however a process ends, and keeps
it for one that is only stopped.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

__all__ = [
    "NodeLock",
    "forget",
    "holders_of",
    "is_proven_dead",
    "machine_boot_id",
    "nodes_directory",
]

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
KERNEL_LOCKS: Final = Path("/proc/locks")
# Where SQLite's log keeps the write lock in the shared memory file.
WRITE_LOCK_BYTE: Final = "120"


def machine_boot_id() -> str:
    """Return an id of this boot of this machine; empty where the system has none."""
    return BOOT_ID.read_text("ascii").strip() if BOOT_ID.exists() else ""


def nodes_directory(store: Path) -> Path:
    """Return the directory of the lock files that belong to a store."""
    return store.with_name(store.name + ".nodes")


def _lock_path(store: Path, node_id: int) -> Path:
    return nodes_directory(store) / f"{node_id}.lock"


class NodeLock:
    """The lock of one node, from construction until `release` or the end of the process."""

    def __init__(self, store: Path, node_id: int) -> None:
        self._path = _lock_path(store, node_id)
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self, *, keep_file: bool = False) -> None:
        """Let go of the lock; safe to repeat."""
        if self._handle >= 0:
            if not keep_file:
                self._path.unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = -1


def is_proven_dead(store: Path, node_id: int) -> bool:
    """Return whether nobody holds the lock of a node that is up by its row."""
    try:
        handle = os.open(_lock_path(store, node_id), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        # A node locks its file before its row is committed: no file means no process.
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def forget(store: Path, node_id: int) -> None:
    """Remove the lock file of a node that was declared dead."""
    _lock_path(store, node_id).unlink(missing_ok=True)


def holders_of(store: Path) -> str:
    """Return a sentence that names the process holding the write lock, where the kernel tells."""
    memory = store.with_name(store.name + "-shm")
    if not KERNEL_LOCKS.exists() or not memory.exists():
        return ""
    inode = str(memory.stat().st_ino)
    for line in KERNEL_LOCKS.read_text("ascii").splitlines():
        # 1: POSIX  ADVISORY  WRITE 4711 fe:00:131087 120 120
        match line.split():
            case [_, _, _, "WRITE", pid, place, first, last] if place.endswith(":" + inode):
                if first <= WRITE_LOCK_BYTE <= last and pid != str(os.getpid()):
                    return f"Process {pid} holds the write lock."
            case _:
                pass
    return ""
