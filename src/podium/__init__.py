"""Podium: durable orchestration for AI agents and workflows, local-first.

Names are loaded when they are first used, so `import podium` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from podium.agents.asking import Agent, agent
    from podium.agents.tools import tool
    from podium.app import connect, load
    from podium.authoring.client import App, RunHandle
    from podium.authoring.decorators import DurableTask, DurableWorkflow, task, workflow
    from podium.authoring.durable import (
        Decision,
        approval,
        child,
        context,
        continue_as_new,
        gather,
        now,
        sleep,
        uuid,
        wait_signal,
    )
    from podium.authoring.durable import map_items as map  # noqa: A004 - the word of the field
    from podium.authoring.graph import Graph
    from podium.authoring.streaming import stream
    from podium.core.definition import RetryPolicy, RetryRule
    from podium.errors import (
        BudgetError,
        ConflictError,
        DefinitionError,
        ModelError,
        NotFoundError,
        PodiumError,
        RequestError,
        RunError,
        StoreError,
        TaskError,
    )
    from podium.runtime.failures import NonRetryable, RetryAfter
    from podium.settings import Settings

__all__ = [
    "Agent",
    "App",
    "BudgetError",
    "ConflictError",
    "Decision",
    "DefinitionError",
    "DurableTask",
    "DurableWorkflow",
    "Graph",
    "ModelError",
    "NonRetryable",
    "NotFoundError",
    "PodiumError",
    "RequestError",
    "RetryAfter",
    "RetryPolicy",
    "RetryRule",
    "RunError",
    "RunHandle",
    "Settings",
    "StoreError",
    "TaskError",
    "__version__",
    "agent",
    "approval",
    "child",
    "connect",
    "context",
    "continue_as_new",
    "gather",
    "load",
    "map",
    "now",
    "sleep",
    "stream",
    "task",
    "tool",
    "uuid",
    "wait_signal",
    "workflow",
]

__version__ = "0.1.0"

_HOMES = {
    "podium.agents.asking": ("Agent", "agent"),
    "podium.agents.tools": ("tool",),
    "podium.app": ("connect", "load"),
    "podium.authoring.client": ("App", "RunHandle"),
    "podium.authoring.decorators": ("DurableTask", "DurableWorkflow", "task", "workflow"),
    "podium.authoring.durable": (
        "Decision",
        "approval",
        "child",
        "context",
        "continue_as_new",
        "gather",
        "map_items",
        "now",
        "sleep",
        "uuid",
        "wait_signal",
    ),
    "podium.authoring.graph": ("Graph",),
    "podium.authoring.streaming": ("stream",),
    "podium.core.definition": ("RetryPolicy", "RetryRule"),
    "podium.errors": (
        "BudgetError",
        "ConflictError",
        "DefinitionError",
        "ModelError",
        "NotFoundError",
        "PodiumError",
        "RequestError",
        "RunError",
        "StoreError",
        "TaskError",
    ),
    "podium.runtime.failures": ("NonRetryable", "RetryAfter"),
    "podium.settings": ("Settings",),
}
_ORIGIN = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    target = "map_items" if name == "map" else name
    if target not in _ORIGIN:
        raise AttributeError(f"module 'podium' has no attribute {name!r}")
    value = getattr(import_module(_ORIGIN[target]), target)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
