"""An agent without a model: its fallback answers as a plain step, in the shape of an answer."""

import pytest
from scripted_agents import ScriptedGateway, done, staff
from test_loop import RISK, risk, run

from podium.errors import TaskError
from podium.ports.store import RunFilter
from podium.runtime.services import LazyModels, Services

BY_RULES = {
    "mode": "rules",
    "result": {"risk": "unknown"},
    "reason": "no_model",
    "turns": 0,
    "calls": 0,
    "tokens": 0,
    "cost_usd": 0.0,
}


def rules_of(**options):
    return risk(fallback="python:scripted_agents:rules", output=RISK, **options)


async def test_without_a_model_the_fallback_is_a_step_and_no_run(app):
    staff(app, None)
    assert await run(app, rules_of()) == BY_RULES
    assert done == [["rules", "hello"]]
    assert len(await app.engine.store.runs(RunFilter(), limit=10)) == 1


async def test_a_fallback_may_be_async(app):
    staff(app, None)
    answer = await run(app, risk(fallback="python:scripted_agents:rules_later"))
    assert answer["result"] == "by rule: hello"


async def test_an_answer_of_rules_has_to_fit_too(app):
    staff(app, None)
    with pytest.raises(TaskError, match="fits its `output`") as raised:
        await run(app, risk(fallback="python:scripted_agents:rules_later", output=RISK))
    assert raised.value.code == "PDM-T061"


async def test_models_of_which_none_is_named_are_no_model(app):
    gateway = ScriptedGateway("never said")
    app.engine.registry.services = Services(models=LazyModels(lambda: gateway))
    assert (await run(app, rules_of()))["reason"] == "no_model"
    assert not gateway.asks


async def test_an_agent_that_names_its_model_is_asked(app):
    gateway = ScriptedGateway('{"risk": "low"}')
    app.engine.registry.services = Services(models=LazyModels(lambda: gateway))
    assert (await run(app, rules_of(model="small")))["mode"] == "model"


async def test_an_agent_without_model_and_fallback_says_what_to_add(app):
    staff(app, None)
    with pytest.raises(TaskError, match="No model is configured"):
        await run(app, risk())
