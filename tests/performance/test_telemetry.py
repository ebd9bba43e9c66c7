"""What being watched costs: a few microseconds of processor time for a step, and nothing stored."""

import time

from tests.performance.test_gates import LOOP_S, loop_s, on_a_loop, opened, run_many

from podium.bench.bodies import STEPS_PER_RUN
from podium.runtime.telemetry import Telemetry

RUNS = 100
ROUNDS = 10


@on_a_loop
async def test_a_step_costs_at_most_6_us_to_count(tmp_path):
    seen = []
    async with opened(tmp_path) as app:
        app.engine.observe(lambda write, turn: seen.append((write, turn)))
        await run_many(app, RUNS)
    best = float("inf")
    for _ in range(ROUNDS):
        told, before = Telemetry(), loop_s()
        begun = time.process_time()
        for write, turn in seen:
            told.note(write, turn)
        used = time.process_time() - begun
        slow = max(LOOP_S, (before + loop_s()) / 2)
        best = min(best, used / (RUNS * STEPS_PER_RUN) * 1e6 * LOOP_S / slow)
    assert told.tasks["success"] == RUNS * STEPS_PER_RUN
    assert best <= 6


@on_a_loop
async def test_watching_writes_and_reads_nothing(tmp_path):
    async with opened(tmp_path) as app:
        app.engine.observe(Telemetry().note)
        reads = []
        # The sweep looks for dead nodes once a second: it misses one of these rounds.
        for _ in range(4):
            before, rows = app.engine.store.stats.reads, app.engine.store.stats.rows
            await run_many(app, 20)
            reads.append(app.engine.store.stats.reads - before)
            watched = app.engine.store.stats.rows - rows
        app.engine.observe(lambda write, turn: None)
        rows = app.engine.store.stats.rows
        await run_many(app, 20)
        assert watched == app.engine.store.stats.rows - rows
        assert min(reads) == 0
