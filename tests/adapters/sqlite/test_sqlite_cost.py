"""What a step costs, in units that do not depend on the disk: flushes, commits, reads, bytes."""

from collections.abc import Callable, Iterable

from podium.ports.store import RunWrite
from podium.testing.conformance.desk import step

TICKS = 10_000


def move(run_no: int, seq: int, *, body: bytes = b"x" * 40) -> RunWrite:
    """Return a tick of a step that does nothing: one journal record and one step row."""
    row = step(run_no, seq, path=f"step[{seq}]", started_us=1_763_726_400_000_000)
    return RunWrite(
        run_no=run_no,
        home_epoch=1,
        old_seq=seq,
        new_seq=seq + 1,
        updated_us=1_763_726_400_000_000,
        body=body,
        steps=[row],
    )


def stored_bytes(file) -> int:
    """Close every store, so that the log is copied, and return the size of the file."""
    file.close()
    return file.path.stat().st_size


def test_a_sequential_step_costs_one_flush(file):
    desk = file.desk()
    run_no = file.run(desk.start())
    before, of_a_checkpoint = desk.store.stats.flushes, 3
    for seq in range(1, 301):
        file.run(desk.commit(move(run_no, seq)))
    extra = desk.store.stats.flushes - before - 300
    assert 0 <= extra <= 2 * of_a_checkpoint


def test_five_hundred_runs_share_one_flush(file):
    desk = file.desk()
    runs = [file.run(desk.creation()) for _ in range(500)]
    file.run(desk.commit(*runs))
    before = desk.store.stats.flushes
    file.run(desk.commit(*(move(write.run_no, 1) for write in runs)))
    assert desk.store.stats.flushes - before <= 4


def test_a_tick_writes_three_rows_and_reads_none(file):
    desk = file.desk()
    run_no = file.run(desk.start())
    rows, reads = desk.store.stats.rows, desk.store.stats.reads
    file.run(desk.commit(move(run_no, 1)))
    assert (desk.store.stats.rows - rows, desk.store.stats.reads - reads) == (3, 0)


def grown_by(file, writes_of: Callable[[list[int]], Iterable[list[RunWrite]]], *, runs: int) -> int:
    """Return by how many bytes a store grows when new runs are advanced by these batches."""
    file.desk()
    empty = stored_bytes(file)
    desk = file.desk()
    # Flushing changes nothing in the size, and would make the test as slow as the disk.
    desk.store._writer._database.execute("pragma synchronous = off")
    creations = [file.run(desk.creation()) for _ in range(runs)]

    async def work() -> None:
        await desk.commit(*creations)
        for writes in writes_of([creation.run_no for creation in creations]):
            await desk.commit(*writes)

    file.run(work())
    return stored_bytes(file) - empty


def test_a_step_of_one_long_run_takes_less_than_130_bytes(file):
    size = grown_by(file, lambda runs: ([move(runs[0], n)] for n in range(1, TICKS)), runs=1)
    assert size / TICKS < 130


def test_a_step_of_many_runs_takes_less_than_200_bytes(file):
    def batches(runs: list[int]) -> Iterable[list[RunWrite]]:
        for seq in range(1, TICKS // len(runs)):
            yield [move(run_no, seq) for run_no in runs]

    assert grown_by(file, batches, runs=100) / TICKS < 200


def test_a_short_run_takes_less_than_200_bytes_per_step(file):
    """The row of the run, its start and its five steps, all counted."""

    def batches(runs: list[int]) -> Iterable[list[RunWrite]]:
        for seq in range(1, 6):
            yield [move(run_no, seq) for run_no in runs]

    assert grown_by(file, batches, runs=TICKS // 5) / TICKS < 200


def test_a_transcript_takes_less_than_one_and_a_half_times_its_payload(file):
    body = b"x" * 1024
    turns = range(1, 401)
    size = grown_by(file, lambda runs: ([move(runs[0], n, body=body)] for n in turns), runs=1)
    assert size < 1.5 * len(turns) * len(body)


def test_the_log_does_not_grow_with_use(file):
    desk = file.desk()
    run_no = file.run(desk.start())
    log = file.path.with_name("podium.db-wal")
    before = log.stat().st_size
    for seq in range(1, 601):
        file.run(desk.commit(move(run_no, seq)))
    assert log.stat().st_size == before
