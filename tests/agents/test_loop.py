"""An agent end to end: tools, bounds, structured answers, fallbacks, agents of agents."""

import asyncio
import json
from textwrap import dedent, indent

import msgspec
import pytest
from scripted_agents import ScriptedGateway, broke, done, gates, reply_of, rules, staff
from waiting import look, moment

import podium
from podium.app import expressions
from podium.authoring.documents import load_workflow
from podium.core.definition import Task, Workflow
from podium.core.states import RunStatus
from podium.errors import ModelError, TaskError
from podium.ports.models import Finish, Role, ToolResult
from podium.ports.store import RunFilter

RISK = {
    "type": "object",
    "properties": {"risk": {"enum": ["low", "high", "unknown"]}},
    "required": ["risk"],
    "additionalProperties": False,
}


def flow(agents, task="{name: a, uses: agent:risk, with: {text: hello}}"):
    """Return a workflow with these agents, as YAML."""
    text = f"tasks:\n- {task}\nagents:\n{indent(dedent(agents), '  ')}".replace(
        "fn:", "python:scripted_agents:"
    )
    return load_workflow(text, expressions=expressions()).workflow


def risk(**options):
    """Return a workflow of one agent with these options."""
    return flow(f"risk: {json.dumps({'instructions': 'Judge.', **options})}")


async def run(app, workflow, **options):
    return await (await app.start(workflow, **options)).result()


async def agent_run(app):
    """Return the run of the agent that the only other run asked."""
    [row] = [each for each in await app.engine.store.runs(RunFilter(), limit=10) if each.parent_run]
    return podium.RunHandle(app, row.run_no)


def results_in(ask):
    """Return the results of tools that the model was shown last."""
    return [part for part in ask.messages[-1].parts if isinstance(part, ToolResult)]


async def test_an_agent_uses_a_tool_and_answers(app):
    gateway = ScriptedGateway([("look_up", {"word": "durable"})], "It is safe.")
    staff(app, gateway)
    handle = await app.start(risk(tools=["fn:look_up"], model="small"))
    answer = await handle.result()
    assert answer == {
        "mode": "model",
        "result": "It is safe.",
        "reason": "",
        "turns": 2,
        "calls": 1,
        "tokens": 200,
        "cost_usd": 0.002,
    }
    assert done == [["look_up", "durable", 1]]
    first, second = gateway.asks
    assert [tool.name for tool in first.tools] == ["look_up"]
    assert first.tools[0].description == "Look a word up."
    assert first.tools[0].parameters["required"] == ["word"]
    assert first.messages[0].role is Role.SYSTEM
    [result] = results_in(second)
    assert "durable means durable" in result.content
    assert result.content.startswith("<outside id=")


async def test_every_call_is_a_step_of_a_run_of_its_own(app):
    staff(app, ScriptedGateway([("look_up", {"word": "a"})], "Done."))
    handle = await app.start(risk(tools=["fn:look_up"]))
    await handle.result()
    assert await look(await agent_run(app)) == {
        "tools": "completed",
        "turn[1]/model": "completed",
        "turn[1]/look_up": "completed",
        "turn[2]/model": "completed",
    }


async def test_an_unknown_tool_and_bad_arguments_go_back_to_the_model(app):
    gateway = ScriptedGateway(
        [("lookup", {"word": "a"}), ("look_up", {"wrd": "a"}), ("look_up", {"word": 5})], "Sorry."
    )
    staff(app, gateway)
    assert (await run(app, risk(tools=["fn:look_up"])))["result"] == "Sorry."
    unknown, missing, wrong = results_in(gateway.asks[1])
    assert "Did you mean 'look_up'?" in unknown.content
    assert "wrd" in missing.content
    assert "word" in wrong.content
    assert all(each.is_error for each in (unknown, missing, wrong))
    assert not done


async def test_calls_that_cannot_be_made_are_bounded(app):
    staff(app, ScriptedGateway(lambda ask: [(f"nonsense{len(ask.messages)}", {})]))
    with pytest.raises(TaskError, match="mistakes"):
        await run(app, risk(tools=["fn:look_up"], max_turns=50))


async def test_the_same_call_again_and_again_is_no_progress(app):
    gateway = ScriptedGateway([("look_up", {"word": "a"})])
    staff(app, gateway)
    with pytest.raises(TaskError, match="no_progress"):
        await run(app, risk(tools=["fn:look_up"], max_turns=50))
    assert len(done) == 2
    assert len(gateway.asks) == 3


async def test_turns_are_bounded(app):
    gateway = ScriptedGateway(lambda ask: [("look_up", {"word": f"w{len(ask.messages)}"})])
    staff(app, gateway)
    with pytest.raises(TaskError, match="turns"):
        await run(app, risk(tools=["fn:look_up"], max_turns=4))
    assert len(gateway.asks) == 4


async def test_calls_of_a_tool_are_bounded(app):
    gateway = ScriptedGateway([("look_up", {"word": "a"}), ("look_up", {"word": "b"})], "Enough.")
    staff(app, gateway)
    await run(app, risk(tools=[{"uses": "fn:look_up", "calls": 1}]))
    assert done == [["look_up", "a", 1]]
    assert "may be called 1 times" in results_in(gateway.asks[1])[1].content


async def test_a_tool_that_fails_is_an_answer_and_not_the_end(app):
    gateway = ScriptedGateway([("breaks", {})], "It broke.")
    staff(app, gateway)
    assert (await run(app, risk(tools=["fn:breaks"])))["result"] == "It broke."
    [result] = results_in(gateway.asks[1])
    assert "ValueError: no luck" in result.content
    assert result.is_error
    assert len(done) == 3


async def test_a_long_result_is_cut(app):
    gateway = ScriptedGateway([("look_up", {"word": "x" * 500, "times": 9})], "Long.")
    staff(app, gateway)
    await run(app, risk(tools=[{"uses": "fn:look_up", "result_bytes": 300}]))
    [result] = results_in(gateway.asks[1])
    assert "[cut: 300 of" in result.content
    assert len(result.content) < 500


# -- structured answers --------------------------------------------------------------------------


async def test_an_answer_that_does_not_fit_is_sent_back(app):
    gateway = ScriptedGateway("no JSON", '{"risk": "maybe"}', '```json\n{"risk": "low"}\n```')
    staff(app, gateway)
    answer = await run(app, risk(output=RISK))
    assert answer["result"] == {"risk": "low"}
    assert answer["turns"] == 3
    assert "not JSON" in gateway.asks[1].messages[-1].parts[0].text
    assert "maybe" in gateway.asks[2].messages[-1].parts[0].text
    assert gateway.asks[0].schema == RISK


async def test_repairs_are_bounded(app):
    gateway = ScriptedGateway("nonsense")
    staff(app, gateway)
    with pytest.raises(TaskError, match="unusable") as raised:
        await run(app, risk(output=RISK))
    assert raised.value.code == "PDM-T061"
    assert len(gateway.asks) == 3


async def test_half_an_answer_is_never_a_whole_one(app):
    half = msgspec.structs.replace(reply_of("It is safe to", 0), finish=Finish.LENGTH)
    staff(app, ScriptedGateway(half))
    with pytest.raises(TaskError, match="length"):
        await run(app, risk())


# -- without a model, without money --------------------------------------------------------------


async def test_without_a_model_the_error_says_what_to_add(app):
    staff(app, None)
    with pytest.raises(TaskError, match="No model is configured") as raised:
        await run(app, risk())
    assert raised.value.code == "PDM-M050"
    assert "llm:" in raised.value.fix


@pytest.mark.parametrize("name", ["rules", "rules_later"])
async def test_without_a_model_the_fallback_stands_in(app, name):
    staff(app, None)
    answer = await run(app, risk(fallback=f"fn:{name}"))
    assert answer["mode"] == "rules"
    assert answer["reason"] == "no_model"
    assert answer["result"] in ({"risk": "unknown"}, "by rule: hello")


@pytest.mark.parametrize("outcome", ["partial", "deny"])
async def test_without_money_the_fallback_stands_in(app, outcome):
    staff(app, ScriptedGateway([("look_up", {"word": "a"})], broke(outcome)))
    answer = await run(app, risk(tools=["fn:look_up"], fallback="fn:rules", output=RISK))
    assert (answer["mode"], answer["reason"]) == ("rules", "budget")
    assert done[-1] == ["rules", "hello"]


async def test_without_money_and_fallback_deny_fails_and_partial_gives_what_is_known(app):
    staff(app, ScriptedGateway(broke("deny")))
    with pytest.raises(TaskError, match="Too little") as raised:
        await run(app, risk())
    assert raised.value.kind == "BudgetError"
    staff(app, ScriptedGateway(broke("partial")))
    assert (await run(app, risk()))["mode"] == "partial"


async def test_an_agent_asks_for_no_call_that_its_own_budget_could_not_pay(app):
    gateway = ScriptedGateway(lambda ask: [("look_up", {"word": f"w{len(ask.messages)}"})])
    staff(app, gateway)
    budget = {"usd": 0.0025}
    answer = await run(app, risk(tools=["fn:look_up"], budget=budget, fallback="fn:rules"))
    assert (answer["mode"], answer["reason"]) == ("rules", "budget")
    assert (answer["turns"], answer["cost_usd"]) == (3, 0.002)


@pytest.mark.parametrize(
    ("budget", "reason"), [({"tokens": 250}, "budget"), ({"turns": 2}, "turns")]
)
async def test_other_budgets_end_an_agent_too(app, budget, reason):
    gateway = ScriptedGateway(lambda ask: [("look_up", {"word": f"w{len(ask.messages)}"})])
    staff(app, gateway)
    answer = await run(app, risk(tools=["fn:look_up"], budget=budget, fallback="fn:rules"))
    assert answer["reason"] == reason
    assert len(done) == 3


# -- agents of agents, agents in code ------------------------------------------------------------


async def test_an_agent_can_be_a_tool_of_another(app):
    def speak(ask):
        if "Boss" in ask.messages[0].parts[0].text:
            asked = any(message.role is Role.ASSISTANT for message in ask.messages)
            return "All fine." if asked else [("clerk", {"input": "count"})]
        return "Seven."

    gateway = ScriptedGateway(speak)
    staff(app, gateway)
    agents = """
      risk: {instructions: Boss., tools: ["agent:clerk"]}
      clerk: {instructions: Clerk., description: Counts things.}
    """
    assert (await run(app, flow(agents)))["result"] == "All fine."
    assert gateway.asks[0].tools[0].description == "Counts things."
    assert "Seven." in results_in(gateway.asks[2])[0].content


@podium.workflow
async def asks_in_code(text: str):
    answer = await podium.agent("coded", {"text": text})
    return [answer.mode, answer.result]


async def test_a_durable_function_asks_an_agent(app):
    podium.Agent("coded", instructions="Judge.", tools=["python:scripted_agents:look_up"])
    staff(app, ScriptedGateway("Fine."))
    assert await run(app, asks_in_code, input={"text": "x"}) == ["model", "Fine."]


async def test_an_agent_that_is_not_declared_is_named(app):
    @podium.workflow
    async def flow_of_code():
        await podium.agent("codde")

    podium.Agent("coded", instructions="Judge.")
    with pytest.raises(TaskError, match="codde"):
        await run(app, flow_of_code)


def test_an_agent_in_python_is_checked_like_one_in_text():
    with pytest.raises(podium.DefinitionError) as raised:
        podium.Agent("bad", tools=["grpe"], max_turns=0, colour="red")
    assert {fault.code for fault in raised.value.faults} == {"PDM-D402", "PDM-D201", "PDM-D011"}


async def test_a_graph_in_python_uses_agents_by_name(app):
    podium.Agent("graphed", instructions="Judge.", tools=[rules])
    staff(app, ScriptedGateway("Fine."))
    graph = podium.Graph("g").add("a", uses="agent:graphed", with_={"x": 1})
    assert (await run(app, graph))["result"] == "Fine."


async def test_a_workflow_that_brings_no_agent_along_fails_and_says_so(app):
    workflow = Workflow(name="bare", tasks=(Task(name="a", uses="agent:nobody"),))
    with pytest.raises(TaskError, match="nobody"):
        await run(app, workflow)


async def test_what_an_agent_was_is_pinned_in_its_run(app):
    workflow = risk(model="small")
    other = risk(model="large")
    assert workflow.content_hash != other.content_hash
    gateway = ScriptedGateway("Fine.")
    staff(app, gateway)
    await run(app, workflow)
    await run(app, other)
    assert [ask.model for ask in gateway.asks] == ["small", "large"]


# -- a call of a model as a task -----------------------------------------------------------------


async def test_a_model_call_is_a_task(app):
    gateway = ScriptedGateway("Bonjour.")
    staff(app, gateway)
    text = "tasks: [{name: a, uses: llm, with: {model: small, prompt: Hello, system: In French.}}]"
    assert await run(app, load_workflow(text, expressions=expressions()).workflow) == "Bonjour."
    [ask] = gateway.asks
    assert [message.role for message in ask.messages] == [Role.SYSTEM, Role.USER]
    assert ask.key.endswith("/a/1")


async def test_a_model_call_with_a_schema_gives_an_object(app):
    gateway = ScriptedGateway("low", '{"risk": "low"}')
    staff(app, gateway)
    graph = podium.Graph("g").add("a", uses="llm", with_={"prompt": "Risk?", "schema": RISK})
    assert await run(app, graph) == {"risk": "low"}
    assert len({ask.key for ask in gateway.asks}) == 2


async def test_a_model_call_without_a_model_says_what_to_add(app):
    staff(app, None)
    graph = podium.Graph("g").add("a", uses="llm", with_={"prompt": "Hello"})
    with pytest.raises(TaskError, match="No model is configured"):
        await run(app, graph)


async def test_half_an_answer_of_a_task_is_an_error(app):
    half = msgspec.structs.replace(reply_of("It is safe to", 0), finish=Finish.LENGTH)
    staff(app, ScriptedGateway(half))
    graph = podium.Graph("g").add("a", uses="llm", with_={"prompt": "Hello"})
    with pytest.raises(TaskError, match="length") as raised:
        await run(app, graph)
    assert raised.value.code == "PDM-M051"


@pytest.mark.parametrize("message", [{"role": "boss", "content": "x"}, {"role": "user"}, "x"])
async def test_messages_that_are_none_are_named(app, message):
    staff(app, ScriptedGateway("Fine."))
    graph = podium.Graph("g").add("a", uses="llm", with_={"messages": [message]})
    with pytest.raises(TaskError, match="messages") as raised:
        await run(app, graph)
    assert raised.value.code == "PDM-R081"


@pytest.mark.parametrize(("is_transient", "asks"), [(True, 2), (False, 1)])
async def test_the_engine_tries_again_only_what_may_pass(app, is_transient, asks):
    errors = [ModelError("It is down.", code="PDM-M020", is_transient=is_transient)]
    gateway = ScriptedGateway(lambda ask: errors.pop() if errors else "Fine.")
    staff(app, gateway)
    handle = await app.start(risk())
    await handle.wait()
    assert len(gateway.asks) == asks
    assert (await handle.status()).label == ("completed" if is_transient else "failed")


@pytest.mark.parametrize("is_transient", [True, False])
async def test_the_fallback_stands_in_for_a_provider_that_stays_away(app, is_transient):
    gone = ModelError("It is down.", code="PDM-M020", is_transient=is_transient)
    staff(app, ScriptedGateway(gone))
    handle = await app.start(risk(fallback="fn:rules"))
    row = await handle.wait()
    if not is_transient:
        # A wrong key is no reason to go on without anybody noticing.
        assert row.status == RunStatus.FAILED
        return
    answer = await handle.result()
    assert (answer["mode"], answer["reason"]) == ("rules", "provider")


async def test_a_function_that_no_schema_describes_cannot_be_a_tool(app):
    staff(app, ScriptedGateway("Fine."))
    with pytest.raises(TaskError, match="star") as raised:
        await run(app, risk(tools=["fn:star"]))
    assert raised.value.code == "PDM-R080"


async def test_tools_that_read_go_side_by_side_and_those_that_write_in_order(app):
    gates["fetch"] = asyncio.Event()
    calls = [
        ("fetch", {"name": "a"}),
        ("fetch", {"name": "b"}),
        ("post", {"to": "c"}),
        ("fetch", {"name": "d"}),
    ]
    gateway = ScriptedGateway(calls, "Done.")
    staff(app, gateway)
    handle = await app.start(risk(tools=["fn:fetch", "fn:post"]))
    while len(done) < 2:
        await moment()
    assert done == [["fetch begins", "a"], ["fetch begins", "b"]]
    gates["fetch"].set()
    await handle.result()
    assert done[4:] == [["post begins", "c"], ["fetch begins", "d"], ["fetch ends", "d"]]
    assert [result.call_id for result in results_in(gateway.asks[-1])] == [
        call.id for call in gateway.asks[-1].messages[-2].parts
    ]
