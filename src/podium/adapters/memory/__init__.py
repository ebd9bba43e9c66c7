"""A reference store in memory for tests and simulation; it passes the same conformance suite."""

from podium.adapters.memory.database import MemoryDatabase
from podium.adapters.memory.faults import Fault, FaultKind
from podium.adapters.memory.store import MemoryStore

__all__ = ["Fault", "FaultKind", "MemoryDatabase", "MemoryStore"]
