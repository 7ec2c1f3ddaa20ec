"""Which network addresses no request of ours may reach."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from chassis.errors import CandorError, Reason

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str], Awaitable[Sequence[Address]]]
"""Host -> all its addresses."""

_METADATA_NAMES = (
    "metadata.google.internal",
    "metadata.goog",
    "instance-data.ec2.internal",
    "instance-data",
    "metadata",
)
_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.ip_network("::/96")


def is_loopback(host: str) -> bool:
    """Whether a host can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def literal(host: str) -> Address | None:
    """The address that a host is in itself, in any form that a client may read as one (2852039166, 0xa9.254.1); or None."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def has_proxy(base_url: str) -> bool:
    """Whether the environment names a proxy for this URL (HTTP_PROXY, HTTPS_PROXY, NO_PROXY)."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    return not is_loopback(host) and parts.scheme in getproxies() and not proxy_bypass(host)


def forbidden_name(host: str) -> bool:
    """Whether a host name is that of a cloud's metadata service."""
    return host.lower().rstrip(".") in _METADATA_NAMES


def usable(address: Address, *, loopback: bool) -> str:
    """Why an address must not be called; empty if it may be."""
    return next(filter(None, (_why_not(inner, loopback=loopback) for inner in _inside(address))), "")


def _why_not(address: Address, *, loopback: bool) -> str:
    if address in _METADATA or address.is_link_local:
        return "leads to a metadata or link-local address"
    if address.is_unspecified or address.is_multicast:
        return "leads to an address that is no host's"
    if address.is_loopback and not loopback:
        return "leads to this machine itself"
    return ""


async def resolve(host: str) -> list[Address]:
    """All addresses of a host. Raises CandorError ENDPOINT_UNAVAILABLE when the name is unknown."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        message = f"{host} cannot be resolved; check the host name and the network"
        raise CandorError(Reason.ENDPOINT_UNAVAILABLE, message, metadata={"host": host}) from error
    return [ipaddress.ip_address(str(row[4][0]).partition("%")[0]) for row in found]


async def reachable(host: str) -> Sequence[Address]:
    """The addresses of a host for a request that nobody checked before: everything but metadata and link-local ones.

    Raises:
        CandorError: HOST_NOT_ALLOWED, or ENDPOINT_UNAVAILABLE when the name is unknown.
    """
    found = await resolve(host)
    for address in found:
        if why := usable(address, loopback=True):
            raise not_allowed(host, why)
    return found


def not_allowed(host: str, why: str, where: str = "") -> CandorError:
    """The error about a host that may not be called."""
    prefix = f"{where}: " if where else ""
    return CandorError(Reason.HOST_NOT_ALLOWED, f"{prefix}{host} {why}", metadata={"host": host})


def _inside(address: Address) -> list[Address]:
    """The IPv4 addresses that an IPv6 address may stand for, where it does (RFC 4291, 3056, 6052, 8215); else itself."""
    if not isinstance(address, ipaddress.IPv6Address):
        return [address]
    if (inner := address.ipv4_mapped or address.sixtofour) is not None:
        return [inner]
    last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _NAT64:
        return [last]
    if address in _NAT64_LOCAL:  # which of the two forms, only its network knows
        high, low = (int(address) >> 64) & 0xFFFF, (int(address) >> 40) & 0xFFFF
        candidates = (last, ipaddress.IPv4Address(high << 16 | low))
        return [inner for inner in candidates if int(inner)]
    if address in _COMPATIBLE and int(address) > 1:
        return [last]
    return [address]
