"""Agents: who can be named by `agent:<slug>`, and whether a model or rules answer for them."""

from typing import Any, Final

from litestar import get
from litestar.params import FromPath

from podium.authoring.agents import known_agents
from podium.authoring.client import App
from podium.core.agents import AgentSpec
from podium.errors import NotFoundError, did_you_mean
from podium.server.access import Permission
from podium.server.dependencies import CallersApp
from podium.server.holdings import AgentPage, AgentShape

__all__ = ["ROUTES"]

READ: Final = {"needs": Permission.READ}


@get("/v1/agents", opt=READ, summary="List agents")
async def list_agents(app: CallersApp) -> AgentPage:
    """List the agents that every definition may name; those of one workflow stand in it."""
    found = sorted(known_agents().items())
    return AgentPage(items=[_shape(app, each) for _, each in found], next_cursor=None)


@get("/v1/agents/{slug:str}", opt=READ, summary="Get an agent")
async def get_agent(slug: FromPath[str], app: CallersApp) -> AgentShape:
    """Return one agent."""
    known = known_agents()
    if slug not in known:
        raise NotFoundError(
            f"No agent {slug!r} is declared for this server.",
            fix=did_you_mean(slug, list(known), what="agent"),
            code="PDM-R412",
        )
    return _shape(app, known[slug])


def _shape(app: App, spec: AgentSpec) -> AgentShape:
    has_model = app.engine.registry.services.has_model(spec)
    return AgentShape(
        slug=spec.name,
        description=spec.description,
        model=spec.model,
        tools=[tool.name or tool.uses for tool in spec.tools],
        status="healthy" if has_model or spec.fallback else "unhealthy",
        mode="model" if has_model else "rules",
    )


ROUTES: Final[tuple[Any, ...]] = (list_agents, get_agent)
