"""Sizes that must not hurt: long chains, wide maps, deep retries."""

import sys

from driven import Driven, block, task, workflow

from podium.core import messages as m
from podium.core.definition import RetryPolicy
from podium.core.retry import delay_before_us


def test_a_chain_of_10_000_tasks_needs_no_stack():
    tasks = [task(f"t{n}", "noop", needs=f"t{n - 1}" if n else "") for n in range(10_000)]
    limit = sys.getrecursionlimit()
    assert limit < 10_000
    run = Driven(workflow(*tasks))
    assert run.run_status == "completed"


def test_a_failure_at_the_head_of_a_chain_of_10_000_skips_them_all():
    tasks = [task(f"t{n}", needs=f"t{n - 1}" if n else "") for n in range(10_000)]
    run = Driven(workflow(*tasks))
    run.fail("t0")
    assert run.run_status == "failed"
    assert run.status("t9999") == "skipped"


def test_a_map_of_100_000_items_keeps_only_its_window_in_memory():
    run = Driven(workflow(task("m", for_each="${{ inputs }}")), value=list(range(100_000)))
    most = 0
    while run.live:
        for path in list(run.live.values()):
            run.end(path)
        most = max(most, len(run.state.steps))
    assert run.run_status == "completed"
    assert most <= 1_002
    assert run.facts.items == {}
    assert len(run.state.queue) + len(run.state.timers) == 0


def test_a_map_of_blocks_forgets_the_items_of_its_inner_maps():
    inner = task("i", for_each=[1, 2])
    run = Driven(workflow(block("m", inner, for_each=list(range(500)), max_parallel=2)))
    run.end_all()
    assert run.facts.items == {}
    assert len(run.state.steps) == 2


def test_opening_a_wide_map_is_spread_over_turns():
    run = Driven(workflow(task("m", "noop", for_each="${{ inputs }}")), value=list(range(5_000)))
    assert run.run_status == "completed"
    assert len(run.bodies) > 3


def test_cancelling_a_wide_map_closes_all_of_it():
    run = Driven(workflow(task("m", for_each=list(range(900)))))
    run.tell(m.Cancel())
    run.end_all()
    assert run.run_status == "cancelled"
    run.check()


def test_the_ten_thousandth_retry_is_still_within_the_policy():
    policy = RetryPolicy(max_retries=10_000, delay_max_us=60_000_000)
    assert 0 <= delay_before_us(10_000, policy=policy, dice=0.999) <= 60_000_000
