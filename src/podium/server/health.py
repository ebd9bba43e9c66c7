"""What the service knows about its own state: ready or why not, and how each part is doing."""

import msgspec

from podium.authoring.client import App
from podium.core.cloudevents import rfc3339
from podium.errors import PodiumError, StoreError

__all__ = ["Health", "HealthShape", "Liveness", "Part", "Readiness"]


class Liveness(msgspec.Struct, kw_only=True):
    """The process answers."""

    status: str = "alive"


class Readiness(msgspec.Struct, kw_only=True):
    """Whether new work may be sent here."""

    ready: bool
    reason: str = ""
    """`draining`, `store_unavailable` or `engine_stopped` while it is not ready."""


class Part(msgspec.Struct, kw_only=True):
    """One part of the service."""

    name: str
    state: str
    """`ok`, `degraded`, `down` or `off`."""
    reason: str = ""
    last_progress_at: str | None = None


class HealthShape(msgspec.Struct, kw_only=True):
    """The worst state of all parts, and each part."""

    status: str
    parts: list[Part]


RANKS = ("off", "ok", "degraded", "down")


class Health:
    """Answers for one process. `drain` is called once, when it is asked to stop."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.is_draining = False

    def drain(self) -> None:
        """Say no to new work from now on."""
        self.is_draining = True

    async def readiness(self) -> Readiness:
        """Return whether new work may be sent here, and if not, why."""
        if self.is_draining:
            return Readiness(ready=False, reason="draining")
        engine = self._app.engine
        if engine.failure is not None:
            is_store = isinstance(engine.failure, StoreError)
            reason = "store_unavailable" if is_store else "engine_stopped"
            return Readiness(ready=False, reason=reason)
        store = await self._store()
        if store.state == "down":
            return Readiness(ready=False, reason="store_unavailable")
        return Readiness(ready=True)

    async def parts(self) -> HealthShape:
        """Return how each part is doing."""
        parts = [self._server(), await self._store(), self._engine(), await self.scheduler()]
        worst = max(parts, key=lambda part: RANKS.index(part.state))
        return HealthShape(status=worst.state, parts=parts)

    def _server(self) -> Part:
        if self.is_draining:
            return Part(name="server", state="degraded", reason="It is asked to stop.")
        return Part(name="server", state="ok")

    async def _store(self) -> Part:
        store = self._app.engine.store
        try:
            await store.nodes()
        except PodiumError as error:
            return Part(name="store", state="down", reason=error.what)
        return Part(name="store", state="ok", last_progress_at=rfc3339(store.now_us()))

    def _engine(self) -> Part:
        engine = self._app.engine
        if engine.failure is not None:
            return Part(name="engine", state="down", reason=engine.failure.what)
        if not engine.options.capacity:
            return Part(name="engine", state="off", reason="This process only serves the API.")
        if engine.node is None:
            return Part(name="engine", state="degraded", reason="It is joining the store.")
        return Part(name="engine", state="ok")

    async def scheduler(self) -> Part:
        """Return whether the ticks of schedules are taken."""
        try:
            health = await self._app.schedules.health()
        except PodiumError as error:
            return Part(name="scheduler", state="down", reason=error.what)
        return Part(
            name="scheduler",
            state=health.state,
            reason=health.reason,
            last_progress_at=health.last_look_at,
        )
