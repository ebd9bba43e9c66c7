"""The one way out: requests that this process sends to URLs that users wrote."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

__all__ = ["Egress", "Reply", "Way"]


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request goes once its URL was judged."""

    url: str
    """The URL with a judged address for its host, so that nobody looks it up again."""
    netloc: str
    """What stands in `Host`."""
    host: str
    """The name that TLS asks for and checks."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request; its body is never kept, for it may be anybody's."""

    code: int = 0
    """Status of the answer; 0: there was none."""
    retry_after_s: float | None = None
    detail: str = ""
    """Why there was no answer, in words."""


class Egress(Protocol):
    """Sends to public addresses, and to those that the operator opened."""

    def fault_in_url(self, url: str) -> str:
        """Return why a URL may not be asked, as far as that shows without looking it up."""

    async def way_to(self, url: str) -> Way:
        """Return where a URL leads; raises `ValueError` if it may not be asked.

        Raises `OSError` if its name has no address. Ask the way again for each request.
        """

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: bytes, trusted: bool = False
    ) -> Reply:
        """Send one request and return what became of it; redirects are not followed.

        Never raises for what the other side does. `trusted` is for URLs that the operator
        wrote: they may lead anywhere.
        """

    async def close(self) -> None:
        """Give connections back."""
