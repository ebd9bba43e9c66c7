"""Operation: captured lines in order, open runs counted, old runs taken away whole."""

from podium.core.states import RunStatus
from podium.ports.operation import LogRow, OpenCount
from podium.ports.store import RunFilter
from podium.testing.conformance.desk import (
    Behaviours,
    Desk,
    World,
    approval,
    message,
    numbers,
    step,
)

__all__ = ["BEHAVIOURS"]

BEHAVIOURS = behaviour = Behaviours()

LATER_US = 1 << 60


def line(run_no: int, text: str, *, step: str = "a", at_us: int = 1) -> LogRow:
    """Return a line to keep."""
    return LogRow(
        run_no=run_no,
        step=step,
        attempt=1,
        at_us=at_us,
        level="info",
        source="app",
        text=text,
    )


async def _texts(desk: Desk, run_no: int, **where: str | int) -> list[str]:
    found = await desk.store.logs(run_no, **where)  # type: ignore[arg-type]
    return [each.text for each in found]


@behaviour
async def lines_come_in_the_order_in_which_they_were_kept(world: World) -> None:
    """Also those of one moment: time alone would mix them."""
    desk = await world.desk()
    await desk.store.write_logs([line(1, "one"), line(2, "other"), line(1, "two")])
    await desk.store.write_logs([line(1, "three", step="b")])
    assert await _texts(desk, 1) == ["one", "two", "three"]
    assert await _texts(desk, 1, step="b") == ["three"]
    assert await _texts(desk, 1, limit=1) == ["one"]
    assert await _texts(desk, 3) == []


@behaviour
async def lines_are_read_after_a_number(world: World) -> None:
    """A reader that follows asks for what came after the last line it saw."""
    desk = await world.desk()
    await desk.store.write_logs([line(1, text) for text in "abc"])
    first, second, _ = await desk.store.logs(1)
    assert first.number < second.number
    assert await _texts(desk, 1, after=second.number) == ["c"]


@behaviour
async def old_lines_are_forgotten_oldest_first(world: World) -> None:
    """A few at a time, so that nobody waits for it."""
    desk = await world.desk()
    await desk.store.write_logs([line(1, str(at), at_us=at) for at in (3, 1, 2, 9)])
    assert await desk.store.prune_logs(before_us=4, limit=2) == 2
    assert await _texts(desk, 1) == ["3", "9"]
    assert await desk.store.prune_logs(before_us=4, limit=2) == 1
    assert await desk.store.prune_logs(before_us=4, limit=2) == 0


@behaviour
async def open_runs_are_counted(world: World) -> None:
    """By organization, workflow and status; closed runs are no load."""
    desk = await world.desk()
    for organization in ("x", "x", "y"):
        await desk.start(workflow="w", organization=organization)
    waiting = await desk.start(workflow="v", organization="x", status=RunStatus.WAITING)
    await desk.end(await desk.start(organization="x"))
    found = await desk.store.open_counts("x")
    assert {(each.workflow, each.status): each.count for each in found} == {
        ("w", RunStatus.RUNNING): 2,
        ("v", RunStatus.WAITING): 1,
    }
    assert len(await desk.store.open_counts()) == 3
    await desk.end(waiting)
    expected = OpenCount(organization="x", workflow="w", status=RunStatus.RUNNING, count=2)
    assert list(await desk.store.open_counts("x")) == [expected]


@behaviour
async def a_list_with_a_filter_goes_on_where_it_stopped(world: World) -> None:
    """Whatever leads to the runs, pages fit together."""
    desk = await world.desk()
    wanted = [await desk.start(workflow="w", labels={"k": "v"}, created_us=t) for t in (5, 7, 7)]
    await desk.start(workflow="other", created_us=6)
    for where in (
        RunFilter(workflow="w"),
        RunFilter(label=("k", "v")),
        RunFilter(workflow="w", statuses=(RunStatus.RUNNING, RunStatus.FAILED)),
        RunFilter(label=("k", "v"), created_after_us=4),
    ):
        first = await desk.store.runs(where, limit=2)
        assert numbers(first) == [wanted[2], wanted[1]]
        rest = await desk.store.runs(where, limit=2, before=first[-1].run_no)
        assert numbers(rest) == [wanted[0]]


@behaviour
async def the_newest_run_is_the_one_created_last(world: World) -> None:
    """Numbers are given out in blocks: a higher one may be older."""
    desk = await world.desk()
    late = await desk.start(created_us=20)
    early = await desk.start(created_us=10)
    assert numbers(await desk.store.runs(RunFilter(), limit=9)) == [late, early]
    assert numbers(await desk.store.runs(RunFilter(), limit=9, before=late)) == [early]


@behaviour
async def old_closed_runs_are_found(world: World) -> None:
    """By a time for each status; open ones never, and none whose parent is open."""
    desk = await world.desk()
    runs = [await desk.start(created_us=at) for at in (1, 2, 3, 4)]
    child = await desk.start(created_us=1, parent_run=runs[3], parent_step=1)
    for run_no in (runs[0], runs[2], child):
        await desk.end(run_no)
    past = {int(RunStatus.COMPLETED): LATER_US}
    assert list(await desk.store.runs_past(past, limit=9)) == [runs[0], runs[2]]
    assert list(await desk.store.runs_past(past, limit=1)) == [runs[0]]
    assert list(await desk.store.runs_past({int(RunStatus.FAILED): LATER_US}, limit=9)) == []
    assert list(await desk.store.runs_past({int(RunStatus.COMPLETED): 3}, limit=9)) == []


@behaviour
async def a_forgotten_run_is_gone_for_every_reader(world: World) -> None:
    """At once: what is left of it is nobody's business."""
    desk = await world.desk()
    run_no = await desk.start(labels={"k": "v"}, idempotency_key="key")
    await desk.advance(run_no, steps=[step(run_no, 1)], approvals=[approval(run_no, 1)])
    await desk.store.write_logs([line(run_no, "text")])
    await desk.end(run_no)
    await desk.store.post([message(run_no, "late")])
    kept = await desk.start()
    await desk.end(kept)
    assert list(await desk.store.forget_runs([run_no, run_no])) == [run_no]
    assert await desk.store.run(run_no) is None
    assert await desk.store.run_by_key("acme", "key") is None
    assert numbers(await desk.store.runs(RunFilter(), limit=9)) == [kept]
    assert list(await desk.store.runs(RunFilter(label=("k", "v")), limit=9)) == []
    while await desk.store.sweep_forgotten(limit=1):
        """Row by row, as it must be possible to stop anywhere."""
    assert [*await desk.store.steps(run_no), *await desk.store.events(run_no)] == []
    assert [*await desk.store.logs(run_no), *await desk.store.approvals(pending=False)] == []
    assert [*await desk.store.load([run_no]), *await desk.store.mail([run_no])] == []
    assert len(await desk.store.load([kept])) == 1


@behaviour
async def an_open_run_is_not_forgotten(world: World) -> None:
    """Whoever chose it may have looked at an old list."""
    desk = await world.desk()
    run_no = await desk.start()
    assert list(await desk.store.forget_runs([run_no, 99])) == []
    assert await desk.store.run(run_no) is not None
