"""What a workflow may cost, told before its first call."""

from podium.agents.forecast import forecast
from podium.app import forecast_costs
from podium.core.agents import AgentBudget, AgentSpec, AgentTool
from podium.core.definition import Task, Workflow
from podium.settings import LlmSettings, ModelSettings, PriceSettings, ProviderSettings, Settings

PRICE = PriceSettings(input_per_mtok=1, output_per_mtok=10)
NANO = 1_000_000_000


def settings(**model):
    return Settings(
        llm=LlmSettings(
            providers={"here": ProviderSettings(kind="openai", base_url="http://127.0.0.1:1")},
            models={"small": ModelSettings(provider="here", model="m", **model)},
        )
    )


def flow(*tasks, **agents):
    return Workflow(name="w", tasks=tasks, agents=agents)


def agent(name, **options):
    return AgentSpec(name=name, instructions="Judge.", max_tokens=1000, **options)


def test_an_agent_costs_at_most_its_budget_and_its_first_call_what_it_may_write():
    clerk = agent("clerk", budget=AgentBudget(usd=0.02, turns=4))
    workflow = flow(Task(name="a", uses="agent:clerk"), clerk=clerk)
    [cost] = forecast_costs(workflow, settings(price=PRICE))
    assert (cost.name, cost.model, cost.calls_max) == ("agent:clerk", "small", 4)
    assert cost.most_nano == 0.02 * NANO
    assert 0.01 * NANO < cost.first_call_nano < 0.0101 * NANO


def test_a_prompt_that_is_written_in_the_definition_is_counted():
    def cost_of(prompt):
        asked = Task(name="a", uses="llm", with_={"prompt": prompt, "max_tokens": 10})
        [cost] = forecast_costs(flow(asked), settings(price=PRICE))
        return cost.first_call_nano

    assert cost_of("word " * 1000) > cost_of("word") + 0.0009 * NANO


def test_agents_of_agents_and_of_inner_tasks_are_found_once():
    boss = agent("boss", tools=(AgentTool(uses="agent:clerk"),))
    inner = Task(name="b", tasks=(Task(name="c", uses="agent:clerk"),))
    workflow = flow(Task(name="a", uses="agent:boss"), inner, boss=boss, clerk=agent("clerk"))
    assert [cost.name for cost in forecast(workflow, estimate=None)] == [
        "agent:boss",
        "agent:clerk",
    ]


def test_without_a_model_the_forecast_says_who_answers():
    clerk = agent("clerk", fallback="python:rules:clerk")
    workflow = flow(Task(name="a", uses="agent:clerk"), Task(name="b", uses="llm"), clerk=clerk)
    costs = forecast(workflow, estimate=None)
    assert [cost.note for cost in costs] == [
        "no model is configured: python:rules:clerk answers",
        "no model is configured: it will fail",
    ]


def test_an_unknown_price_is_told_and_what_it_does_to_a_budget():
    clerk = agent("clerk", budget=AgentBudget(usd=0.02))
    workflow = flow(Task(name="a", uses="agent:clerk"), Task(name="b", uses="llm"), clerk=clerk)
    first, second = forecast_costs(workflow, settings())
    assert first.first_call_nano is second.first_call_nano is None
    assert "refuses every call" in first.note
    assert second.note == "the price of the model is not known"


def test_a_model_that_is_not_declared_is_named():
    clerk = agent("clerk", model="large")
    [cost] = forecast_costs(flow(Task(name="a", uses="agent:clerk"), clerk=clerk), settings())
    assert "large" in cost.note
