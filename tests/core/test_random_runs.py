"""Whatever happens to a run, in whatever order, the laws of the core hold."""

import random_runs
from driven import Driven
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LAWS = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@LAWS
@given(data=st.data())
def test_a_run_keeps_every_law_whatever_happens_to_it(data):
    room = data.draw(st.sampled_from([1, 2, 1000]))
    run = Driven(data.draw(random_runs.workflows()), value={"k": [1]}, room=room)
    run.check()
    for _ in range(data.draw(st.integers(0, 25))):
        random_runs.happen(run, data)
        run.check_shape()
        run.check_rest()
    run.check_fold()


@LAWS
@given(data=st.data())
def test_a_run_ends_once_everything_goes_well(data):
    room = data.draw(st.sampled_from([1, 2, 1000]))
    run = Driven(data.draw(random_runs.workflows()), value={"k": [1]}, room=room)
    for _ in range(data.draw(st.integers(0, 15))):
        random_runs.happen(run, data)
    random_runs.finish(run)
    run.check()
