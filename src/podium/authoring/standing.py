"""From where an app looks, and for whom it acts: the part of `App` that every verb goes by."""

import copy
from typing import Self

from podium.authoring.auditing import Audit
from podium.authoring.keys import Keys
from podium.authoring.organizations import Organizations
from podium.authoring.standpoint import AccessDesk, Standpoint
from podium.ports.store import RunRow
from podium.runtime.answers import unknown_run
from podium.runtime.engine import Engine

__all__ = ["Standing"]


class Standing:
    """What an app sees, and what is written down of what it does."""

    def __init__(self, engine: Engine, *, organization: str) -> None:
        self.engine = engine
        self.organization = organization
        """Whom what is started belongs to."""
        self.standpoint = Standpoint(home=organization)
        self._desk = AccessDesk(engine)

    @property
    def scope(self) -> str:
        """Return the only organization this app may see; "" for the local operator: all."""
        return self.standpoint.scope

    @property
    def by(self) -> str:
        """Return who acts, where a call names nobody."""
        return self.standpoint.by

    def on_behalf_of(
        self, organization: str, *, by: str = "", key_id: str = "", request_id: str = ""
    ) -> Self:
        """Return this app as a caller of one organization sees it, on the same engine.

        What belongs to another organization does not exist for it, and what it changes is
        written to the organization's audit log.
        """
        if not organization:
            # An empty scope sees all: nobody gets there by having no organization.
            raise ValueError("A caller belongs to an organization.")
        scoped = self._from(
            Standpoint(
                home=self.standpoint.home,
                scope=organization,
                by=by,
                via="http",
                key_id=key_id,
                request_id=request_id,
            )
        )
        scoped.organization = organization
        return scoped

    def acting_as(self, by: str, *, via: str = "cli") -> Self:
        """Return this app for a person at the terminal: it sees all, and keeps the audit log."""
        return self._from(Standpoint(home=self.standpoint.home, by=by, via=via))

    def _from(self, standpoint: Standpoint) -> Self:
        # A copy shares the engine, the keys and the pen of the audit log.
        other = copy.copy(self)
        other.standpoint = standpoint
        return other

    @property
    def keys(self) -> Keys:
        """Return the keys of the service."""
        return Keys(self._desk, self.standpoint)

    @property
    def organizations(self) -> Organizations:
        """Return the organizations that are visible."""
        return Organizations(self._desk, self.standpoint)

    @property
    def audit(self) -> Audit:
        """Return the audit log."""
        return Audit(self._desk, self.standpoint)

    async def visible(self, run_no: int) -> RunRow:
        """Return the row of a run; raises `NotFoundError` if it does not exist from here."""
        row = await self.engine.store.run(run_no)
        if row is None or not self.standpoint.sees(row.organization):
            raise unknown_run(run_no)
        return row
