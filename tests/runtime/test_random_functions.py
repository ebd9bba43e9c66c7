"""Random durable functions, cut off after a random commit: the result is that of a quiet run."""

import asyncio
import itertools
from contextlib import suppress

import flows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import podium

VALUES = st.integers(0, 9)
LEAVES = st.one_of(
    st.tuples(st.just("note"), VALUES),
    st.tuples(st.just("fail"), VALUES),
    st.tuples(st.just("sleep"), st.sampled_from([0, 0.01, 0.02])),
    st.tuples(st.just("map"), st.lists(VALUES, max_size=3)),
    st.tuples(st.just("limit"), VALUES),
    st.tuples(st.just("uuid"), VALUES),
)


def inner(program):
    programs = st.lists(program, min_size=1, max_size=3)
    names = st.sampled_from(["seq", "gather", "try"])
    return st.tuples(names, programs)


PROGRAMS = st.recursive(LEAVES, inner, max_leaves=10)


@podium.workflow
async def interpret(program: list) -> list:
    """Run a random program; its values say what it did."""
    return [await execute(program)]


async def execute(program):
    name, given = program
    if name == "seq":
        return [await execute(each) for each in given]
    if name == "gather":
        return await podium.gather(*(execute(each) for each in given))
    if name == "try":
        try:
            return [await execute(each) for each in given]
        except podium.TaskError:
            # Which branch of a gather fails first may differ; that one fails may not.
            return "failed"
    return await LEAF[name](given)


async def fail(value):
    await flows.breaks_at_once()


async def limit(value):
    await podium.wait_signal(f"s{value}", timeout=0.01)


async def some_id(value):
    return len(str(await podium.uuid()))


LEAF = {
    "note": flows.note,
    "fail": fail,
    "sleep": podium.sleep,
    "map": lambda values: podium.map(flows.note, values),
    "limit": limit,
    "uuid": some_id,
}


async def outcome(house, program, crashes):
    """Return how the program ends when its process is killed after each of these commits."""
    for commits in [*crashes, None]:
        async with house.app() as app:
            kill_after(house, app, commits)
            with suppress(TimeoutError):
                async with asyncio.timeout(2):
                    given = {"program": program}
                    run = await app.start(interpret, input=given, idempotency_key="one")
                    row = await run.wait()
                    return row.status, (await run.view()).output
    return None


def kill_after(house, app, commits):
    submit, count = app.engine.store.submit, itertools.count(1)

    def counted(batch, done):
        def landed(answer):
            done(answer)
            if next(count) == commits:
                house.crash(app)

        submit(batch, landed)

    app.engine.store.submit = counted


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(program=PROGRAMS, crashes=st.lists(st.integers(1, 6), max_size=4))
def test_a_function_ends_the_same_wherever_it_is_cut_off(memory_house, program, crashes):
    def run(cuts):
        house = memory_house()
        with asyncio.Runner(loop_factory=house.loop_factory) as runner:
            return runner.run(outcome(house, program, cuts))

    quiet = run([])
    assert quiet is not None
    assert run(crashes) == quiet
