"""A process that runs workflows whose every effect is written to a ledger outside of the store.

    python ledger_job.py STORE LEDGER KEY_PREFIX RUNS STEPS [PAUSE_MS]

Each step appends one line, in one write, to the ledger: what survives a kill -9 is what happened.
Prints one line per finished run: its key and result. Exits 0 when all are done.
"""

import asyncio
import os
import sys

import podium

LEDGER = ""
PAUSE_S = 0.0


@podium.task(max_retries=0)
async def effect(name: str) -> str:
    """Have an effect that can be counted."""
    context = podium.context()
    line = f"{name} {context.idempotency_key} {context.fencing_token} {os.getpid()}\n"
    handle = os.open(LEDGER, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(handle, line.encode())
    os.close(handle)
    await asyncio.sleep(PAUSE_S)
    return name


@podium.workflow
async def chain(name: str, steps: int) -> list[str]:
    """Have `steps` effects, one after the other, then two side by side."""
    done = [await effect(f"{name}/{step}") for step in range(steps)]
    return done + await podium.map(effect, [f"{name}/left", f"{name}/right"])


async def main(store: str, prefix: str, runs: int, steps: int) -> None:
    """Start or find the runs by their keys and wait for all of them."""
    async with podium.connect(f"sqlite:///{store}") as app:
        handles = {}
        for number in range(runs):
            key = f"{prefix}-{number}"
            value = {"name": key, "steps": steps}
            handles[key] = await app.start(chain, input=value, idempotency_key=key)
        for key, handle in handles.items():
            result = await handle.result()
            sys.stdout.write(f"{key} {','.join(result)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    STORE, LEDGER, PREFIX, RUNS, STEPS = sys.argv[1:6]
    PAUSE_S = float(sys.argv[6]) / 1000 if len(sys.argv) > 6 else 0.0
    asyncio.run(main(STORE, PREFIX, int(RUNS), int(STEPS)))
