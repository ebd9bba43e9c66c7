"""What attempts may use of the process they run in: models, tools, secrets to hide, readers."""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

from podium.core.agents import AgentSpec
from podium.core.breaker import Breaker
from podium.gateway.asking import Answer, Ask, Tell, silent
from podium.gateway.purse import Purse
from podium.ports.egress import Egress
from podium.ports.models import Piece
from podium.runtime.logbook import Logbook
from podium.runtime.secrets import Secrets
from podium.runtime.streams import Streams

__all__ = ["FOLDER_LABEL", "LazyModels", "Models", "Services"]

FOLDER_LABEL: Final = "podium.folder"
"""The label that keeps the folder of a run's definition: there its code and files are found."""


class Models(Protocol):
    """The way to language models, as attempts see it; `podium.gateway` is one."""

    async def call(self, ask: Ask, *, purse: Purse, tell: Tell = silent) -> Answer:
        """Return the answer; raises `ModelError` or `BudgetError`."""

    def stream(
        self, ask: Ask, *, purse: Purse, tell: Tell = silent
    ) -> AsyncGenerator[Piece | Answer]:
        """Yield the answer as it comes, the `Answer` last; raises as `call`."""

    def breakers(self) -> Mapping[str, Breaker]:
        """Return the circuit breakers of what was asked so far, by name."""

    async def close(self) -> None:
        """Give connections back."""


class LazyModels:
    """Builds the way to models when the first step asks for it: most runs never do."""

    def __init__(self, build: Callable[[], Models]) -> None:
        self._build = build
        self._built: Models | None = None

    def get(self) -> Models:
        """Return the models, built at the first call."""
        self._built = self._built or self._build()
        return self._built

    def breakers(self) -> Mapping[str, Breaker]:
        """Return the circuit breakers; none before the first call."""
        return {} if self._built is None else self._built.breakers()

    async def close(self) -> None:
        """Give connections back, if there are any; a later call builds anew."""
        built, self._built = self._built, None
        if built is not None:
            await built.close()


@dataclass(frozen=True, slots=True)
class Services:
    """See the module docstring; built by `podium.app`, handed to attempts in their context."""

    models: LazyModels | None = None
    """None: no language model is configured."""
    default_model: str = ""
    """The model of those who name none."""
    tools: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Targets of the built-in tools of agents, by name."""
    secrets: Secrets = field(default_factory=Secrets)
    streams: Streams = field(default_factory=Streams)
    egress: Egress | None = None
    """The way out of webhooks; None: this process sends none."""
    is_guarded: bool = False
    """Whether `uses: http` asks `egress` for its way: definitions may come from anybody here."""
    progress_url: str = ""
    """Where the settings want every event to be sent, if anywhere."""
    logbook: Logbook | None = None
    """Keeps what attempts print and log; None: nobody listens."""

    def has_model(self, agent: AgentSpec) -> bool:
        """Return whether there is a model for this agent: its own, or the default one."""
        return self.models is not None and bool(agent.model or self.default_model)

    async def close(self) -> None:
        """Give back what was opened for attempts."""
        if self.models is not None:
            await self.models.close()
        if self.egress is not None:
            await self.egress.close()
