"""`podium bench`: what this machine, its disk and this version do, measured in one run."""

from podium.bench.command import main

__all__ = ["main"]
