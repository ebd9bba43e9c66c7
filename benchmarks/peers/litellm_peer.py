"""LiteLLM's SDK: workload G1 of `podium bench`, by `acompletion` and through its `Router`.

    python litellm_peer.py G1 FOLDER '{"calls": 1000, …}'

The server is the one podium asks, in a process of its own, and the question is the same. Prices
come from LiteLLM's local table; the Router has declared limits and three retries. Neither keeps
a budget across processes or on disk.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

# Read when the library is imported: no table of prices is fetched.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from measuring import Meter, percentile

SERVER = Path(__file__).resolve().parents[2] / "src" / "podium" / "bench" / "model_server.py"
IN_FLIGHT = 64
WARM = 20
MODEL = "openai/gpt-4o-mini"
MESSAGES = [
    {"role": "system", "content": "You judge changes. " * 20},
    {"role": "user", "content": "Is this change safe? " * 30},
]


async def measure(system, ask, calls):
    for _ in range(WARM):
        await ask()
    times = []
    for _ in range(calls // 2):
        begun = time.perf_counter()
        await ask()
        times.append(time.perf_counter() - begun)
    left = iter(range(calls))

    async def worker():
        for _ in left:
            await ask()

    # What is built at the first calls of many at once is not measured.
    await asyncio.gather(*(ask() for _ in range(IN_FLIGHT)))
    meter = Meter()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    facts = {f"call_p{share}_ms": round(percentile(times, share) * 1000, 3) for share in (50, 99)}
    what = f"{calls:,} calls, {IN_FLIGHT} at once"
    meter.tell(system, "G1", what, steps=calls, count=calls, unit="calls/s", facts=facts)


async def main(url, calls):
    options = {"api_base": url, "api_key": "none", "max_tokens": 100}
    router = litellm.Router(
        model_list=[
            {
                "model_name": "bench",
                "litellm_params": {"model": MODEL, "rpm": 10_000_000, "tpm": 10**10, **options},
            }
        ],
        num_retries=3,
    )
    await measure(
        "litellm sdk",
        lambda: litellm.acompletion(model=MODEL, messages=MESSAGES, **options),
        calls,
    )
    await measure(
        "litellm router", lambda: router.acompletion(model="bench", messages=MESSAGES), calls
    )


if __name__ == "__main__":
    # It is several times slower: fewer calls say the same.
    count = max(IN_FLIGHT, json.loads(sys.argv[3])["calls"] // 2)
    server = subprocess.Popen(
        [sys.executable, "-P", str(SERVER)], stdout=subprocess.PIPE, text=True
    )
    try:
        asyncio.run(main(f"http://127.0.0.1:{server.stdout.readline().strip()}/v1", count))
    finally:
        server.kill()
