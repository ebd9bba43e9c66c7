"""Durable functions for the tests of the command line."""

import podium


def say(text: str) -> dict:
    return {"text": text}


@podium.task
async def double(n: int) -> int:
    return n * 2


@podium.task(max_retries=1, retry_delay=0.001)
async def broken(word: str = "wrong") -> None:
    raise ValueError(f"this is {word}")


@podium.workflow
async def adds(n: int, extra: list[int] | None = None) -> int:
    doubled = await podium.map(double, list(range(n)))
    return sum(doubled) + sum(extra or [])


@podium.workflow
async def fails() -> None:
    await double(1)
    await broken()


@podium.workflow
async def asks() -> dict:
    decision = await podium.approval("publish", payload={"text": "hello"})
    return {"approved": decision.approved, "payload": decision.payload}


@podium.workflow
async def waits() -> object:
    return await podium.wait_signal("go")


@podium.workflow
async def naps() -> str:
    await podium.sleep("1h")
    return "awake"


@podium.workflow(timeout=0.05)
async def never_ends() -> None:
    while True:
        await double(1)


@podium.workflow
async def parent() -> object:
    return await podium.child(asks)


@podium.workflow
async def lives(left: int) -> str:
    await double(left)
    if left:
        podium.continue_as_new({"left": left - 1})
    return "the last life"
