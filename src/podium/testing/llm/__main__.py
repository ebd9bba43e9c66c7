"""`python -m podium.testing.llm`: a stub in a process of its own, for benchmarks and by hand.

It prints where it listens as one line of JSON, answers until its standard input ends, and prints
its bill by model as a second line.
"""

import argparse
import asyncio
import sys

import msgspec

from podium.testing.llm.limits import Limits
from podium.testing.llm.stub import ModelStub


def main() -> None:
    """Run a stub until nobody holds its standard input."""
    parser = argparse.ArgumentParser(prog="python -m podium.testing.llm", description=__doc__)
    parser.add_argument("--first-byte-s", type=float, default=0.0, help="time to the first byte")
    parser.add_argument("--tokens-per-s", type=float, help="pace of an answer")
    parser.add_argument("--rpm", type=int, help="requests per minute")
    parser.add_argument("--tpm", type=int, help="tokens per minute")
    parser.add_argument("--concurrency", type=int, help="requests at the same time")
    parser.add_argument("--say", help="what the model says")
    asyncio.run(serve(parser.parse_args()))


async def serve(options: argparse.Namespace) -> None:
    """Serve, and say what there is to know at both ends."""
    stub = ModelStub(
        limits=Limits(rpm=options.rpm, tpm=options.tpm, concurrency=options.concurrency),
        first_byte_s=options.first_byte_s,
        tokens_per_s=options.tokens_per_s,
    )
    if options.say is not None:
        stub.script(options.say)
    async with stub:
        tell({"base_url": stub.base_url, "api_key": stub.api_key, "vocabulary": stub.vocabulary})
        await asyncio.to_thread(sys.stdin.read)
    bills = {
        model: {"requests": len(bill.lines), "usage": bill.usage, "cost_nano": bill.cost_nano}
        for model, bill in stub.bill().by_model().items()
    }
    tell({"bill": bills, "max_in_flight": stub.max_in_flight})


def tell(value: object) -> None:
    """Print a line of JSON at once."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
