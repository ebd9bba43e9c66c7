"""The pure core: facts in, decisions out. No I/O, clock, randomness or asyncio."""
