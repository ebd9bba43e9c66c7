"""Where a commit happens: on the event loop while that is quickest, else on the writer thread."""

import asyncio
import threading

import pytest

from podium.ports.store import Batch, Committed


class Submission:
    """A batch that was submitted, and what its `done` was told."""

    def __init__(self, file, desk, count: int = 1) -> None:
        writes = [file.run(desk.creation()) for _ in range(count)]
        self.batch = Batch(node_id=desk.node.node_id, node_epoch=1, writes=writes)
        self.store = desk.store
        self.threads: list[int] = []

    def submit(self) -> asyncio.Future:
        """Submit; the future has the answer. Notes the threads that commit."""
        answer = asyncio.get_running_loop().create_future()
        self.store._writer._database.observe = self.note
        self.store.submit(self.batch, answer.set_result)
        return answer

    def note(self) -> None:
        self.threads.append(threading.get_ident())


async def answer_of(submission: Submission) -> Committed:
    return await submission.submit()


def test_a_lone_write_is_committed_on_the_spot_and_answered_later(file):
    desk = file.desk()
    submission = Submission(file, desk)
    desk.store._writer._pace_s = 0.0

    async def check() -> None:
        answer = submission.submit()
        assert submission.threads == [threading.get_ident()]
        assert not answer.done()
        assert await answer == Committed()

    file.run(check())


@pytest.mark.parametrize("reason", ["company", "a slow disk", "another job", "many writes"])
def test_the_event_loop_does_not_wait_for(file, reason):
    desk = file.desk()
    submission = Submission(file, desk, count=2 if reason == "many writes" else 1)
    writer = desk.store._writer
    if reason == "company":
        writer._database._foreign_until = float("inf")
    elif reason == "a slow disk":
        writer._pace_s = 0.01
    elif reason == "another job":
        writer._outstanding += 1
    assert file.run(answer_of(submission)) == Committed()
    assert submission.threads == [writer._thread.ident]


def test_the_event_loop_does_not_wait_for_the_write_lock(file):
    desk, other = file.desk(busy_wait_s=30.0), file.open()
    submission = Submission(file, desk)
    other._writer._database.execute("begin immediate")

    async def check() -> Committed:
        answer = submission.submit()
        await asyncio.sleep(0)
        assert not answer.done()
        other._writer._database.execute("rollback")
        return await answer

    assert file.run(check()) == Committed()
    assert submission.threads == [desk.store._writer._thread.ident]


def test_the_pace_of_the_disk_is_learned_and_forgotten(file):
    desk = file.desk()
    writer = desk.store._writer
    writer._pace_s = 0.01
    for _ in range(80):
        writer._timed(lambda _: None, writer._database)
    assert writer._pace_s < 0.005


def test_the_log_is_copied_after_commits_on_the_spot(file):
    desk = file.desk()
    run_no = file.run(desk.start())
    database = desk.store._writer._database
    database._checkpoint_at = 1
    file.run(desk.advance(run_no))
    file.run(desk.store.reserve_run_numbers(1))
    assert database._checkpoint_at == 1000
