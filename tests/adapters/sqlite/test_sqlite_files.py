"""The surroundings of a store: who may read it, where it may lie, what a full disk does."""

import os
import resource
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from podium.adapters.sqlite import SqliteStore
from podium.adapters.sqlite.files import refuse_network_file_system
from podium.errors import StoreError
from podium.ports.store import Batch
from podium.testing.conformance.desk import step

NOBODY = 65_534
MOUNTS = """\
/dev/vda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/vdb1 /home/local xfs rw 0 0
//box/share /mnt/my\\040share cifs rw 0 0
me@host: /mnt/remote fuse.sshfs rw 0 0
"""


@contextmanager
def without_root() -> Iterator[None]:
    """Give up the powers of root, which no permission stops."""
    mine = os.geteuid()
    os.seteuid(NOBODY if mine == 0 else mine)
    try:
        yield
    finally:
        os.seteuid(mine)


def test_only_its_owner_may_read_a_store(file):
    old = os.umask(0)
    try:
        file.desk()
    finally:
        os.umask(old)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.path.parent.iterdir()}
    assert modes == {
        "podium.db": 0o600,
        "podium.db-wal": 0o600,
        "podium.db-shm": 0o600,
        "podium.db.nodes": 0o700,
    }


def test_a_missing_directory_is_created_for_its_owner_only(tmp_path, file):
    file.path = tmp_path / "new" / "deep" / "podium.db"
    file.open()
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


def test_a_directory_that_cannot_be_made_is_refused(tmp_path, file):
    (tmp_path / "occupied").write_text("a file")
    file.path = tmp_path / "occupied" / "podium.db"
    with pytest.raises(StoreError, match="PDM-S003"):
        file.open()


def test_a_read_only_directory_is_refused(tmp_path, file):
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o555)
    with without_root(), pytest.raises(StoreError, match=r"PDM-S003(?s:.)*writable"):
        file.open()
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o700)
    assert not file.path.exists()


def test_a_read_only_file_is_refused(tmp_path, file):
    file.path.touch(mode=0o444)
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    tmp_path.chmod(0o777)
    with without_root(), pytest.raises(StoreError, match="PDM-S003"):
        file.open()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/eve/podium.db", "nfs4"),
        ("/mnt/my share/podium.db", "cifs"),
        ("/mnt/remote/podium.db", "fuse.sshfs"),
    ],
)
def test_a_network_file_system_is_refused(path, kind):
    with pytest.raises(StoreError, match=rf"PDM-S004(?s:.)*{kind}"):
        refuse_network_file_system(Path(path), mounts=MOUNTS)


@pytest.mark.parametrize("path", ["/var/podium.db", "/home/local/podium.db", "/homes/podium.db"])
def test_a_local_file_system_is_fine(path):
    refuse_network_file_system(Path(path), mounts=MOUNTS)


def test_a_store_under_a_network_mount_is_refused_before_anything_is_made(
    tmp_path, file, monkeypatch
):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/x {tmp_path} nfs rw 0 0\n")
    monkeypatch.setattr("podium.adapters.sqlite.files.MOUNTS", mounts)
    file.path = tmp_path / "new" / "podium.db"
    with pytest.raises(StoreError, match="PDM-S004"):
        file.open()
    assert not file.path.parent.exists()


def test_a_failed_start_closes_what_it_opened(file):
    file.path.write_bytes(b"x" * 4096)
    opened = []
    for _ in range(3):
        with pytest.raises(StoreError, match="PDM-S006"):
            file.open()
        opened.append(len(list(Path("/dev/fd").iterdir())))
    assert len(set(opened)) == 1


def fill(file, desk, run_no: int, *, body: bytes = b"x" * 100_000) -> StoreError:
    """Advance a run until the store has no room; return what it said."""
    for number in range(500):
        try:
            file.run(desk.advance(run_no, body=body, steps=[step(run_no, number)]))
        except StoreError as error:
            return error
    raise AssertionError("The disk never filled.")


def assert_nothing_is_half_written(file, desk, run_no: int) -> None:
    sequence = file.run(desk.row(run_no)).last_seq
    journal = file.run(desk.store.events(run_no, limit=10_000))
    assert [record.first_seq for record in journal] == list(range(1, sequence + 1))
    steps = file.run(desk.store.steps(run_no, limit=10_000))
    assert len(steps) == sequence - 1


def test_a_full_store_loses_nothing_and_works_again_with_room(file):
    desk = file.desk()
    run_no = file.run(desk.start())
    pages = desk.store._writer._database._connection.pragma
    pages("max_page_count", 300)
    error = fill(file, desk, run_no)
    assert error.code == "PDM-S005"
    assert_nothing_is_half_written(file, desk, run_no)
    pages("max_page_count", 1_000_000)
    file.run(desk.advance(run_no, body=b"x" * 100_000, steps=[step(run_no, 600)]))
    assert_nothing_is_half_written(file, desk, run_no)


def test_a_write_error_loses_nothing_and_the_batch_can_be_sent_again(file):
    desk = file.desk()
    run_no = file.run(desk.start())
    move = file.run(desk.move(run_no, body=b"x" * 9_000_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000_000, hard))
    try:
        with pytest.raises(StoreError, match="PDM-S001"):
            file.run(desk.submit(move))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.run(desk.row(run_no)).last_seq == 1
    file.run(desk.commit(move))
    assert file.run(desk.row(run_no)).last_seq == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk; the page limit above covers the rest")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.system
def test_a_full_disk_loses_nothing_and_work_goes_on_with_room(file, small_disk):
    file.path = small_disk / "podium.db"
    ballast = small_disk / "ballast"
    desk = file.desk()
    run_no = file.run(desk.start())
    ballast.write_bytes(bytes(5_000_000))
    assert fill(file, desk, run_no).code == "PDM-S005"
    assert_nothing_is_half_written(file, desk, run_no)
    ballast.unlink()
    file.run(desk.advance(run_no, steps=[step(run_no, 600)]))
    assert_nothing_is_half_written(file, desk, run_no)
    file.close()


@pytest.mark.system
def test_a_disk_that_is_full_at_the_start_is_named(file, small_disk):
    (small_disk / "ballast").write_bytes(bytes(10_000_000))
    file.path = small_disk / "podium.db"
    with pytest.raises(StoreError, match="PDM-S005"):
        file.open()


def test_a_closed_store_says_so(file):
    desk = file.desk()
    creation = file.run(desk.creation())
    file.run(desk.store.close())
    with pytest.raises(StoreError, match="not open"):
        file.run(desk.submit(creation))
    with pytest.raises(StoreError, match="not open"):
        file.run(desk.store.run(1))


def test_a_store_can_be_closed_before_it_was_opened(file):
    file.run(SqliteStore(file.path).close())


def test_opening_twice_is_opening_once(file):
    desk = file.desk()
    writer = desk.store._writer
    file.run(desk.store.open())
    assert desk.store._writer is writer


def test_what_was_submitted_before_closing_is_committed(file):
    desk = file.desk()
    creation = file.run(desk.creation())
    answers: list[object] = []
    batch = Batch(node_id=desk.node.node_id, node_epoch=1, writes=[creation])

    async def submit_and_close() -> None:
        desk.store.submit(batch, answers.append)
        await desk.store.close()

    file.run(submit_and_close())
    assert len(answers) == 1
    assert file.run(file.desk().row(creation.run_no)).last_seq == 1
