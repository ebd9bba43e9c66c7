"""`app.organizations`: whom everything belongs to."""

from collections.abc import Sequence

from podium.authoring.standpoint import Facet, check_name, unknown_organization
from podium.core.access import is_slug
from podium.errors import AccessError, ConflictError, RequestError
from podium.ports.access import OrganizationRow

__all__ = ["Organizations"]


class Organizations(Facet):
    """Whom everything belongs to; made and listed by those who operate the installation."""

    async def create(self, slug: str, *, title: str = "") -> OrganizationRow:
        """Make an organization; raises `ConflictError` PDM-C040 if the slug is taken."""
        self._check_operator()
        if not is_slug(slug):
            raise RequestError(
                f"{slug!r} cannot name an organization.",
                why="A slug stands in settings, lists and addresses.",
                fix="Use 1 to 63 small letters, digits, hyphens and underscores: `acme-labs`.",
                code="PDM-R128",
            )
        check_name(title, of="an organization")
        row = OrganizationRow(slug=slug, title=title, created_us=self._store.now_us())
        # In the log of those who operate: the new one has nobody yet who could read its own.
        owner = self._at.scope or self._at.home
        entry = self._entry("organization.create", slug, owner, {"title": title})
        is_new = slug != self._at.home and await self._store.add_organization(row, entry)
        if not is_new:
            raise ConflictError(
                f"The organization {slug!r} exists.",
                fix="Choose another slug, or make keys for it: `podium keys create --org`.",
                code="PDM-C040",
            )
        return row

    async def list(self) -> Sequence[OrganizationRow]:
        """Return the organizations that are visible, by slug."""
        found = {row.slug: row for row in await self._store.organizations()}
        for slug in (self._at.home, self._at.scope):
            if slug:
                found.setdefault(slug, OrganizationRow(slug=slug))
        seen = [slug for slug in sorted(found) if self._at.operates or self._at.sees(slug)]
        return [found[slug] for slug in seen]

    async def get(self, slug: str) -> OrganizationRow:
        """Return one organization; raises `NotFoundError` PDM-R413."""
        for row in await self.list():
            if row.slug == slug:
                return row
        raise unknown_organization(slug, ())

    def _check_operator(self) -> None:
        if not self._at.operates:
            raise AccessError(
                "Organizations are made by those who operate this installation.",
                why=f"Your key belongs to {self._at.scope!r}, not to its own organization.",
                fix="Ask them, or use `podium orgs create` where the store is.",
                code="PDM-R126",
                code_word="operator_only",
            )
