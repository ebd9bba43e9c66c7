"""What the settings of a server declare, made on its store when it begins to serve."""

import logging

from podium.authoring.client import App
from podium.errors import PodiumError, StoreError
from podium.settings import Settings

__all__ = ["declare"]

log = logging.getLogger("podium.scheduler")

DECLARER = "podium.yaml"
"""Who it is, in the audit log."""


async def declare(app: App, settings: Settings) -> None:
    """Make the schedules that the settings declare; repeating it changes nothing.

    A declaration that is wrong, or whose workflow is not published yet, is told in the log and
    keeps nobody from being served.
    """
    for name, document in settings.schedules.items():
        try:
            changes = await app.acting_as(DECLARER).schedules.apply({name: document})
        except StoreError:
            raise
        except PodiumError as error:
            log.warning("schedule.refused", extra={"schedule": name, "error": str(error)})
        else:
            log.info("schedule.declared", extra={"schedule": name, "change": changes[name]})
