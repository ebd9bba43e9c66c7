"""Definitions that come over the network: read with a smaller limit, then checked for reach."""

import asyncio
from pathlib import Path
from typing import Any, Final

import msgspec

from podium.app import expressions
from podium.authoring.admission import Admission
from podium.authoring.agents import shared_agents
from podium.authoring.documents import Loaded, load_workflow
from podium.settings import Settings, run_settings

__all__ = ["DEFINITION_BYTES_MAX", "Definitions"]

DEFINITION_BYTES_MAX: Final = 256 * 1024


class Definitions:
    """Reads definitions of callers; nothing in them is trusted, no file is opened for them."""

    def __init__(self, settings: Settings) -> None:
        self._defaults = run_settings(settings.workflow)
        self._agents = shared_agents(settings.agents, folder=Path.cwd())
        self.admission = Admission(
            task_modules=settings.task_modules,
            allow_shell=settings.allow_shell,
            agents=self._agents,
        )

    async def read(self, given: dict[str, Any] | str, *, source: str = "definition") -> Loaded:
        """Return the workflow and its warnings.

        Raises `DefinitionError` with every fault, `AccessError` for what it may not name.
        """
        text = given if isinstance(given, str) else msgspec.json.encode(given)
        loaded = await asyncio.to_thread(self._load, text, source)
        self.admission.check(loaded.workflow)
        return loaded

    def _load(self, text: str | bytes, source: str) -> Loaded:
        return load_workflow(
            text,
            source=source,
            expressions=expressions(),
            bytes_max=DEFINITION_BYTES_MAX,
            defaults=self._defaults,
            agents=self._agents,
        )
