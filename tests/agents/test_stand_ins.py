"""Another agent stands in: for a retry, for a fork, and never behind a person's back."""

import json

import pytest
from scripted_agents import ScriptedGateway, staff
from test_loop import flow
from waiting import status

import podium
from podium.core.states import RunStatus
from podium.errors import ModelError

AGENTS = """
risk: {instructions: Judge., model: small}
careful: {instructions: Judge with care., model: large}
"""
GATED = (
    "{name: ok, uses: approval}\n- {name: a, depends_on: [ok], max_retries: 0, uses: agent:risk}"
)


def small_is_down():
    down = ModelError("The model is down.", code="PDM-M001")
    return ScriptedGateway(lambda ask: down if ask.model == "small" else "fine")


async def started(app, task="{name: a, max_retries: 0, uses: agent:risk, with: {text: hi}}"):
    return await app.start(flow(AGENTS, task))


def models_asked(gateway):
    return list(dict.fromkeys(ask.model for ask in gateway.asks))


async def test_a_retry_with_a_stand_in_asks_its_model(app):
    gateway = small_is_down()
    staff(app, gateway)
    handle = await started(app)
    assert (await handle.wait()).status == RunStatus.FAILED
    await handle.retry(agents={"risk": "careful"})
    assert "fine" in json.dumps(await handle.result())
    assert models_asked(gateway) == ["small", "large"]


async def test_a_stand_in_may_be_named_for_one_step(app):
    gateway = small_is_down()
    staff(app, gateway)
    handle = await started(app)
    await handle.wait()
    await handle.retry("a", agents={"a": "careful"})
    await handle.result()
    assert models_asked(gateway) == ["small", "large"]


async def test_a_fork_with_a_stand_in_leaves_the_first_run_as_it_is(app):
    gateway = small_is_down()
    staff(app, gateway)
    handle = await started(app)
    await handle.wait()
    fork = await app.rerun(handle.id, agents={"risk": "careful"})
    await fork.result()
    assert models_asked(gateway) == ["small", "large"]
    assert await handle.status() is RunStatus.FAILED


async def test_a_stand_in_behind_an_approval_is_asked_about(app):
    gateway = small_is_down()
    staff(app, gateway)
    handle = await started(app, GATED)
    approval = await waiting_for(app, handle)
    await app.decide(approval, "approve")
    await handle.wait()
    await handle.retry(agents={"risk": "careful"})
    again = await waiting_for(app, handle)
    assert "with the agent careful" in (await app.approval(again)).prompt
    assert models_asked(gateway) == ["small"]
    await app.decide(again, "approve")
    await handle.result()


async def waiting_for(app, handle):
    await status(handle, "waiting")
    [approval] = await handle.pending_approvals()
    return approval


@pytest.mark.parametrize("agents", [{"risk": "nobody"}, {"nobody": "careful"}])
async def test_what_is_not_declared_does_not_stand_in(app, agents):
    staff(app, small_is_down())
    handle = await started(app)
    await handle.wait()
    for work in (handle.retry(agents=agents), app.rerun(handle.id, agents=agents)):
        with pytest.raises(podium.ConflictError) as caught:
            await work
        assert caught.value.code_word == "unknown_agent"
