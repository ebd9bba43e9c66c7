"""A1: many agents at once in one process, each waiting for a model most of its time."""

import asyncio
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from podium.agents.asking import Agent, agent
from podium.agents.tools import tool
from podium.authoring.client import App
from podium.authoring.decorators import workflow
from podium.bench.measure import Meter, Sample, rss_mb
from podium.bench.models import MODEL, QUICK_MODEL, llm_settings, model_server
from podium.bench.workloads import Sizes, fresh_app
from podium.errors import PodiumError
from podium.settings import BudgetSettings, Settings

__all__ = ["measure_agents", "measure_spread_agents"]

TURNS: Final = 3
STEPS: Final = TURNS * 2 + 1
"""Of one agent: what its tools are, three turns, two calls of tools; and the step that asks it."""
SCOPE: Final = "organization"


@tool(effect="read")
async def look_up(word: str) -> str:
    """Look a word up."""
    return f"{word} means what it says. " * 4


@workflow(deadline="1h")
async def one_agent(name: str) -> Any:
    """Let one agent work, and return its answer."""
    return (await agent(name, {"change": "README.md", "risk": "unknown"})).result


async def measure_agents(folder: Path, sizes: Sizes) -> Sample:
    """A1: start all agents in the same moment: every wave of answers comes at once."""
    return await _agents(folder, "A1", sizes, over_s=0.0)


async def measure_spread_agents(folder: Path, sizes: Sizes) -> Sample:
    """A1 spread: start as many over the time of one turn, as work comes in practice."""
    return await _agents(folder, "A1 spread", sizes, over_s=sizes.turn_ms / 1000)


async def _agents(folder: Path, name: str, sizes: Sizes, *, over_s: float) -> Sample:
    for model in (MODEL, QUICK_MODEL):
        Agent(
            f"{model}-agent",
            model=model,
            instructions="Judge the risk of this change. Look up what you do not know.",
            tools=[look_up],
            budget={"usd": 1},
        )
    delay_s = sizes.turn_ms / 1000
    budget = BudgetSettings(scope=SCOPE, limit_usd=Decimal(1_000_000), per="day")
    with model_server(delay_s=delay_s, turns=TURNS) as url:
        settings = Settings(llm=llm_settings(url), budgets=(budget,))
        async with fresh_app(folder, "a1", settings=settings) as app:
            await (await app.start(one_agent, input=f"{QUICK_MODEL}-agent")).result()
            return await _measure(app, name, sizes, delay_s, over_s)


async def _measure(app: App, name: str, sizes: Sizes, delay_s: float, over_s: float) -> Sample:
    times: list[float] = []
    starts: list[float] = []
    errors = 0

    async def one(number: int) -> None:
        nonlocal errors
        await asyncio.sleep(over_s * number / sizes.agents)
        begun = time.perf_counter()
        try:
            run = await app.start(one_agent, input=f"{MODEL}-agent")
            starts.append(time.perf_counter() - begun)
            await run.result()
        except PodiumError:
            errors += 1
        times.append(time.perf_counter() - begun)

    peak = _Peak()
    meter = Meter(app)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(peak.watch())
        await asyncio.gather(*(one(number) for number in range(sizes.agents)))
        watching.cancel()
    turns = sizes.agents * TURNS
    sample = meter.sample(
        name,
        f"{sizes.agents:,} agents of {TURNS} turns of {delay_s:g} s",
        steps=sizes.agents * STEPS,
        count=turns,
        unit="turns/s",
        seconds=times,
    )
    ideal_s = TURNS * delay_s + over_s
    sample.facts = {
        "seconds": sample.wall_s,
        "start_max_ms": round(max(starts, default=0) * 1000, 1),
        "over_ideal_percent": round((sample.wall_s / ideal_s - 1) * 100, 1),
        "cpu_us_per_turn": round((sample.cpu_us_per_step or 0) * STEPS / TURNS, 1),
        "rss_peak_mb": peak.rss_mb,
        "errors": errors,
    }
    return sample


class _Peak:
    """Looks, five times a second, at how much memory the process has."""

    def __init__(self) -> None:
        self.rss_mb = 0.0

    async def watch(self) -> None:
        """Watch until cancelled."""
        while True:
            self.rss_mb = max(self.rss_mb, rss_mb())
            await asyncio.sleep(0.2)
