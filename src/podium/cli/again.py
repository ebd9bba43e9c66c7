"""A new run from an old one, followed like any other."""

from typing import Any

from podium.authoring.inputs import parse_cli_inputs
from podium.cli.background import live_engines
from podium.cli.loading import use_folders_of
from podium.cli.running import Order, detached, follow_run
from podium.cli.session import Session, person

__all__ = ["rerun_and_follow"]


async def rerun_and_follow(
    session: Session, run: str, *, from_step: str, order: dict[str, Any]
) -> int:
    """Start `run` anew with changes, from a step on if one is named."""
    wish = Order(**order)
    async with session.driving(alone=True) as app:
        row = await app.run(run).row()
        use_folders_of([row])
        registry = app.engine.registry
        plan = await registry.plan(row.def_hash)
        if wish.version:
            owner = row.organization
            plan = await registry.named(row.workflow, wish.version, organization=owner)
        handle = await app.rerun(
            run,
            from_step=from_step,
            changes=parse_cli_inputs(wish.inputs, plan.workflow.inputs),
            version=wish.version,
            agents=wish.agents,
            by=person(),
            detach=wish.detach,
        )
        if not wish.detach:
            return await follow_run(session, app, handle, wish)
        engines = await live_engines(app)
    return detached(session, handle, has_engine=bool(engines))
