"""Old runs are forgotten by policy, archived first, in small transactions, and nothing else is."""

import asyncio
import json

import pytest

import podium as library
from podium.app import build_retention, connect, retention_policy
from podium.core.states import RunStatus
from podium.errors import StoreError
from podium.ports.store import RunFilter
from podium.runtime import retention
from podium.runtime.retention import Policy, Retention
from podium.settings import RetentionSettings, Seconds, Settings, merge_settings


@library.task(max_retries=0)
async def step(number: int) -> int:
    say(f"step {number}")
    return number


say = print


@library.workflow
async def counts(upto: int) -> int:
    for number in range(upto):
        await step(number)
    return upto


@library.workflow
async def parent(upto: int) -> int:
    return await library.child("counts", {"upto": upto})


@library.workflow
async def breaks() -> None:
    raise ValueError("no")


@library.workflow
async def waits() -> None:
    await library.wait_signal("go")


@pytest.fixture
def settings(tmp_path):
    return Settings(
        database_url=f"sqlite:///{tmp_path}/podium.db",
        retention=RetentionSettings(runs=Seconds(1e-6), archive=str(tmp_path / "archive")),
    )


async def numbers(app):
    return [row.run_no for row in await app.engine.store.runs(RunFilter(), limit=100)]


async def some_runs(app):
    """Return handles of a completed, a failed and an open run."""
    done, failed = await app.start(counts, input=3), await app.start(breaks)
    waiting = await app.start(waits)
    await done.result()
    await failed.wait()
    await app.engine.registry.services.logbook.flush()
    return done, failed, waiting


def test_what_is_closed_and_old_goes_and_what_is_open_stays(settings):
    async def work():
        async with connect(settings=settings) as app:
            done, failed, waiting = await some_runs(app)
            told = await build_retention(settings, app.engine.store).prune()
            assert told.runs == 2
            assert await numbers(app) == [waiting.run_no]
            store = app.engine.store
            for gone in (done, failed):
                assert not await store.logs(gone.run_no)
                assert not await store.steps(gone.run_no)
                assert not await store.events(gone.run_no)
            await waiting.signal("go")
            await waiting.result()

    asyncio.run(work())


def test_a_run_is_in_the_archive_before_it_is_gone(settings, tmp_path):
    async def work():
        async with connect(settings=settings) as app:
            done, failed, _ = await some_runs(app)
            await build_retention(settings, app.engine.store).prune()
            return done.id, failed.id

    ids = asyncio.run(work())
    [path] = (tmp_path / "archive").iterdir()
    assert path.stat().st_mode & 0o077 == 0
    lines = {line["run_id"]: line for line in map(json.loads, path.read_text().splitlines())}
    assert set(lines) == set(ids)
    told = lines[ids[0]]
    assert (told["run"]["workflow"], told["run"]["status"]) == ("counts", RunStatus.COMPLETED)
    assert [line["text"] for line in told["logs"]] == ["step 0", "step 1", "step 2"]
    firsts = [record["first_seq"] for record in told["journal"]]
    assert firsts[0] == 1


def test_huge_runs_are_archived_one_by_one(settings, monkeypatch):
    monkeypatch.setattr(retention, "ARCHIVE_BYTES", 1)
    batches = []

    async def archive(runs):
        batches.append(len(runs))

    async def work():
        async with connect(settings=settings) as app:
            await some_runs(app)
            policy = retention_policy(settings.retention)
            await Retention(app.engine.store, policy, archive).prune()

    asyncio.run(work())
    assert batches == [1, 1]


def test_nothing_is_forgotten_that_could_not_be_archived(settings, tmp_path):
    (tmp_path / "archive").write_text("a file stands in the way")

    async def work():
        async with connect(settings=settings) as app:
            await some_runs(app)
            with pytest.raises(StoreError, match="archive"):
                await build_retention(settings, app.engine.store).prune()
            return len(await numbers(app))

    assert asyncio.run(work()) == 3


def test_each_status_may_have_an_age_of_its_own(settings):
    only_completed = RetentionSettings(completed=Seconds(1e-6))

    async def work():
        async with connect(settings=settings) as app:
            done, failed, waiting = await some_runs(app)
            policy = retention_policy(only_completed)
            await Retention(app.engine.store, policy).prune()
            assert await numbers(app) == [waiting.run_no, failed.run_no]
            return done

    asyncio.run(work())


def test_a_long_run_goes_in_small_transactions(settings, monkeypatch):
    monkeypatch.setattr(retention, "ROWS_PER_BATCH", 10)

    async def work():
        async with connect(settings=settings) as app:
            await (await app.start(counts, input=60)).result()
            store = app.engine.store
            before = store.stats.commits
            policy = Policy(runs_us={RunStatus.COMPLETED: 1})
            told = await Retention(store, policy).prune()
            assert told.rows > 100
            assert store.stats.commits - before > told.rows // 10
            # A crash in between leaves rests that the next pass takes away.
            assert await store.sweep_forgotten(limit=10) == 0

    asyncio.run(work())


def test_a_child_stays_while_its_parent_is_open(settings):
    @library.workflow
    async def holds() -> None:
        await library.child("counts", {"upto": 1})
        await library.wait_signal("go")

    async def work():
        async with connect(settings=settings) as app:
            await (await app.start(counts, input=1)).result()
            first = await build_retention(settings, app.engine.store).prune()
            handle = await app.start(holds)
            while (await handle.row()).reason != "signal":
                await app.engine.store.nodes()
            retained = await build_retention(settings, app.engine.store).prune()
            return first.runs, retained.runs, len(await numbers(app))

    assert asyncio.run(work()) == (1, 0, 2)


def test_lines_have_an_age_of_their_own(settings):
    async def work():
        async with connect(settings=settings) as app:
            done, *_ = await some_runs(app)
            told = await Retention(app.engine.store, Policy(logs_us=1)).prune()
            assert (told.runs, told.lines) == (0, 3)
            assert await app.logs.of(done.id) == []

    asyncio.run(work())


def test_the_key_of_a_forgotten_run_is_free(settings):
    async def work():
        async with connect(settings=settings) as app:
            first = await app.start(counts, input=1, idempotency_key="k")
            await first.result()
            await build_retention(settings, app.engine.store).prune()
            second = await app.start(counts, input=2, idempotency_key="k")
            assert second.run_no != first.run_no
            assert await second.result() == 2

    asyncio.run(work())


def test_the_block_of_the_settings_file_is_read_and_its_faults_are_told():
    def read(block):
        return merge_settings(flags={}, environment={}, file={"retention": block})[0].retention

    assert read({"runs": "30d", "logs": 3600}) == RetentionSettings(
        runs=Seconds(30 * 86_400), logs=Seconds(3600)
    )
    for wrong, code in (({"run": "30d"}, "PDM-R040"), ({"runs": "old"}, "PDM-R041")):
        with pytest.raises(library.PodiumError) as raised:
            read(wrong)
        assert raised.value.code == code


# --- the command --------------------------------------------------------------------------------


def test_prune_says_what_it_would_do_and_does_it(podium, flows):
    for _ in range(3):
        podium("run", flows / "greet.yaml")
    assert podium("db", "prune", "--runs", "1ms", "--dry-run", "--json").json["runs"] == 3
    told = podium("db", "prune", "--runs", "1ms", "--archive", "old", "--json").json
    assert (told["runs"], told["dry_run"]) == (3, False)
    assert podium("runs", "list", "--json").json["items"] == []
    assert podium("db", "prune", "--runs", "1ms", "--json").json["runs"] == 0


def test_prune_without_a_policy_forgets_nothing(podium, flows):
    podium("run", flows / "greet.yaml")
    result = podium("db", "prune", "--json")
    assert (result.json["runs"], "Nothing is forgotten" in result.err) == (0, True)


def test_an_age_that_is_none_is_refused(podium):
    assert podium("db", "prune", "--runs", "old").code == 2
