"""What models may cost a workflow, told before the first call: nothing is sent or imported."""

from collections.abc import Callable

import msgspec

from podium.core.agents import AgentSpec, agents_below
from podium.core.charges import NANO
from podium.core.definition import Task, Workflow
from podium.core.graph import all_tasks
from podium.errors import ModelError
from podium.gateway.asking import Ask, Estimate
from podium.ports.models import Message, Role, Text

__all__ = ["Forecast", "forecast"]


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What one agent, or one task that asks a model, may cost each time it is used."""

    name: str
    """`agent:<name>`, or the name of an `llm` task."""
    model: str
    """The alias of the model; empty: none is configured."""
    first_call_nano: int | None = None
    """At most, for its first call with the texts as written: what the run puts into them, and
    what an agent's tools say of themselves, comes on top. None: the price is not known."""
    most_nano: int | None = None
    """At most, for all calls of one use: the agent's own `budget: {usd: …}`; None: no such."""
    calls_max: int = 1
    note: str = ""
    """Why there is no estimate, or what stands in for the model."""


def forecast(
    workflow: Workflow, *, estimate: Callable[[Ask], Estimate] | None, default_model: str = ""
) -> list[Forecast]:
    """Return a forecast for every agent that a definition reaches and every `llm` task.

    `estimate` is that of the gateway; None: no model is configured.
    """
    tasks = list(all_tasks(workflow.tasks))
    named = [task.uses.partition(":")[2] for task in tasks if task.uses.startswith("agent:")]
    agents = workflow.agents or {}
    reached: dict[str, AgentSpec] = {}
    for slug in named:
        if slug in agents:
            reached |= {slug: agents[slug], **agents_below(agents, slug)}
    found = [_of_agent(spec, estimate, default_model) for spec in reached.values()]
    asks = [task for task in tasks if task.uses == "llm"]
    return [*found, *(_of_task(task, estimate, default_model) for task in asks)]


def _of_agent(
    spec: AgentSpec, estimate: Callable[[Ask], Estimate] | None, default_model: str
) -> Forecast:
    ask = Ask(
        model=spec.model or default_model,
        messages=(Message(role=Role.SYSTEM, parts=(Text(text=spec.instructions),)),),
        max_tokens=spec.max_tokens,
        schema=spec.output,
    )
    usd, turns = spec.budget.usd, spec.budget.turns or spec.max_turns
    known = Forecast(
        name=f"agent:{spec.name}",
        model=ask.model,
        most_nano=None if usd is None else round(usd * NANO),
        calls_max=min(turns, spec.max_turns),
    )
    return _priced(known, ask, estimate, stand_in=spec.fallback)


def _of_task(
    task: Task, estimate: Callable[[Ask], Estimate] | None, default_model: str
) -> Forecast:
    given = task.with_ if isinstance(task.with_, dict) else {}
    model = given.get("model") or default_model
    ask = Ask(
        model=str(model),
        messages=(Message(role=Role.USER, parts=(Text(text=str(given.get("prompt", ""))),)),),
        max_tokens=given["max_tokens"] if isinstance(given.get("max_tokens"), int) else 4_096,
    )
    return _priced(Forecast(name=task.name, model=ask.model), ask, estimate, stand_in="")


def _priced(
    known: Forecast, ask: Ask, estimate: Callable[[Ask], Estimate] | None, *, stand_in: str
) -> Forecast:
    if estimate is None or not ask.model:
        instead = f"{stand_in} answers" if stand_in else "it will fail"
        return msgspec.structs.replace(known, model="", note=f"no model is configured: {instead}")
    try:
        found = estimate(ask)
    except ModelError as error:
        return msgspec.structs.replace(known, note=error.what)
    note = ""
    if found.cost_nano_max is None:
        refused = ", so a budget in money refuses every call" if known.most_nano is not None else ""
        note = f"the price of the model is not known{refused}"
    return msgspec.structs.replace(known, first_call_nano=found.cost_nano_max, note=note)
