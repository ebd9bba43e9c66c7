"""The public test kit: virtual time, store conformance, simulation.

Names are loaded when they are first used: the pytest plugin lives here, and every test run of
everybody loads it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from podium.testing.blobs import MemoryBlobs
    from podium.testing.conformance import BEHAVIOURS, Behaviour, Harness
    from podium.testing.history import History, check_history
    from podium.testing.loop import DeadlockError, VirtualLoop, run_virtual
    from podium.testing.simulation import Report, simulate
    from podium.testing.virtual import VirtualPodium

__all__ = [
    "BEHAVIOURS",
    "Behaviour",
    "DeadlockError",
    "Harness",
    "History",
    "MemoryBlobs",
    "Report",
    "VirtualLoop",
    "VirtualPodium",
    "check_history",
    "run_virtual",
    "simulate",
]

_HOMES = {
    "podium.testing.blobs": ("MemoryBlobs",),
    "podium.testing.conformance": ("BEHAVIOURS", "Behaviour", "Harness"),
    "podium.testing.history": ("History", "check_history"),
    "podium.testing.loop": ("DeadlockError", "VirtualLoop", "run_virtual"),
    "podium.testing.simulation": ("Report", "simulate"),
    "podium.testing.virtual": ("VirtualPodium",),
}
_ORIGIN = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name not in _ORIGIN:
        raise AttributeError(f"module 'podium.testing' has no attribute {name!r}")
    value = getattr(import_module(_ORIGIN[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
