"""Where this process may send requests on behalf of others: rules on URLs and addresses.

Pure. A URL that a user wrote must not reach what only this machine can reach: its own ports,
private networks, the metadata service of a cloud. A name is looked up once, every address it
has is judged here, and the connection goes to one that was judged.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

import msgspec

__all__ = ["Address", "Destination", "fault_in_address", "fault_in_entry", "is_public", "read_url"]

Address = IPv4Address | IPv6Address

URL_MAX: Final = 2000
PORTS: Final = {"http": 80, "https": 443}
PORTS_ALLOWED: Final = frozenset({80, 443, 8080, 8443})
WRAPPING: Final = tuple(
    map(IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96"))
)
"""Prefixes whose last 32 bits are an IPv4 address: NAT64, translated, compatible."""
NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
NUMERIC: Final = re.compile(r"(\d+|0x[0-9a-f]*)")


class Destination(msgspec.Struct, frozen=True):
    """Where a request goes: `target` is path and query, `netloc` what stands in `Host`."""

    scheme: str
    host: str
    port: int
    netloc: str
    target: str


def read_url(url: str, allowed: Sequence[str] = ()) -> Destination:
    """Return where a URL leads; raises `ValueError` that says why it may not be asked.

    `allowed` lists hosts (`hooks.internal`, `hooks.internal:9000`) and networks
    (`10.0.0.0/8`) that an operator opened on purpose. Looks nothing up.
    """
    if len(url) > URL_MAX or not url.isascii() or any(ord(letter) <= 32 for letter in url):
        raise ValueError("it is too long, or holds spaces, control characters or other letters")
    if "\\" in url or "\x7f" in url:
        raise ValueError("it holds a backslash or a control character")
    try:
        parts = urlsplit(url)
        port = PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
    except ValueError:
        raise ValueError("its port or its host cannot be read") from None
    if parts.scheme not in PORTS:
        raise ValueError("only http and https can be asked")
    if "@" in parts.netloc:
        raise ValueError("it holds a user or a password")
    if parts.fragment:
        raise ValueError("it holds a fragment (#), which is never sent")
    host = (parts.hostname or "").removesuffix(".")
    if fault := _fault_in_host(host, port, allowed):
        raise ValueError(fault)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(parts.scheme, host, port, _netloc(parts.scheme, host, port), target)


def _netloc(scheme: str, host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port == PORTS[scheme] else f"{shown}:{port}"


def _fault_in_host(host: str, port: int, allowed: Sequence[str]) -> str:
    address = _address(host)
    if fault := "" if address is not None else _fault_in_name(host):
        return fault
    is_listed = _is_listed(host, port, allowed)
    if port not in PORTS_ALLOWED and not is_listed:
        return f"port {port} is not one of {', '.join(map(str, sorted(PORTS_ALLOWED)))}"
    if address is not None:
        return fault_in_address(address, host=host, port=port, allowed=allowed)
    is_local = host == "localhost" or host.endswith(".localhost")
    return "it leads to this machine" if is_local and not is_listed else ""


def _fault_in_name(host: str) -> str:
    if not NAME.fullmatch(host):
        return "it has no host, or one that is no name"
    if NUMERIC.fullmatch(host.rpartition(".")[2]):
        return "its host is a number in a form that is read in more than one way"
    return ""


def _address(host: str) -> Address | None:
    # A zone (`fe80::1%eth0`) names an interface of this machine.
    if "%" in host:
        return None
    try:
        return ip_address(host)
    except ValueError:
        return None


def fault_in_address(address: Address, *, host: str, port: int, allowed: Sequence[str] = ()) -> str:
    """Return why an address of `host` may not be asked, in words; empty if it may."""
    if is_public(address) or any(address in network for network in _networks(allowed)):
        return ""
    # A listed name may lead into a private network, but never to a metadata service.
    if _is_listed(host, port, allowed) and not (address.is_link_local or address.is_multicast):
        return ""
    return "it leads to an address that is not public"


def is_public(address: Address) -> bool:
    """Return whether an address is one that anybody may reach, whatever form it is wrapped in.

    >>> is_public(ip_address("::ffff:10.0.0.1"))
    False
    """
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if any(address in network for network in WRAPPING):
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if address.teredo is not None:
            return False
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


def _is_listed(host: str, port: int, allowed: Sequence[str]) -> bool:
    for entry in allowed:
        parts = urlsplit(f"//{entry.lower()}")
        # Without a port an entry opens the usual ones.
        is_open = port in PORTS_ALLOWED if parts.port is None else port == parts.port
        if "/" not in entry and parts.hostname == host and is_open:
            return True
    return False


def _networks(allowed: Sequence[str]) -> list[IPv4Network | IPv6Network]:
    return [ip_network(entry, strict=False) for entry in allowed if "/" in entry]


def fault_in_entry(entry: str) -> str:
    """Return what is wrong with an entry of the list of an operator; empty if nothing is."""
    try:
        if "/" in entry:
            ip_network(entry, strict=False)
        elif not urlsplit(f"//{entry}").hostname or urlsplit(f"//{entry}").port == 0:
            return "it names no host"
    except ValueError:
        return "it is no host, no host:port and no network such as 10.0.0.0/8"
    return ""
