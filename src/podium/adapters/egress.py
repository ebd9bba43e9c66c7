"""The way out over HTTP: see `ports/egress.py`; `runtime/egress.py` decides what may be asked.

The name is looked up once and every address judged; the connection goes to a judged address,
with the name in TLS and in `Host`. A name that answers differently the second time gains
nothing, and neither does a proxy in the environment: there is none.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from importlib import import_module
from ipaddress import ip_address
from typing import Any, Final

from podium.errors import RequestError
from podium.ports.egress import Reply, Way
from podium.runtime.egress import Address, Destination, fault_in_address, read_url

__all__ = ["HttpEgress", "Resolve"]

SECONDS_MAX: Final = 20.0
ADDRESSES_MAX: Final = 3

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]


async def resolve(host: str, port: int) -> Sequence[Address]:
    """Return the addresses of a host; raises `OSError` if it has none."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


class HttpEgress:
    """See the module docstring; `allowed` is the list of the operator."""

    def __init__(
        self,
        allowed: Sequence[str] = (),
        *,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = tuple(allowed)
        self._resolve = resolve
        self._tls = tls
        self._client: Any = None

    def fault_in_url(self, url: str) -> str:
        """See `Egress.fault_in_url`."""
        try:
            read_url(url, self._allowed)
        except ValueError as error:
            return str(error)
        return ""

    async def way_to(self, url: str) -> Way:
        """See `Egress.way_to`."""
        to = read_url(url, self._allowed)
        address, *_ = await self._addresses(to, trusted=False)
        return Way(url=_direct(to, address), netloc=to.netloc, host=to.host)

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: bytes, trusted: bool = False
    ) -> Reply:
        """See `Egress.post`."""
        try:
            async with asyncio.timeout(SECONDS_MAX):
                return await self._post(url, headers=headers, body=body, trusted=trusted)
        except TimeoutError:
            return Reply(detail=f"no answer in {SECONDS_MAX:g} s")

    async def _post(
        self, url: str, *, headers: Mapping[str, str], body: bytes, trusted: bool
    ) -> Reply:
        try:
            to = read_url(url, (*self._allowed, *_of_operator(url, trusted=trusted)))
            addresses = await self._addresses(to, trusted=trusted)
        except ValueError as error:
            return Reply(detail=f"egress_denied: {error}")
        except OSError as error:
            return Reply(detail=f"{url!r} cannot be found: {error.strerror or error}")
        reply = Reply(detail="it has no address")
        for address in addresses[:ADDRESSES_MAX]:
            reply = await self._send(to, address, headers=headers, body=body)
            if reply.code:
                break
        return reply

    async def _addresses(self, to: Destination, *, trusted: bool) -> Sequence[Address]:
        addresses = list(dict.fromkeys(await self._resolve(to.host, to.port)))
        for address in addresses:
            fault = fault_in_address(address, host=to.host, port=to.port, allowed=self._allowed)
            # One bad address is enough: which of them is asked is nobody's choice.
            if fault and not trusted:
                raise ValueError(fault)
        return addresses

    async def _send(
        self, to: Destination, address: Address, *, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        library = _library()
        request = {
            "headers": {**headers, "Host": to.netloc},
            "content": body,
            "extensions": {"sni_hostname": to.host},
        }
        target = _direct(to, address)
        try:
            # The body of the answer is not even read.
            async with self._http().stream("POST", target, **request) as response:
                return Reply(
                    code=response.status_code, retry_after_s=_retry_after(response.headers)
                )
        except library.HTTPError as error:
            return Reply(detail=f"{type(error).__name__}: {error}"[:200])

    def _http(self) -> Any:
        if self._client is None:
            library = _library()
            # No connection is used twice: the next one to this address may be for another name.
            self._client = library.AsyncClient(
                verify=self._tls or ssl.create_default_context(),
                timeout=SECONDS_MAX,
                follow_redirects=False,
                trust_env=False,
                limits=library.Limits(max_connections=64, max_keepalive_connections=0),
            )
        return self._client

    async def close(self) -> None:
        """See `Egress.close`."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


def _direct(to: Destination, address: Address) -> str:
    shown = f"[{address}]" if address.version == 6 else str(address)
    return f"{to.scheme}://{shown}:{to.port}{to.target}"


def _of_operator(url: str, *, trusted: bool) -> Sequence[str]:
    """Return what a URL of the operator opens: the host and the port it names."""
    return (url.partition("://")[2].partition("/")[0].partition("?")[0],) if trusted else ()


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return `Retry-After` in seconds; a date counts from the other side's own `Date`."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        due = parsedate_to_datetime(text)
        sent = parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (due - sent).total_seconds())
    except (TypeError, ValueError):
        return None


def _library() -> Any:
    try:
        return import_module("httpx2")
    except ImportError as error:
        raise RequestError(
            "Webhooks need an HTTP client that is not installed.",
            fix="pip install 'podium[http]'",
            code="PDM-R052",
        ) from error
