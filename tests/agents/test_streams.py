"""Text of a model call while it is written, and what a reader sees who comes early, late, again."""

import asyncio

from scripted_agents import ScriptedGateway, staff
from test_loop import agent_run, risk
from waiting import moment

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
