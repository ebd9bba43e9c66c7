"""A verb on many runs: rehearsed first, and one that refuses stops no other."""

import bodies
import pytest
from waiting import dag, status

import podium
from podium.core.states import RunStatus
from podium.ports.store import RunFilter

WAITS = "name: NAME\ntasks: [{name: s, uses: signal, with: {name: go}}]"


async def waiting(app, name="waits", **options):
    handle = await app.start(dag(WAITS.replace("NAME", name)), **options)
    await status(handle, "waiting")
    return handle


async def test_a_rehearsal_says_what_would_happen_and_changes_nothing(app):
    handles = [await waiting(app) for _ in range(3)]
    found = await app.bulk("cancel", RunFilter(workflow="waits"), dry_run=True)
    assert (found.matched, found.applied, found.refused, found.dry_run) == (3, 3, 0, True)
    assert {item.run_id for item in found.items} == {handle.id for handle in handles}
    assert {await handle.status() for handle in handles} == {RunStatus.WAITING}


async def test_a_verb_reaches_the_runs_of_the_filter_and_no_others(app):
    ours = await waiting(app, labels={"team": "a"})
    theirs = await waiting(app, labels={"team": "b"})
    found = await app.bulk("abort", RunFilter(label=("team", "a")), by="op", reason="tidy")
    assert [item.run_id for item in found.items] == [ours.id]
    assert (await ours.status(), await theirs.status()) == (RunStatus.ABORTED, RunStatus.WAITING)
    assert (await ours.row()).reason == "tidy"


async def test_one_that_refuses_stops_no_other_and_says_why(app):
    open_one = await waiting(app)
    closed = await waiting(app)
    await closed.cancel()
    found = await app.bulk("pause", RunFilter(workflow="waits"))
    by_run = {item.run_id: item for item in found.items}
    assert (found.applied, found.refused) == (1, 1)
    assert (by_run[closed.id].code, by_run[closed.id].status) == ("wrong_state", "cancelled")
    assert by_run[open_one.id].status == "paused"


async def test_the_rehearsal_foretells_who_will_refuse(app):
    await waiting(app)
    closed = await waiting(app)
    await closed.cancel()
    where = RunFilter(workflow="waits")
    rehearsed = await app.bulk("pause", where, dry_run=True)
    done = await app.bulk("pause", where)
    assert [(i.run_id, i.applied, i.code) for i in rehearsed.items] == [
        (i.run_id, i.applied, i.code) for i in done.items
    ]


async def test_what_failed_is_retried_together(app):
    text = "{name: a, max_retries: 0, uses: fn:fail_on, with: {value: 7, bad: 7}}"
    handles = [await app.start(dag(f"name: frail\ntasks: [{text}]")) for _ in range(3)]
    for handle in handles:
        await handle.wait()
    bodies.mend()
    found = await app.bulk("retry", RunFilter(statuses=(RunStatus.FAILED,)))
    assert found.applied == 3
    assert [await handle.result() for handle in handles] == [7, 7, 7]


async def test_a_limit_takes_the_newest(app):
    handles = [await waiting(app) for _ in range(3)]
    found = await app.bulk("cancel", RunFilter(workflow="waits"), limit=2)
    assert [item.run_id for item in found.items] == [handles[2].id, handles[1].id]


async def test_a_caller_reaches_the_runs_of_its_organization_only(app):
    ours = await waiting(app)
    found = await app.on_behalf_of("rivals").bulk("cancel", RunFilter(workflow="waits"))
    assert (found.matched, await ours.status()) == (0, RunStatus.WAITING)


@pytest.mark.parametrize(
    ("verb", "where", "code"),
    [
        ("destroy", RunFilter(workflow="waits"), "PDM-R197"),
        ("__init__", RunFilter(workflow="waits"), "PDM-R197"),
        ("cancel", RunFilter(), "PDM-R068"),
        ("cancel", RunFilter(organization="default"), "PDM-R068"),
    ],
)
async def test_what_is_no_verb_or_no_filter_is_refused(app, verb, where, code):
    with pytest.raises(podium.RequestError) as caught:
        await app.bulk(verb, where)
    assert caught.value.code == code
