"""What the simulation has found, one behaviour each: these must never come back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import podium
from podium.adapters.memory.faults import Fault, FaultKind
from podium.authoring.client import RunHandle
from podium.core.messages import Signal
from podium.core.payload import pack_value
from podium.core.states import RunStatus
from podium.ports.store import NodeState, RunWrite
from podium.testing.simulation.processes import OPTIONS, Process, SimulationLoop
from podium.testing.simulation.world import World

calls: list[str] = []


class Town:
    """Processes on one database; the store is slow on demand and never fails."""

    def __init__(self, loop: SimulationLoop) -> None:
        self.world = World(0, loop)
        self.world.is_calm = True
        self.database = self.world.database

    async def process(self) -> Process:
        process = Process(self.world, f"p{len(self.world.processes)}", remember={})
        process.start()
        await process.call(lambda p: p.engine.started())
        return process

    def crash_after(self, process: Process, is_it: Callable[[RunWrite], bool]) -> None:
        """Let `process` die right after the commit of such a write, before it can act on it."""
        note = self.world.note

        def watch(*what: Any) -> None:
            note(*what)
            if what[0] == "tick" and process.runs and is_it(what[1]):
                process.crash(is_noticed=True)

        self.world.note = watch  # type: ignore[method-assign]


def play(scenario: Callable[[Town], Awaitable[None]]) -> None:
    calls.clear()
    with asyncio.Runner(loop_factory=SimulationLoop) as runner:
        loop: Any = runner.get_loop()
        town = Town(loop)
        try:
            runner.run(asyncio.wait_for(scenario(town), 600))  # type: ignore[arg-type]
        finally:
            for process in town.world.processes:
                process.bury()
            loop.end()
    assert not town.world.history.violations


async def start(process: Process, workflow: Any, **options: Any) -> RunHandle:
    return await process.call(lambda p: p.app.start(workflow, **options))


async def result(process: Process, handle: RunHandle) -> Any:
    return await process.call(lambda p: p.app.run(handle.id).result())


@podium.task(max_retries=3, retry_delay=0.1)
async def work(name: str, seconds: float = 0.0) -> str:
    calls.append(name)
    await asyncio.get_running_loop().create_task(pause(seconds))
    return name


async def pause(seconds: float) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    await over.wait()


@podium.workflow
async def looks_at_the_clock() -> bool:
    return (await podium.now()).year > 2000


@podium.workflow
async def waits() -> list[Any]:
    return [await podium.wait_signal("go"), await podium.wait_signal("stop")]


@podium.workflow
async def naps() -> str:
    await podium.sleep(1)
    return "rested"


@podium.workflow
async def works(name: str, seconds: float = 0.0) -> str:
    return await work(name, seconds)


@podium.workflow
async def has_a_child() -> str:
    return await podium.child(works, {"name": "child"})


@podium.workflow
async def lives_twice(life: int) -> int:
    await work("life")
    if life == 1:
        podium.continue_as_new({"life": 2})
    return life


@podium.task(max_retries=0)
async def fails_once(name: str) -> str:
    calls.append(name)
    if calls.count(name) == 1:
        raise ValueError(name)
    return name


@podium.workflow
async def tries_again() -> str:
    return await fails_once.options(retry_delay=1, max_retries=3)("again")


@podium.task(max_retries=0)
async def fails_late_once(name: str) -> str:
    await pause(0.7)
    return await fails_once.function(name)


@podium.workflow
async def fails_and_is_retried() -> str:
    return await fails_late_once("again")


async def afterwards() -> str:
    await podium.sleep(1)
    return await fails_once("late")


@podium.task
async def slowly(name: str) -> str:
    await pause(0.7)
    return name


@podium.workflow
async def maps_beside_a_failure() -> list[Any]:
    return await podium.gather(podium.map(slowly, ["a", "b", "c"], max_parallel=1), afterwards())


def test_a_function_may_begin_with_a_recorded_value() -> None:
    async def scenario(town: Town) -> None:
        process = await town.process()
        assert await result(process, await start(process, looks_at_the_clock)) is True

    play(scenario)


def test_a_message_that_comes_again_is_not_read_again() -> None:
    async def scenario(town: Town) -> None:
        process = await town.process()
        handle = await start(process, waits)
        mail = Signal(name="go", payload=pack_value(1))

        async def send_to_resident(p: Process) -> None:
            await p.engine.adopt(handle.run_no)
            await p.engine.send(handle.run_no, mail, "once")

        await process.call(send_to_resident)
        await pause(3)
        await process.call(send_to_resident)
        await process.call(lambda p: p.app.run(handle.id).signal("stop", 2))
        assert await result(process, handle) == [1, 2]
        assert "\n".join(town.world.trace()).count("SignalReceived") == 2

    play(scenario)


def test_a_child_that_a_crash_kept_from_starting_is_started_by_the_next_home() -> None:
    async def scenario(town: Town) -> None:
        first, second = await town.process(), await town.process()
        await second.call(lambda p: p.engine.registry.publish(works.definition))
        town.crash_after(first, lambda write: write.create)
        for process in (first, second):
            process.engine.registry.remember(works.definition.entrypoint, works.function)
            process.engine.registry.remember(
                has_a_child.definition.entrypoint, has_a_child.function
            )
        task = asyncio.gather(
            start(first, has_a_child, idempotency_key="one"), return_exceptions=True
        )
        await task
        assert (
            await result(second, await start(second, has_a_child, idempotency_key="one")) == "child"
        )

    play(scenario)


def test_a_next_life_that_a_crash_kept_from_starting_is_started_by_others() -> None:
    async def scenario(town: Town) -> None:
        first, second = await town.process(), await town.process()
        second.engine.registry.remember(lives_twice.definition.entrypoint, lives_twice.function)
        handle = await start(first, lives_twice, input={"life": 1})
        town.crash_after(first, lambda write: bool(write.posts))
        await pause(10)
        rows = list(town.database.runs.values())
        assert [row.reason for row in rows] == ["continued_as_new", ""]
        assert await result(second, handle) == 2

    play(scenario)


def test_a_caller_who_gives_up_does_not_stop_the_node() -> None:
    async def scenario(town: Town) -> None:
        process = await town.process()

        async def impatient(p: Process) -> None:
            async with asyncio.timeout(0.0001):
                await p.app.start(works, input={"name": "given up"})

        await asyncio.gather(process.call(impatient), return_exceptions=True)
        town.world.history.violations.clear()
        handle = await start(process, works, input={"name": "next"})
        assert await result(process, handle) == "next"

    play(scenario)


def test_a_sender_who_gives_up_leaves_no_run_without_a_driver() -> None:
    async def scenario(town: Town) -> None:
        process = await town.process()
        handle = await start(process, waits)
        await pause(5)

        async def impatient(p: Process) -> None:
            async with asyncio.timeout(0.1):
                await p.app.run(handle.id).signal("go", 1)

        process.arranged["adopt"] = Fault(answer_s=0.2)
        await asyncio.gather(process.call(impatient), return_exceptions=True)
        town.world.history.violations.clear()
        await process.call(lambda p: p.app.run(handle.id).signal("stop", 2))
        assert await result(process, handle) == [1, 2]

    play(scenario)


def test_an_adoption_whose_answer_was_lost_is_repeated_by_the_next_message() -> None:
    async def scenario(town: Town) -> None:
        process = await town.process()
        handle = await start(process, waits)
        await pause(5)
        process.arranged["adopt"] = Fault(kind=FaultKind.AFTER)
        with pytest.raises(podium.PodiumError):
            await process.call(lambda p: p.app.run(handle.id).signal("go", 1))
        await process.call(lambda p: p.app.run(handle.id).signal("stop", 2))
        assert await result(process, handle) == [1, 2]

    play(scenario)


def test_an_idle_node_notices_that_it_was_declared_dead() -> None:
    async def scenario(town: Town) -> None:
        process = await town.process()
        handle = await start(process, waits)
        await pause(5)
        abandon(town, process)
        await process.call(lambda p: p.app.run(handle.id).signal("go", 1))
        await process.call(lambda p: p.app.run(handle.id).signal("stop", 2))
        assert await result(process, handle) == [1, 2]

    play(scenario)


def abandon(town: Town, process: Process) -> None:
    assert process.engine.node is not None
    now_us = town.world.now_us()
    town.database.abandon(process.engine.node, state=NodeState.DEAD, recoveries=1, now_us=now_us)


def test_a_start_survives_that_its_node_is_declared_dead() -> None:
    async def scenario(town: Town) -> None:
        process = await town.process()
        await start(process, works, input={"name": "first"})
        abandon(town, process)
        handle = await start(process, works, input={"name": "second"})
        assert await result(process, handle) == "second"
        assert len(town.database.nodes) == 2

    play(scenario)


def test_a_run_that_is_taken_away_and_comes_back_is_decided_once() -> None:
    async def scenario(town: Town) -> None:
        process = await town.process()
        handle = await start(process, naps)
        process.pause()
        town.database.set_free(town.database.runs[handle.run_no])
        await pause(3)
        process.resume()
        assert await result(process, handle) == "rested"

    play(scenario)


def test_results_of_runs_that_were_aborted_meanwhile_free_their_places() -> None:
    async def scenario(town: Town) -> None:
        process = await town.process()
        for number in range(2 * OPTIONS.capacity):
            name = {"name": str(number), "seconds": 0.0005}
            handle = await start(process, works, input=name)
            await asyncio.gather(
                process.call(lambda p, h=handle: p.app.run(h.id).abort()), return_exceptions=True
            )
        await pause(15)
        assert process.engine.free_places == OPTIONS.capacity

    play(scenario)


def test_a_map_that_a_failure_beside_it_cut_off_goes_on_after_a_retry() -> None:
    async def scenario(town: Town) -> None:
        process = await town.process()
        handle = await start(process, maps_beside_a_failure)
        row = await process.call(lambda p: p.app.run(handle.id).wait())
        assert row.status == RunStatus.FAILED
        await process.call(lambda p: p.app.run(handle.id).retry())
        assert await result(process, handle) == [["a", "b", "c"], "late"]

    play(scenario)


def test_a_closed_run_that_came_home_for_nothing_leaves_again() -> None:
    async def scenario(town: Town) -> None:
        process = await town.process()
        handle = await start(process, works, input={"name": "short"})
        await result(process, handle)
        await process.call(lambda p: p.engine.adopt(handle.run_no))
        await pause(1)
        assert process.engine.residents == 0

    play(scenario)


def test_an_attempt_that_is_cancelled_in_the_tick_that_starts_it_never_runs() -> None:
    async def scenario(town: Town) -> None:
        process = await town.process()
        handle = await start(process, tries_again)
        await pause(0.5)
        # While this tick is under way, the timer of the retry rings and the cancellation comes.
        process.arranged["submit"] = Fault(answer_s=2)
        async with asyncio.TaskGroup() as group:
            group.create_task(start(process, works, input={"name": "other"}))
            await pause(1.5)
            group.create_task(process.call(lambda p: p.app.run(handle.id).cancel()))
        async with asyncio.timeout(2):
            await process.call(lambda p: p.app.run(handle.id).wait())
        calls.remove("other")
        assert calls == ["again"]

    play(scenario)


def test_a_step_that_fails_and_is_retried_in_one_tick_keeps_its_new_attempt() -> None:
    async def scenario(town: Town) -> None:
        process = await town.process()
        handle = await start(process, fails_and_is_retried)
        await pause(0.5)
        # While this tick is under way, the step fails and somebody retries the run.
        process.arranged["submit"] = Fault(answer_s=2)
        async with asyncio.TaskGroup() as group:
            group.create_task(start(process, works, input={"name": "other"}))
            await pause(1.5)
            group.create_task(process.call(lambda p: p.app.run(handle.id).retry()))
        assert await result(process, handle) == "again"

    play(scenario)


def test_a_tick_whose_answer_was_lost_costs_no_attempt() -> None:
    async def scenario(town: Town) -> None:
        process = await town.process()
        process.arranged["submit"] = Fault(kind=FaultKind.AFTER)
        lost = await start(process, works, input={"name": "once"})
        assert await result(process, lost) == "once"
        view = await process.call(lambda p: p.app.run(lost.id).view())
        assert [step.attempts for step in view.steps if step.path == "work"] == [1]

    play(scenario)


def test_a_signal_that_a_clean_up_has_received_is_there_again_after_a_retry() -> None:
    async def scenario(town: Town) -> None:
        process = await town.process()
        graph = podium.Graph("cleans_up", output="clean")
        graph.add("work", fails_once, with_={"name": "work"})
        graph.add("go", "signal", with_={"name": "go"}, depends_on=["work"], join="all_done")
        graph.add("clean", with_="${{ tasks.go.output }}", depends_on=["go"])
        handle = await start(process, graph)
        await process.call(lambda p: p.app.run(handle.id).signal("go", {"sent": "once"}))
        with pytest.raises(podium.PodiumError):
            await result(process, handle)
        await process.call(lambda p: p.app.run(handle.id).retry())
        assert await result(process, handle) == {"sent": "once"}

    play(scenario)
