"""A process that takes ticks until it is killed: `schedule_child.py URL`."""

import asyncio
import sys

import podium
from podium.settings import Settings


async def serve(url: str) -> None:
    async with podium.connect(settings=Settings(database_url=url)):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().create_future()


asyncio.run(serve(sys.argv[1]))
