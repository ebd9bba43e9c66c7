"""A process whose agents call a model over HTTP, and a tool that writes into a file.

    python agent_job.py STORE EFFECTS BASE_URL API_KEY AGENTS

The file gets one line for each time the tool runs: its idempotency key. Prints what it all cost.
"""

import asyncio
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import podium
from podium.agents.asking import Agent, agent
from podium.agents.tools import tool
from podium.settings import (
    BudgetSettings,
    LlmSettings,
    ModelSettings,
    PriceSettings,
    ProviderSettings,
    Secret,
    Settings,
)

EFFECTS = Path()
PRICE = PriceSettings(
    input_per_mtok=Decimal("0.15"),
    output_per_mtok=Decimal("0.60"),
    cached_per_mtok=Decimal("0.075"),
)


@tool(effect="read")
async def note(text: str) -> str:
    """Write a note down."""
    # Called `read` because it may be repeated: what it does is known by its key.
    handle = os.open(EFFECTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(handle, f"{podium.context().idempotency_key}\n".encode())
    os.close(handle)
    return f"noted: {text}"


@podium.task(max_recoveries=1000)
async def look(number: int) -> int:
    """Return what the agent is asked about."""
    return number


@podium.workflow
async def office(agents: int) -> int:
    """Let agents work, four side by side; return how many answered."""
    done = 0
    for first in range(0, agents, 4):
        numbers = [await look(first + place) for place in range(4)]
        asked = [agent("clerk", f"Write down the number {number}.") for number in numbers]
        done += sum(answer.result == "Done." for answer in await podium.gather(*asked))
    return done


def settings(store: str, base_url: str, api_key: str) -> Settings:
    """Return a project with one model at one provider and a budget nobody reaches."""
    return Settings(
        database_url=f"sqlite:///{store}",
        llm=LlmSettings(
            providers={
                "stub": ProviderSettings(
                    kind="openai", base_url=f"{base_url}/v1", api_key=Secret(api_key)
                )
            },
            models={
                "small": ModelSettings(
                    provider="stub", model="gpt-4o-mini", context_window=128_000, price=PRICE
                )
            },
            default="small",
        ),
        budgets=(BudgetSettings(scope="organization", limit_usd=Decimal(100)),),
    )


async def main(store: str, base_url: str, api_key: str, agents: int) -> Any:
    """Start or find the run by its key and wait for it."""
    Agent("clerk", model="small", instructions="Use your tool.", tools=[note], budget={"turns": 9})
    async with podium.connect(settings=settings(store, base_url, api_key)) as app:
        handle = await app.start(office, input=agents, idempotency_key="job")
        sys.stdout.write(f"{await handle.result()}\n")


if __name__ == "__main__":
    EFFECTS = Path(sys.argv[2])
    asyncio.run(main(sys.argv[1], sys.argv[3], sys.argv[4], int(sys.argv[5])))
