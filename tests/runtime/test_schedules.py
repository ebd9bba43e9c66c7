"""Each due tick has one outcome, whoever looks, whoever dies, and whatever clocks do."""

from contextlib import AsyncExitStack
from itertools import pairwise

import bodies
import pytest
from msgspec.structs import replace
from timekeeping import LONG, QUICK, SLOW, Town, nominal, outcomes, passing, us, virtually

from podium.adapters.memory.faults import Fault, FaultKind
from podium.core.schedules import Overlap
from podium.core.states import RunStatus
from podium.errors import ConflictError, DefinitionError, NotFoundError, RequestError

MINUTELY = {"name": "minutely", "workflow": "quick", "cron": "* * * * *"}


async def opened(stack: AsyncExitStack, town: Town, *texts: str, **options):
    """Enter a node that has published these workflows."""
    app = await stack.enter_async_context(town.node(**options))
    for text in texts:
        await app.workflows.publish(town.workflow(text))
    return app


@virtually()
async def test_every_tick_starts_one_run_on_time(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK)
        made = await app.schedules.create(MINUTELY)
        assert (made.status, made.next_at) == ("active", "2026-11-21T12:01:00.000000Z")
        await town.until("2026-11-21T13:00:30Z")
        runs = await town.runs(app)
        assert len(runs) == 60
        late = [row.created_us - us(row.labels["schedule_time"]) for row in runs]
        assert 0 <= min(late) <= max(late) < 100_000
        assert {row.status for row in runs} == {RunStatus.COMPLETED}
        assert {row.labels["schedule"] for row in runs} == {"minutely"}
        now = await app.schedules.get("minutely")
        assert (now.starts, now.next_at) == (60, "2026-11-21T13:01:00.000000Z")
        assert now == await app.schedules.get(made.schedule_id)


@virtually()
async def test_many_nodes_start_each_tick_once(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK)
        for _ in range(3):
            await opened(stack, town)
        await app.schedules.create(MINUTELY)
        await town.until("2026-11-21T12:30:30Z")
        runs = await town.runs(app)
        assert [nominal(row) for row in runs] == [f"12:{m:02}" for m in range(1, 31)]


@virtually()
async def test_a_lost_answer_starts_nothing_twice(town):
    lost = iter([True, False, False] * 1000)

    def faults(call, batch):
        scheduled = batch is not None and any(w.schedule for w in batch.writes)
        after = scheduled and next(lost)
        return Fault(kind=FaultKind.AFTER if after else FaultKind.NEVER, delay_s=0.001)

    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK, faults=faults)
        await opened(stack, town, faults=faults)
        await app.schedules.create(MINUTELY)
        await town.until("2026-11-21T12:20:30Z")
        runs = await town.runs(app)
        assert [nominal(row) for row in runs] == [f"12:{m:02}" for m in range(1, 21)]


@virtually()
async def test_another_node_goes_on_after_a_crash(town):
    async with AsyncExitStack() as stack:
        first = await opened(stack, town, QUICK)
        second = await opened(stack, town)
        await first.schedules.create(MINUTELY)
        await town.until("2026-11-21T12:05:30Z")
        await town.crash(first)
        await town.until("2026-11-21T12:10:30Z")
        runs = await town.runs(second)
        assert [nominal(row) for row in runs] == [f"12:{m:02}" for m in range(1, 11)]
        assert {row.status for row in runs} == {RunStatus.COMPLETED}


@virtually()
async def test_ticks_of_an_outage_are_made_up_for_within_the_window(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK)
        await app.schedules.create(MINUTELY | {"catch_up": "3m", "overlap": "allow"})
        await town.until("2026-11-21T12:02:30Z")
    await passing(8 * 60)
    async with AsyncExitStack() as stack:
        app = await opened(stack, town)
        await town.until("2026-11-21T12:11:30Z")
        runs = await town.runs(app)
        assert [nominal(row) for row in runs] == ["12:01", "12:02", "12:08", "12:09", "12:10",
                                                  "12:11"]  # fmt: skip
        ticks = await app.schedules.ticks("minutely")
        assert ("12:03", "missed") in outcomes(ticks)
        [missed] = [tick for tick in ticks if tick.outcome == "missed"]
        assert missed.detail == "5 ticks fell due while nobody ran the schedule"


@virtually()
async def test_a_tick_during_a_run_is_skipped_by_default(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, LONG)
        await app.schedules.create(MINUTELY | {"workflow": "long"})
        await town.until("2026-11-21T12:05:30Z")
        assert outcomes(await app.schedules.ticks("minutely")) == [
            ("12:01", "started"),
            ("12:02", "skipped"),
            ("12:03", "skipped"),
            ("12:04", "started"),
            ("12:05", "skipped"),
        ]


@virtually()
async def test_one_tick_may_wait_for_the_run_before(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, LONG)
        await app.schedules.create(MINUTELY | {"workflow": "long", "overlap": "buffer_one"})
        await town.until("2026-11-21T12:03:20Z")
        assert (await app.schedules.get("minutely")).held_at == "2026-11-21T12:02:00.000000Z"
        await town.until("2026-11-21T12:03:35Z")
        first, second = await town.runs(app)
        assert nominal(second) == "12:02"
        assert first.ended_us is not None
        assert 0 <= second.created_us - first.ended_us < 1_000_000
        assert ("12:03", "skipped") in outcomes(await app.schedules.ticks("minutely"))


@virtually()
async def test_runs_may_overlap_if_the_policy_allows(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, SLOW)
        await app.schedules.create(MINUTELY | {"workflow": "slow", "overlap": "allow"})
        await town.until("2026-11-21T12:04:30Z")
        assert len((await app.schedules.get("minutely")).open_runs) == 4
        bodies.gate("gate").set()


@pytest.mark.parametrize(
    ("overlap", "ended"),
    [("cancel_other", RunStatus.CANCELLED), ("terminate_other", RunStatus.ABORTED)],
)
@virtually()
async def test_a_tick_may_end_the_run_before_it(town, overlap, ended):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, SLOW)
        await opened(stack, town)
        await app.schedules.create(MINUTELY | {"workflow": "slow", "overlap": overlap})
        await town.until("2026-11-21T12:03:30Z")
        runs = await town.runs(app)
        assert [nominal(row) for row in runs] == ["12:01", "12:02", "12:03"]
        assert [row.status for row in runs] == [ended, ended, RunStatus.RUNNING]
        for before, after in pairwise(runs):
            assert before.ended_us is not None
            assert before.ended_us <= after.created_us < us(after.labels["schedule_time"]) + 2e6
        bodies.gate("gate").set()


@virtually()
async def test_the_end_of_others_is_asked_for_again_after_a_crash(town):
    async with AsyncExitStack() as stack:
        first = await opened(stack, town, SLOW)
        second = await opened(stack, town)
        await first.schedules.create(
            MINUTELY | {"workflow": "slow", "overlap": "cancel_other", "end": "2026-11-21T12:02"}
        )
        await town.until("2026-11-21T12:01:30Z")
        for app in (first, second):
            # Whoever holds the tick dies before it has asked.
            app.engine.scheduler._stop_others = _nothing
        await town.until("2026-11-21T12:03:00Z")
        assert len(await town.runs(second)) == 1
        await town.crash(first)
        del second.engine.scheduler._stop_others
        await town.until("2026-11-21T12:04:00Z")
        assert [nominal(row) for row in await town.runs(second)] == ["12:01", "12:02"]
        bodies.gate("gate").set()


async def _nothing(*_, **__):
    pass


@virtually()
async def test_a_paused_schedule_starts_nothing_and_makes_up_for_nothing(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK)
        await app.schedules.create(MINUTELY | {"paused": True})
        await town.until("2026-11-21T12:02:30Z")
        assert not await town.runs(app)
        assert (await app.schedules.resume("minutely")).status == "active"
        await town.until("2026-11-21T12:03:30Z")
        paused = await app.schedules.pause("minutely", comment="moving house", by="ann")
        assert (paused.status, paused.comment, paused.changed_by) == (
            "paused", "moving house", "ann",
        )  # fmt: skip
        await town.until("2026-11-21T12:06:30Z")
        assert (await app.schedules.resume("minutely")).comment == ""
        await town.until("2026-11-21T12:07:30Z")
        assert [nominal(row) for row in await town.runs(app)] == ["12:03", "12:07"]


@virtually()
async def test_a_start_that_was_decided_before_a_pause_comes_too_late(town):
    def slow(call, batch):
        scheduled = batch is not None and any(w.schedule for w in batch.writes)
        return Fault(delay_s=5.0 if scheduled else 0.0)

    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK, faults=slow)
        await app.schedules.create(MINUTELY)
        await app.schedules.create(MINUTELY | {"name": "other"})
        await app.schedules.create(MINUTELY | {"name": "gone"})
        await town.until("2026-11-21T12:01:02Z")
        await app.schedules.pause("minutely")
        await app.schedules.remove("gone")
        await passing(30)
        assert [row.labels["schedule"] for row in await town.runs(app)] == ["other"]
        assert not await app.schedules.ticks("minutely")


@virtually()
async def test_a_tick_and_its_run_are_one_transaction(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK)
        await app.schedules.create(MINUTELY)
        await town.until("2026-11-21T12:00:30Z")
        before = app.engine.store.stats.commits
        # Whoever could only write the run, or only the tick, would be seen here.
        app.engine.store.change_schedule = None
        await town.until("2026-11-21T12:01:30Z")
        assert app.engine.store.stats.commits - before <= 3
        assert len(await town.runs(app)) == len(await app.schedules.ticks("minutely")) == 1


@virtually()
async def test_a_pause_drops_the_tick_that_waits(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, LONG)
        await app.schedules.create(MINUTELY | {"workflow": "long", "overlap": "buffer_one"})
        await town.until("2026-11-21T12:02:30Z")
        assert (await app.schedules.pause("minutely")).held_at is None
        await town.until("2026-11-21T12:10:00Z")
        assert len(await town.runs(app)) == 1


@virtually()
async def test_a_run_that_cannot_start_is_a_failed_tick_and_no_more(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK)
        wanted = "name: quick\ninputs: {day: {type: string}}\ntasks: [{name: a}]"
        await app.schedules.create(MINUTELY)
        await app.workflows.publish(town.workflow(wanted))
        await town.until("2026-11-21T12:02:30Z")
        now = await app.schedules.get("minutely")
        assert (now.starts, now.failures, now.status) == (0, 2, "active")
        assert "day" in now.error
        assert (await app.schedules.health()).failing == 1
        await app.workflows.activate("quick", "1")
        await town.until("2026-11-21T12:03:30Z")
        now = await app.schedules.get("minutely")
        assert (now.starts, now.failures, now.error) == (1, 0, "")
        assert [row.labels["schedule_time"][11:16] for row in await town.runs(app)] == ["12:03"]


@virtually()
async def test_a_failed_start_does_not_use_up_the_last_run(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK)
        await app.schedules.create(MINUTELY | {"runs_max": 1})
        await app.workflows.publish(
            town.workflow("name: quick\ninputs: {day: {type: string}}\ntasks: [{name: a}]")
        )
        await town.until("2026-11-21T12:01:30Z")
        assert (await app.schedules.get("minutely")).status == "active"
        await app.workflows.activate("quick", "1")
        await town.until("2026-11-21T12:05:30Z")
        now = await app.schedules.get("minutely")
        assert (now.status, now.starts, now.next_at) == ("ended", 1, None)
        assert (await app.schedules.update("minutely", now.spec)).status == "ended"
        await town.until("2026-11-21T12:08:30Z")
        assert len(await town.runs(app)) == 1
        more = now.spec | {"runs_max": 2}
        assert (await app.schedules.update("minutely", more)).status == "active"
        await town.until("2026-11-21T12:15:30Z")
        assert len(await town.runs(app)) == 2


@virtually()
async def test_the_input_knows_the_tick(town):
    text = "name: quick\ninputs: {day: {type: string}, n: {type: integer, default: 3}}\n"
    text += "tasks: [{name: a}]"
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, text)
        document = MINUTELY | {
            "input": {"day": "${{ schedule.date }}/${{ schedule.local_time }}"},
            "timezone": "Asia/Tokyo",
        }
        await app.schedules.create(document)
        await town.until("2026-11-21T15:00:30Z")
        last = (await town.runs(app))[-1]
        assert app.engine.payloads.decode(last.input) == {
            "day": "2026-11-22/2026-11-22T00:00:00+09:00",
            "n": 3,
        }


@virtually("2026-03-29T00:30:00+00:00")
async def test_a_nightly_run_happens_once_in_the_night_that_lacks_its_hour(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK)
        nightly = MINUTELY | {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}
        await app.schedules.create(nightly)
        await app.schedules.create(nightly | {"name": "strict", "on_gap": "skip"})
        await town.until("2026-03-29T02:00:00Z")
        started = [(row.labels["schedule"], nominal(row)) for row in await town.runs(app)]
        assert started == [("minutely", "01:00")]
        strict = await app.schedules.get("strict")
        assert strict.next_at == "2026-03-30T00:30:00.000000Z"


@virtually("2026-10-25T00:00:00+00:00")
async def test_a_nightly_run_happens_once_in_the_night_that_has_its_hour_twice(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK)
        nightly = MINUTELY | {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}
        for fold in ("first", "second", "both"):
            await app.schedules.create(nightly | {"name": fold, "on_fold": fold})
        await town.until("2026-10-25T02:00:00Z")
        started = [(row.labels["schedule"], nominal(row)) for row in await town.runs(app)]
        assert sorted(started) == [
            ("both", "00:30"), ("both", "01:30"), ("first", "00:30"), ("second", "01:30"),
        ]  # fmt: skip


@virtually()
async def test_jitter_spreads_schedules_and_keeps_their_order(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK)
        await opened(stack, town)
        for number in range(8):
            await app.schedules.create(MINUTELY | {"name": f"s{number}", "jitter": "30s"})
        await town.until("2026-11-21T12:03:00Z")
        runs = await town.runs(app)
        assert len(runs) == 16
        late = {row.created_us - us(row.labels["schedule_time"]) for row in runs}
        assert len({each // 1_000_000 for each in late}) > 6
        assert all(0 <= each <= 30_100_000 for each in late)


@virtually()
async def test_a_schedule_ends_with_its_last_moment(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK)
        moments = ["2026-11-21T12:01", "2026-11-21T13:02:00+01:00"]
        await app.schedules.create({"name": "once", "workflow": "quick", "at": moments})
        await town.until("2026-11-21T12:05:00Z")
        assert [nominal(row) for row in await town.runs(app)] == ["12:01", "12:02"]
        now = await app.schedules.get("once")
        assert (now.status, now.next_at) == ("ended", None)
        with pytest.raises(ConflictError, match="ended") as caught:
            await app.schedules.resume("once")
        assert caught.value.code == "PDM-C063"


@virtually()
async def test_a_held_tick_starts_although_the_schedule_has_ended(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, LONG)
        moments = ["2026-11-21T12:01", "2026-11-21T12:02"]
        await app.schedules.create(
            {"name": "two", "workflow": "long", "at": moments, "overlap": "buffer_one"}
        )
        await town.until("2026-11-21T12:05:00Z")
        assert [nominal(row) for row in await town.runs(app)] == ["12:01", "12:02"]
        assert (await app.schedules.get("two")).status == "ended"


@virtually()
async def test_an_update_counts_from_now(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK)
        made = await app.schedules.create(MINUTELY)
        await town.until("2026-11-21T12:02:30Z")
        now = await app.schedules.update("minutely", {"workflow": "quick", "cron": "0 * * * *"})
        assert now.next_at == "2026-11-21T13:00:00.000000Z"
        with pytest.raises(ConflictError, match="at the same moment"):
            await app.schedules.update("minutely", MINUTELY, revision=made.revision)
        with pytest.raises(RequestError, match="cannot be renamed"):
            await app.schedules.update("minutely", MINUTELY | {"name": "other"})


@virtually()
async def test_a_removed_schedule_starts_nothing_and_its_name_is_free(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK)
        made = await app.schedules.create(MINUTELY)
        with pytest.raises(ConflictError, match="already"):
            await app.schedules.create(MINUTELY)
        await town.until("2026-11-21T12:01:30Z")
        await app.schedules.remove("minutely")
        with pytest.raises(NotFoundError):
            await app.schedules.get("minutely")
        await town.until("2026-11-21T12:03:30Z")
        assert len(await town.runs(app)) == 1
        again = await app.schedules.create(MINUTELY)
        assert again.schedule_id != made.schedule_id
        await town.until("2026-11-21T12:04:30Z")
        assert len(await town.runs(app)) == 2


@virtually()
async def test_a_triggered_run_obeys_the_overlap_policy(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, LONG)
        hourly = MINUTELY | {"workflow": "long", "cron": "0 * * * *", "paused": True}
        await app.schedules.create(hourly)
        run = await app.schedules.trigger("minutely", idempotency_key="k1")
        assert run is not None
        again = await app.schedules.trigger("minutely", idempotency_key="k1")
        assert again is not None
        assert again.run_no == run.run_no
        with pytest.raises(ConflictError, match="has a run open") as caught:
            await app.schedules.trigger("minutely")
        assert caught.value.code == "PDM-C062"
        other = await app.schedules.trigger("minutely", overlap=Overlap.ALLOW)
        assert other is not None
        assert await app.schedules.trigger("minutely", overlap=Overlap.BUFFER_ONE) is None
        await passing(400)
        assert len(await town.runs(app)) == 3
        kinds = [tick.kind for tick in await app.schedules.ticks("minutely")]
        assert kinds.count("manual") == 2


@virtually()
async def test_a_backfill_starts_what_has_no_run_and_nothing_twice(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK)
        await app.schedules.create(MINUTELY)
        await town.until("2026-11-21T12:03:30Z")
        span = {"start": "2026-11-21T11:58", "end": "2026-11-21T12:02"}
        shown = await app.schedules.backfill("minutely", **span, dry_run=True)
        assert [tick.run_id is not None for tick in shown] == [False, False, False, True, True]
        assert len(await town.runs(app)) == 3
        done = await app.schedules.backfill("minutely", **span)
        assert [tick.kind for tick in done] == ["backfill"] * 3 + ["timed"] * 2
        again = await app.schedules.backfill("minutely", **span)
        assert [tick.run_id for tick in again] == [tick.run_id for tick in done]
        assert len(await town.runs(app)) == 6
        assert (await app.schedules.get("minutely")).next_at == "2026-11-21T12:04:00.000000Z"
        for start, end in (("2026-11-21T12:00", "2026-11-21T13:00"), ("x", "2026-11-21"),
                           ("2026-10-01", "2026-11-01")):  # fmt: skip
            with pytest.raises(RequestError) as caught:
                await app.schedules.backfill("minutely", start=start, end=end)
            assert caught.value.code == "PDM-R181"


@virtually()
async def test_a_backfill_beside_the_scheduler_starts_each_tick_once(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK, schedules=False)
        await app.schedules.create(MINUTELY | {"overlap": "allow"})
        await town.until("2026-11-21T12:10:30Z")
        await opened(stack, town)
        await app.schedules.backfill("minutely", start="2026-11-21T12:00", end="2026-11-21T12:10")
        await passing(5)
        runs = await town.runs(app)
        assert sorted(nominal(row) for row in runs) == [f"12:{m:02}" for m in range(11)]


@virtually()
async def test_an_organization_sees_its_own_schedules_only(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK)
        acme, other = app.on_behalf_of("acme"), app.on_behalf_of("other")
        await acme.workflows.publish(town.workflow(QUICK))
        made = await acme.schedules.create(MINUTELY)
        with pytest.raises(NotFoundError) as unknown:
            await other.schedules.get("sch_0000000z")
        for name in ("minutely", made.schedule_id):
            for verb in ("get", "pause", "resume", "trigger", "remove", "ticks"):
                with pytest.raises(NotFoundError) as caught:
                    await getattr(other.schedules, verb)(name)
                assert str(caught.value) == str(unknown.value).replace("sch_0000000z", name)
        assert not await other.schedules.list()
        await town.until("2026-11-21T12:01:30Z")
        assert [row.organization for row in await town.runs(app)] == ["acme"]


@virtually()
async def test_a_schedule_that_cannot_work_is_refused_when_it_is_made(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK)
        with pytest.raises(NotFoundError):
            await app.schedules.create(MINUTELY | {"workflow": "quack"})
        with pytest.raises(DefinitionError):
            await app.schedules.create(MINUTELY | {"cron": "61 * * * *"})
        assert not await app.schedules.list()


@virtually()
async def test_one_broken_schedule_does_not_stop_the_others(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK)
        await app.schedules.create(MINUTELY | {"name": "broken"})
        await app.schedules.create(MINUTELY)
        rows = town.database.schedules.rows
        table = rows[1].schedule.timetable
        gone = replace(table, timezone="Europe/Atlantis")
        rows[1] = replace(rows[1], schedule=replace(rows[1].schedule, timetable=gone))
        await town.until("2026-11-21T12:01:30Z")
        assert [row.labels["schedule"] for row in await town.runs(app)] == ["minutely"]
        broken = await app.schedules.get("broken")
        assert (broken.status, broken.failures) == ("active", 1)
        assert "Europe/Atlantis" in broken.error
        looks = app.engine.store.stats.reads
        await passing(61)
        assert app.engine.store.stats.reads - looks < 1000
        assert (await app.schedules.get("broken")).failures in {2, 3}
        assert (await app.schedules.pause("broken")).status == "paused"


@virtually()
async def test_a_node_that_drains_takes_no_ticks(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK)
        await app.schedules.create(MINUTELY)
        await app.engine.drain(1.0)
        await town.until("2026-11-21T12:02:30Z")
        assert not await town.runs(app)
        health = await app.schedules.health()
        assert (health.state, health.runs_here) == ("down", False)


@virtually()
async def test_health_tells_whether_ticks_are_taken(town):
    async with AsyncExitStack() as stack:
        app = await opened(stack, town, QUICK)
        assert (await app.schedules.health()).state == "ok"
        await app.schedules.create(MINUTELY)
        await town.until("2026-11-21T12:05:30Z")
        health = await app.schedules.health()
        assert (health.state, health.active, health.runs_here) == ("ok", 1, True)
        assert health.next_at == "2026-11-21T12:06:00.000000Z"
