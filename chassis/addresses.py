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


def is_loopback(host: str) -> bool:
    """Whether a host can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


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
    inner = _inside(address)
    if inner in _METADATA or inner.is_link_local:
        return "leads to a metadata or link-local address"
    if inner.is_unspecified or inner.is_multicast:
        return "leads to an address that is no host's"
    if inner.is_loopback and not loopback:
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


def _inside(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
