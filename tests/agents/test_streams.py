"""Text of a model call while it is written, and what a reader sees who comes early, late, again."""

import asyncio

from scripted_agents import ScriptedGateway, staff
from test_loop import agent_run, risk
from waiting import moment

import podium
from podium.core.ids import run_id
from podium.ports.store import RunFilter
from podium.runtime.streams import Streams


class Slow(ScriptedGateway):
    """Writes a word, then waits until the test goes on."""

    def __init__(self, *lines):
        super().__init__(*lines)
        self.go_on = asyncio.Event()
        self.attempts_cut = 0

    async def stream(self, ask, *, purse, tell=None):
        at = 0
        async for piece in super().stream(ask, purse=purse):
            yield piece
            at += 1
            if at == 1:
                await self.go_on.wait()


async def child_id(app):
    while True:
        rows = await app.engine.store.runs(RunFilter(), limit=10)
        found = [row.run_no for row in rows if row.parent_run]
        if found:
            return run_id(found[0])
        await moment()


def listening(app, run):
    """Return what a reader was given so far, and what stops it."""
    chunks = []
    return chunks, app.engine.registry.services.streams.listen(run, chunks.append)


async def test_a_reader_gets_words_as_they_come_and_the_result_is_the_whole(app):
    gateway = Slow("one two three")
    staff(app, gateway)
    run = "run_00000002"
    early, _ = listening(app, run)
    handle = await app.start(risk())
    assert await child_id(app) == run
    while not early:
        await moment()
    late, stop = listening(app, run)
    assert "".join(chunk.text for chunk in late) == "one "
    gateway.go_on.set()
    assert (await handle.result())["result"] == "one two three"
    for chunks in (early, late):
        assert "".join(chunk.text for chunk in chunks).strip() == "one two three"
        assert chunks[-1].is_end
        assert [chunk.offset for chunk in chunks] == sorted(chunk.offset for chunk in chunks)
    stop()
    again, _ = listening(app, run)
    assert not again
    steps = {step.path: step for step in (await (await agent_run(app)).view()).steps}
    assert steps["turn[1]/model"].output["parts"][0]["text"] == "one two three"


async def test_without_readers_nothing_is_streamed(app):
    gateway = Slow("one two three")
    staff(app, gateway)
    assert (await (await app.start(risk())).result())["result"] == "one two three"


async def test_secrets_are_not_streamed(app):
    gateway = Slow("it is sk-very-secret-123 indeed")
    gateway.go_on.set()
    staff(app, gateway, secrets=("sk-very-secret-123",))
    chunks, _ = listening(app, "run_00000002")
    await (await app.start(risk())).result()
    text = "".join(chunk.text for chunk in chunks)
    assert "[secret]" in text
    assert "sk-very" not in text


def test_a_new_attempt_begins_anew():
    streams, chunks = Streams(), []
    streams.begin("r", "s", 1)
    streams.write("r", "s", "half")
    streams.end("r", "s")
    streams.begin("r", "s", 2)
    streams.write("r", "s", "whole")
    streams.listen("r", chunks.append)
    [chunk] = chunks
    assert (chunk.attempt, chunk.offset, chunk.text) == (2, 0, "whole")


def test_a_reader_that_stopped_hears_nothing():
    streams, chunks = Streams(), []
    stop = streams.listen("r", chunks.append)
    assert streams.has_readers("r")
    stop()
    stop()
    assert not streams.has_readers("r")
    streams.write("r", "s", "text")
    assert not chunks


async def test_a_handle_hears_what_the_agents_of_its_run_write(app):
    gateway = Slow("one two three")
    staff(app, gateway)
    handle = await app.start(risk())
    heard = []
    async for chunk in handle.stream():
        heard.append(chunk)
        gateway.go_on.set()
    assert {(chunk.run, chunk.step) for chunk in heard} == {("run_00000002", "turn[1]/model")}
    assert "".join(chunk.text for chunk in heard).strip() == "one two three"
    assert heard[-1].is_end


@podium.task
async def report(word):
    podium.stream(f"{word}: half; ")
    await asyncio.sleep(0)
    podium.stream("done")
    return word


@podium.task
def report_from_a_thread(word):
    podium.stream(word)
    return word


@podium.workflow
async def reporting(word):
    await podium.wait_signal("go")
    return await report(word) + await report_from_a_thread("thread")


async def test_tasks_show_text_before_they_have_a_result(app):
    other, mine = await app.start(reporting, input="other"), await app.start(reporting, input="a")
    heard = []

    async def listen():
        heard.extend([chunk async for chunk in mine.stream()])

    async with asyncio.TaskGroup() as group:
        group.create_task(listen())
        while not app.engine.registry.services.streams.has_readers(mine.id):
            await moment()
        await other.signal("go")
        await mine.signal("go")
    texts = {}
    for chunk in heard:
        assert chunk.run == mine.id
        texts[chunk.step] = texts.get(chunk.step, "") + chunk.text
    assert texts == {"report": "a: half; done", "report_from_a_thread": "thread"}
    assert [chunk.step for chunk in heard if chunk.is_end] == ["report", "report_from_a_thread"]
    await other.wait()


async def test_the_stream_of_a_run_that_has_ended_is_empty(app):
    handle = await app.start(reporting, input="a")
    await handle.signal("go")
    await handle.wait()
    assert [chunk async for chunk in handle.stream()] == []


def test_outside_of_a_task_a_stream_goes_nowhere():
    podium.stream("nobody")


class Waiting(ScriptedGateway):
    """Says what it waits for, as the gateway does."""

    async def call(self, ask, *, purse, tell):
        tell("Rate limit reached. Retrying in 30 s …")
        return await super().call(ask, purse=purse, tell=tell)


async def test_whoever_waits_for_a_model_is_told_why_and_for_how_long(app, caplog):
    staff(app, Waiting("done"))
    await (await app.start(risk())).result()
    [told] = [each for each in caplog.records if each.name == "podium.models"]
    assert told.getMessage() == "Rate limit reached. Retrying in 30 s …"
    assert (told.run, told.step) == ("run_00000002", "turn[1]/model")
