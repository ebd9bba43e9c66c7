"""The one writer: a thread with the only connection that writes, fed by a queue.

It keeps node leases, too, so that an event loop blocked by user code does not lose them. Each
job is answered exactly once, on the event loop's thread, with a result or with an error.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple

import apsw

from podium.adapters.sqlite.clock import StoreClock
from podium.adapters.sqlite.commands import renew_nodes
from podium.adapters.sqlite.database import Database
from podium.adapters.sqlite.failures import DATA_ERRORS, store_error
from podium.adapters.sqlite.nodes import NodeLock
from podium.errors import PodiumError, StoreError
from podium.ports.store import NodeRow

__all__ = ["Held", "Job", "Writer"]

# How long the writer leaves the file alone between jobs while another process writes: SQLite's
# write lock has no queue, and a busy writer would take it again before the other one looks.
YIELD_S: Final = 0.002
RENEWALS_PER_LEASE: Final = 3
QUICK_S: Final = 0.0008
PACE_WEIGHT: Final = 0.1
RENEWAL_RETRY_S: Final = 1.0


def _nothing(_database: Database) -> None:
    """Give the writer thread a reason to tidy up."""


def _ignored(_answer: Any) -> None:
    """Take an answer nobody waits for."""


class Job(NamedTuple):
    """A piece of work for the writer thread, and where its answer goes."""

    work: Callable[[Database], Any]
    answer: Callable[[Any], None]


class Held(NamedTuple):
    """A node of this process: its row, its lock file and the length of its lease."""

    node: NodeRow
    lock: NodeLock
    lease_us: int


class Writer:
    """The writer thread. `submit`, `peek` and `stop` are for the event loop's thread."""

    def __init__(
        self,
        database: Database,
        reconnect: Callable[[], Database],
        path: Path,
        clock: StoreClock,
    ) -> None:
        self._reconnect = reconnect
        self._path = path
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._database: Database | None = database
        # Guards the connection: the event loop may look at it while the writer is idle.
        self._lock = threading.Lock()
        self._held: dict[int, Held] = {}
        self._renew_at = 0.0
        self._is_stopped = False
        self._outstanding = 0
        """Jobs whose answer has not reached the event loop; on the event loop's thread only."""
        self._pace_s = 0.0
        """How long a commit took of late, on average."""
        self._thread = threading.Thread(target=self._run, name="podium-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Database], Any], answer: Callable[[Any], None]) -> None:
        """Queue `work`; call `answer` once with its result, or with the error that stopped it."""
        self._outstanding += 1
        self._jobs.put(Job(work, answer))
        if self._is_stopped:
            self._refuse_rest()

    def commit_here(self, work: Callable[[Database], Any], answer: Callable[[Any], None]) -> bool:
        """Do a small commit on the caller's thread, if that is the quickest way; else False.

        Handing a commit to another thread and back costs more than a quick disk needs to flush
        it (measured: 1.5 times the steps per second of a sequential workflow). So the event
        loop commits by itself while the writer is idle, no other process writes, and commits
        take less than `QUICK_S`: a slow disk stalls the loop for one commit, not for many.
        Whatever goes wrong here is left to the thread: doing the work again changes nothing.
        """
        if self._outstanding or self._pace_s > QUICK_S or not self._lock.acquire(blocking=False):
            return False
        try:
            database = self._database
            if database is None or database.has_company():
                return False
            with database.impatient():
                result = self._timed(work, database)
        except (apsw.Error, OSError, PodiumError, *DATA_ERRORS):
            return False
        finally:
            self._lock.release()
        self._loop.call_soon(answer, result)
        if database.wants_checkpoint:
            self.submit(_nothing, _ignored)
        return True

    def _timed(self, work: Callable[[Database], Any], database: Database) -> Any:
        started = time.monotonic()
        result = work(database)
        self._pace_s += (time.monotonic() - started - self._pace_s) * PACE_WEIGHT
        return result

    def stop(self) -> None:
        """Finish what is queued, close the connection and end; blocks, safe to repeat."""
        self._jobs.put(None)
        self._thread.join()

    def hold(self, held: Held) -> None:
        """Keep the lease of a node renewed; on the writer thread only."""
        self._held[held.node.node_id] = held
        self._plan_renewal()

    def let_go(self, node_id: int) -> None:
        """Stop renewing a lease and release its lock; on the writer thread only."""
        held = self._held.pop(node_id, None)
        if held is not None:
            held.lock.release()

    def peek(self) -> bool:
        """Return whether another process has written since the last call.

        A writer in the middle of a transaction needs no look: nobody else can commit then.
        """
        if not self._lock.acquire(blocking=False):
            return self._database is not None and self._database.take_foreign_seen()
        try:
            if self._database is None:
                return True
            self._database.observe()
            return self._database.take_foreign_seen()
        finally:
            self._lock.release()

    # -- on the writer thread ------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while (job := self._next_job()) is not None:
                self._perform(job)
                self._tidy_up()
        finally:
            self._is_stopped = True
            self._close()
            self._refuse_rest()

    def _next_job(self) -> Job | None:
        """Wait for a job; renew leases that come due meanwhile."""
        while True:
            wait_s = self._renew_at - time.monotonic() if self._held else None
            if wait_s is not None and wait_s <= 0:
                self._renew()
                continue
            try:
                return self._jobs.get(timeout=wait_s)
            except Empty:
                continue

    def _perform(self, job: Job) -> None:
        # What a defect of ours would leave behind: the thread ends, and says so to the waiting.
        answer: Any = self._closed()
        try:
            with self._lock:
                answer = self._timed(job.work, self._open_database())
        except PodiumError as error:
            answer = error
        except apsw.Error as error:
            answer = self._failure(error)
        except (OSError, *DATA_ERRORS) as error:
            answer = store_error(error, self._path)
        finally:
            self._tell(job, answer)

    def _tell(self, job: Job, answer: Any) -> None:
        # A loop that has ended has nobody left to tell.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._answer, job, answer)

    def _answer(self, job: Job, answer: Any) -> None:
        self._outstanding -= 1
        job.answer(answer)

    def _open_database(self) -> Database:
        if self._database is None:
            self._database = self._reconnect()
        return self._database

    def _failure(self, error: apsw.Error) -> StoreError:
        if isinstance(error, apsw.IOError) and self._database is not None:
            # After a failed sync nobody knows what the pages in memory are worth: start afresh.
            self._database.close()
            self._database = None
        return store_error(error, self._path)

    def _renew(self) -> None:
        try:
            with self._lock:
                database = self._open_database()
                for node_id in renew_nodes(database, self._clock, self._leases()):
                    self.let_go(node_id)
        except (apsw.Error, PodiumError):
            # The lease is still good for two more attempts; the next tick names the trouble.
            self._renew_at = time.monotonic() + RENEWAL_RETRY_S
        else:
            self._plan_renewal()

    def _leases(self) -> list[tuple[NodeRow, int]]:
        return [(held.node, held.lease_us) for held in self._held.values()]

    def _plan_renewal(self) -> None:
        shortest_us = min((held.lease_us for held in self._held.values()), default=0)
        self._renew_at = time.monotonic() + shortest_us / 1e6 / RENEWALS_PER_LEASE

    def _tidy_up(self) -> None:
        """Do what no answer waits for."""
        database = self._database
        if database is None:
            return
        # What stops a checkpoint stops the next commit, too, and that one has someone to tell.
        with self._lock, suppress(apsw.Error):
            database.checkpoint()
        if database.has_company():
            time.sleep(YIELD_S)

    def _close(self) -> None:
        with self._lock:
            for node_id in list(self._held):
                self.let_go(node_id)
            if self._database is not None:
                self._database.close()
                self._database = None

    def _refuse_rest(self) -> None:
        while not self._jobs.empty():
            job = self._jobs.get()
            if job is not None:
                self._tell(job, self._closed())

    def _closed(self) -> StoreError:
        return StoreError(
            f"The store {str(self._path)!r} is closed.",
            why="Its writer has ended.",
            fix="Open the store again; nothing that was acknowledged is lost.",
        )
