"""What goes wrong below, in the words of `StoreError`: nobody above reads a driver's message."""

import errno
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apsw

from podium.adapters.sqlite.nodes import holders_of
from podium.errors import StoreError

__all__ = ["DATA_ERRORS", "not_a_store", "store_error", "translated"]

# What a driver or our own checks raise when a value cannot be stored: too big, of a wrong type,
# not UTF-8, against a CHECK. Anything else is the store's trouble, not the data's.
DATA_ERRORS: Final = (
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.TooBigError,
    OverflowError,
    TypeError,
    ValueError,
)
LITTLE_SPACE_BYTES: Final = 64 * 1024


@contextmanager
def translated(path: Path) -> Generator[None, None, None]:
    """Raise `StoreError` for any error of the driver inside the block."""
    try:
        yield
    except apsw.Error as error:
        raise store_error(error, path) from error


def store_error(error: Exception, path: Path) -> StoreError:
    """Return what an error of the driver or the system means to who runs the store."""
    for kinds, meaning in MEANINGS:
        if isinstance(error, kinds):
            return meaning(error, path)
    return _input_output(error, path)


def not_a_store(path: Path, why: str) -> StoreError:
    """Return PDM-S006: the file is something else."""
    return StoreError(
        f"{str(path)!r} is not a podium store.",
        why=why,
        fix="Choose another file with --store; this one was left untouched.",
        code="PDM-S006",
    )


def _full(_error: Exception, path: Path) -> StoreError:
    return StoreError(
        f"The disk that holds the store {str(path)!r} is full.",
        why="The last write was taken back whole; nothing that was acknowledged is lost.",
        fix="Make space on that disk, then continue with `podium recover`.",
        code="PDM-S005",
    )


def _unwritable(error: Exception, path: Path) -> StoreError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return StoreError(
        f"The store {str(path)!r} cannot be written.",
        why=f"The system says: {reason}.",
        fix="Make its directory writable for this user, or choose another with --store.",
        code="PDM-S003",
    )


def _busy(_error: Exception, path: Path) -> StoreError:
    return StoreError(
        f"The store {str(path)!r} is held by another process and did not get free in time.",
        why=f"It may be stopped in the middle of a write. {holders_of(path)}".rstrip(),
        fix="Let it continue (kill -CONT PID) or end it (kill -9 PID); no data is lost.",
        code="PDM-S007",
    )


def _no_database(_error: Exception, path: Path) -> StoreError:
    return not_a_store(path, "The file is not a SQLite database.")


def _damaged(error: Exception, path: Path) -> StoreError:
    return StoreError(
        f"The store {str(path)!r} is damaged.",
        why=f"SQLite says: {error}.",
        fix="Stop all podium processes and restore the file from a backup.",
        code="PDM-S008",
    )


def _refused_data(error: Exception, _path: Path) -> StoreError:
    return StoreError(
        "The store refused the data.",
        why=f"It cannot be stored: {error}.",
        fix="Text must be valid Unicode without NUL; numbers must fit into 64 bits.",
        code="PDM-S010",
    )


def _input_output(error: Exception, path: Path) -> StoreError:
    # SQLite calls a full disk an I/O error when it strikes in the shared memory file.
    if _is_out_of_space(error, path):
        return _full(error, path)
    return StoreError(
        f"The store {str(path)!r} could not be read or written.",
        why=f"The system says: {type(error).__name__}: {error}.",
        fix="Check the disk and the system log; nothing that was acknowledged is lost.",
        code="PDM-S001",
    )


def _is_out_of_space(error: Exception, path: Path) -> bool:
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    try:
        usage = os.statvfs(path.parent)
    except OSError:
        return False
    return usage.f_bavail * usage.f_frsize < LITTLE_SPACE_BYTES


def _of_system(error: Exception, path: Path) -> StoreError:
    """Return the meaning of an error that came from the system, not from SQLite."""
    return _full(error, path) if _is_out_of_space(error, path) else _unwritable(error, path)


MEANINGS: Final[tuple[tuple[Any, Callable[[Exception, Path], StoreError]], ...]] = (
    (apsw.FullError, _full),
    ((apsw.ReadOnlyError, apsw.PermissionsError, apsw.CantOpenError), _unwritable),
    ((apsw.BusyError, apsw.LockedError), _busy),
    (apsw.NotADBError, _no_database),
    (apsw.CorruptError, _damaged),
    (OSError, _of_system),
    (DATA_ERRORS, _refused_data),
)
"""What each kind of error means; the first match counts, anything else is an I/O error."""
