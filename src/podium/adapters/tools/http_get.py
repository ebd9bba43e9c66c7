"""The tool `http_get`: a page of a host an agent was given, and of no other.

A host must be listed. Its addresses are looked up once and each must be public, unless an
address itself is listed; the connection then goes to the address that was checked, so that a
name which answers differently the second time gains nothing. Nothing is sent but the request.
"""

import asyncio
import socket
from importlib import import_module
from ipaddress import ip_address
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, urlsplit

from msgspec import Meta

from podium.agents.tools import Grant, ToolRefused, tool
from podium.errors import RequestError
from podium.runtime.egress import is_public

__all__ = ["http_get", "is_public", "refusal_of"]

BODY_MAX: Final = 1024 * 1024
SECONDS_MAX: Final = 20.0
PORTS: Final = {"http": 80, "https": 443}
TEXT_TYPES: Final = ("text/", "application/json", "application/xml", "+json", "+xml")


@tool(effect="read")
async def http_get(
    url: Annotated[str, Meta(max_length=2000, description="An http or https URL.")],
    *,
    grant: Grant,
) -> str:
    """Get a text page by its URL. Only some hosts may be asked; redirects are not followed."""
    parts, port = _checked(url, grant.hosts)
    try:
        async with asyncio.timeout(SECONDS_MAX):
            address = await _address(parts.hostname or "", port, grant.hosts)
            return await _get(parts, port, address)
    except TimeoutError:
        raise ToolRefused(f"{parts.hostname} did not answer in {SECONDS_MAX:g} s.") from None


def refusal_of(url: str, hosts: tuple[str, ...]) -> str:
    """Return why `url` may not be asked, as far as that shows before its name is looked up."""
    try:
        _checked(url, hosts)
    except ToolRefused as refusal:
        return str(refusal)
    return ""


def _checked(url: str, hosts: tuple[str, ...]) -> tuple[SplitResult, int]:
    if any(ord(letter) <= 32 or letter == "\\" for letter in url):
        raise ToolRefused("That is no URL: it holds spaces, backslashes or control characters.")
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        raise ToolRefused("That is no URL.") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise ToolRefused("Only http and https URLs with a host can be asked.")
    if "@" in parts.netloc:
        raise ToolRefused("A URL must not hold a user or a password.")
    if not any(_is_listed(parts.hostname, port, entry) for entry in hosts):
        listed = ", ".join(hosts) or "none"
        raise ToolRefused(f"The host {parts.netloc!r} may not be asked. Allowed: {listed}.")
    return parts, port


def _is_listed(host: str, port: int, entry: str) -> bool:
    name, port_given = _entry(entry)
    if port != port_given and (port_given or port not in PORTS.values()):
        return False
    if name.startswith("*."):
        return host.endswith(name[1:]) and host != name[2:]
    return host == name


def _entry(entry: str) -> tuple[str, int]:
    """Return the host and the port of an entry of the list; 0: none is given."""
    parts = urlsplit(f"//{entry.lower()}")
    return parts.hostname or "", parts.port or 0


async def _address(host: str, port: int, hosts: tuple[str, ...]) -> str:
    """Return a checked address of `host`; every address it has must be allowed."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ToolRefused(f"The host {host!r} cannot be found: {error.strerror}.") from None
    addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    listed = {_entry(entry)[0] for entry in hosts}
    for address in addresses:
        # A private address must be listed itself: a name that leads to it is not enough.
        if not is_public(address) and host not in listed & {str(address)}:
            raise ToolRefused(f"{host!r} leads to an address that is not public.")
    if not addresses:
        raise ToolRefused(f"The host {host!r} has no address.")
    return str(addresses[0])


async def _get(parts: SplitResult, port: int, address: str) -> str:
    library = _library()
    shown = f"[{address}]" if ":" in address else address
    query = f"?{parts.query}" if parts.query else ""
    target = f"{parts.scheme}://{shown}:{port}{parts.path or '/'}{query}"
    headers = {"Host": parts.netloc, "Accept-Encoding": "identity", "User-Agent": "podium"}
    request = {"headers": headers, "extensions": {"sni_hostname": parts.hostname}}
    try:
        async with (
            library.AsyncClient(
                timeout=SECONDS_MAX, follow_redirects=False, trust_env=False
            ) as client,
            client.stream("GET", target, **request) as response,
        ):
            return await _read(response)
    except library.HTTPError as error:
        raise ToolRefused(f"{parts.hostname} cannot be asked: {type(error).__name__}.") from None


def _library() -> Any:
    try:
        return import_module("httpx2")
    except ImportError as error:
        raise RequestError(
            "The tool `http_get` needs an HTTP client that is not installed.",
            fix="pip install 'podium[http]'",
            code="PDM-R052",
        ) from error


async def _read(response: Any) -> str:
    kind = response.headers.get("content-type", "").lower()
    if 300 <= response.status_code < 400:
        where = response.headers.get("location", "")[:500]
        return (
            f"Status {response.status_code}: it has moved to {where}. Redirects are not followed."
        )
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ToolRefused("The answer is compressed, although that was not asked for.")
    if kind and not any(mark in kind for mark in TEXT_TYPES):
        raise ToolRefused(f"The answer is {kind.partition(';')[0]!r}, not text.")
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > BODY_MAX:
            raise ToolRefused(f"The answer is larger than {BODY_MAX:,} bytes.")
        parts.append(part)
    return f"Status {response.status_code}\n\n{b''.join(parts).decode(errors='replace')}"
