"""A process dies at every step of an agent that uses tools: nothing paid or done is repeated."""

import asyncio
from collections import Counter

import pytest
import scripted_agents as scripted
from scripted_agents import ScriptedGateway, done, gates, keys, staff
from test_loop import risk
from test_people_and_taint import until_asked
from waiting import moment

from podium.agents.tools import tool

CALLS = ([("look_up", {"word": "a"})], [("post", {"to": "bob"})], [("look_up", {"word": "b"})])


class Desk(ScriptedGateway):
    """A model that answers once the test lets it, over any number of processes."""

    def __init__(self, *lines):
        super().__init__(*lines)
        self.begun = Counter()
        self.paid = Counter()
        self.stop_at = -1
        self.begun_keys = []

    async def call(self, ask, *, purse, tell=None):
        turn = sum(message.role == "assistant" for message in ask.messages)
        self.begun[turn] += 1
        self.begun_keys.append(ask.key)
        if turn == self.stop_at:
            await asyncio.Event().wait()
        answer = await super().call(ask, purse=purse)
        self.paid[ask.key] += 1
        return answer


WORKFLOW = risk(
    tools=["fn:look_up", "fn:post"],
    approvals=["post"],
)


async def until(is_true):
    while not is_true():
        await moment()


async def decided(app, answer="approve"):
    approval, _, _ = await until_asked(app)
    await app.decide(approval, answer)


@pytest.mark.parametrize("crash", [True, False])
@pytest.mark.parametrize("turn", [0, 1, 2, 3])
async def test_a_crash_in_a_model_call_repeats_only_that_call(house, turn, crash):
    desk = Desk(*CALLS, "Done.")
    desk.stop_at = turn
    async with house.app() as app:
        handle = await staff(app, desk).start(WORKFLOW)
        if turn > 1:
            await decided(app)
        await until(lambda: desk.begun[turn])
        if crash:
            house.crash(app)
    desk.stop_at = -1
    async with house.app() as app:
        staff(app, desk)
        if turn <= 1:
            await decided(app)
        answer = await app.run(handle.id).result()
    assert answer["result"] == "Done."
    assert answer["turns"] == 4
    assert desk.begun == {**dict.fromkeys(range(4), 1), turn: 2}
    assert set(desk.paid.values()) == {1}
    assert list(keys.values()) == [1]
    assert [entry[1] for entry in done] == ["a", "bob", "b"]


async def test_a_crash_while_a_person_is_asked_keeps_the_question(house):
    desk = Desk(*CALLS, "Done.")
    async with house.app() as app:
        handle = await staff(app, desk).start(WORKFLOW)
        first = await until_asked(app)
        house.crash(app)
    async with house.app() as app:
        staff(app, desk)
        assert await until_asked(app) == first
        await decided(app)
        assert (await app.run(handle.id).result())["result"] == "Done."
    assert set(desk.paid.values()) == {1}
    assert list(keys.values()) == [1]


async def test_a_reading_tool_cut_off_by_a_crash_is_called_again(house):
    gates["fetch"] = asyncio.Event()
    desk = Desk([("fetch", {"name": "a"})], "Done.")
    async with house.app() as app:
        handle = await staff(app, desk).start(risk(tools=["fn:fetch"]))
        await until(lambda: ["fetch begins", "a"] in done)
        house.crash(app)
    gates["fetch"].set()
    async with house.app() as app:
        assert (await staff(app, desk).run(handle.id).result())["result"] == "Done."
    assert done.count(["fetch begins", "a"]) == 2
    assert done.count(["fetch ends", "a"]) == 1
    assert desk.begun == {0: 1, 1: 1}


@pytest.mark.parametrize("answer", ["approve", "reject"])
async def test_a_writing_tool_cut_off_by_a_crash_asks_before_it_runs_again(house, answer):
    gates["post"] = asyncio.Event()
    desk = Desk(*CALLS, "Done.")
    async with house.app() as app:
        handle = await staff(app, desk).start(WORKFLOW)
        await decided(app)
        await until(lambda: ["post begins", "bob"] in done)
        house.crash(app)
    gates["post"].set()
    async with house.app() as app:
        staff(app, desk)
        await until_asked(app)
        assert done.count(["post begins", "bob"]) == 1
        assert not keys
        await decided(app, answer)
        assert (await app.run(handle.id).result())["result"] == "Done."
    assert list(keys.values()) == ([1] if answer == "approve" else [])
    assert set(desk.paid.values()) == {1}


async def test_a_model_call_in_doubt_asks_if_the_agent_says_so(house):
    desk = Desk("Done.")
    desk.stop_at = 0
    async with house.app() as app:
        handle = await staff(app, desk).start(risk(on_lost="in_doubt"))
        await until(lambda: desk.begun[0])
        house.crash(app)
    desk.stop_at = -1
    async with house.app() as app:
        staff(app, desk)
        await until_asked(app)
        assert desk.begun[0] == 1
        await decided(app)
        assert (await app.run(handle.id).result())["result"] == "Done."
    assert desk.begun[0] == 2


async def test_the_keys_of_a_model_call_are_equal_over_its_attempts(house):
    desk = Desk("Done.")
    desk.stop_at = 0
    async with house.app() as app:
        handle = await staff(app, desk).start(risk())
        await until(lambda: desk.begun[0])
        house.crash(app)
    desk.stop_at = -1
    async with house.app() as app:
        await staff(app, desk).run(handle.id).result()
    assert len(desk.begun_keys) == 2
    assert len(set(desk.begun_keys)) == 1


async def test_what_tools_are_is_recorded_when_the_agent_begins(house, monkeypatch):
    desk = Desk([("look_up", {"word": "a"})], "Done.")
    desk.stop_at = 1
    async with house.app() as app:
        handle = await staff(app, desk).start(risk(tools=["fn:look_up"]))
        await until(lambda: desk.begun[1])
        house.crash(app)
    desk.stop_at = -1

    @tool(effect="write")
    def look_up(other: int) -> str:
        return "changed"

    monkeypatch.setattr(scripted, "look_up", look_up)
    async with house.app() as app:
        answer = await staff(app, desk).run(handle.id).result()
    assert answer["result"] == "Done."


async def test_of_tools_side_by_side_only_those_cut_off_by_a_crash_are_called_again(house):
    gates["fetch"] = asyncio.Event()
    both = [("fetch", {"name": "slow"}), ("look_up", {"word": "quick"})]
    desk = Desk(both, "Done.")
    async with house.app() as app:
        handle = await staff(app, desk).start(risk(tools=["fn:fetch", "fn:look_up"]))
        await until(lambda: ["look_up", "quick", 1] in done and ["fetch begins", "slow"] in done)
        for _ in range(10):
            await moment()
        house.crash(app)
    gates["fetch"].set()
    async with house.app() as app:
        assert (await staff(app, desk).run(handle.id).result())["result"] == "Done."
    assert done.count(["look_up", "quick", 1]) == 1
    assert done.count(["fetch begins", "slow"]) == 2
    shown = [part.content for part in desk.asks[-1].messages[-1].parts]
    assert ["slow" in shown[0], "quick" in shown[1]] == [True, True]


async def test_a_writing_tool_that_can_be_verified_needs_no_person_after_a_crash(house):
    gates["post"] = asyncio.Event()
    tool = {"uses": "fn:post", "verify": "fn:posted"}
    desk = Desk([("post", {"to": "bob"})], "Done.")
    async with house.app() as app:
        handle = await staff(app, desk).start(risk(tools=[tool]))
        await until(lambda: ["post begins", "bob"] in done)
        house.crash(app)
    gates["post"].set()
    async with house.app() as app:
        assert (await staff(app, desk).run(handle.id).result())["result"] == "Done."
    assert done == [["post begins", "bob"], ["verified", "bob"], ["post begins", "bob"]]
    assert list(keys.values()) == [1]


async def test_what_a_verification_found_is_what_the_model_reads(house):
    gates["post"] = asyncio.Event()
    tool = {"uses": "fn:post", "verify": "fn:posted"}
    desk = Desk([("post", {"to": "ann"})], "Done.")
    async with house.app() as app:
        handle = await staff(app, desk).start(risk(tools=[tool]))
        await until(lambda: ["post begins", "ann"] in done)
        house.crash(app)
    gates["posted"] = asyncio.Event()
    async with house.app() as app:
        assert (await staff(app, desk).run(handle.id).result())["result"] == "Done."
    assert done == [["post begins", "ann"], ["verified", "ann"]]
    assert "posted to ann, it says" in desk.asks[-1].messages[-1].parts[0].content
