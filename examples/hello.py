"""A durable function: every finished step survives a crash of this program.

    python examples/hello.py Ada Grace

Kill it while it sleeps and start it again with the same names: it greets nobody twice.
"""

import asyncio
import sys

import podium


@podium.task(max_retries=3, timeout="30s")
async def greet(name: str) -> str:
    """Return a greeting; called once for each name, however often the program dies."""
    return f"Hello, {name}!"


@podium.workflow
async def hello(names: list[str]) -> str:
    """Greet everybody, wait a moment, and ask a person before answering."""
    greetings = await podium.map(greet, names)
    text = "\n".join(greetings)
    await podium.sleep("3s")
    decision = await podium.approval("publish", payload={"text": text})
    return text if decision.approved else ""


async def main(names: list[str]) -> None:
    """Run the workflow in this process; the same names are the same run."""
    async with podium.connect() as app:
        run = await app.start(hello, input={"names": names}, idempotency_key="-".join(names))
        print(f"{run.id} greets, sleeps and then waits for you: podium approvals list")
        print(await run.result())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or ["Ada", "Grace"]))
