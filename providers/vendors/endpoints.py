"""Addresses that somebody gives at run time: what may be called for them, and what must not (server-side forgery).

An administrator may name the server of a self-hosted model. Without a check, a stolen token or a page in a browser
could have this process ask any address that it can reach: a cloud's metadata service hands out credentials so.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from providers.errors import ConfigError
from providers.vendors.settings import checked_base_url, is_loopback, shown

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[str], Awaitable[list[str]]]
"""The addresses of a host name. May raise OSError."""


async def checked_endpoint(url: str, *, source: str, allow_private: bool, lookup: Lookup | None) -> str:
    """The address without a trailing slash. Raises ConfigError, naming `source`, for one that must not be called.

    Only http and https, without a user name. Never a link-local, multicast, reserved or unspecified address: the
    metadata services of clouds are among them. Private ranges and this machine only with `allow_private`.
    `lookup`: host names are judged by all of their addresses, now; None: by their look, for modes without a network.
    """
    text = checked_base_url(url, source=source, plain_http=True)
    host = (urlsplit(text).hostname or "").rstrip(".")
    literal = _literal(host)
    addresses = [literal] if literal is not None else []
    if literal is None and is_loopback(host):
        addresses = [ipaddress.IPv4Address("127.0.0.1")]
    elif literal is None and lookup is not None:
        try:
            addresses = [ipaddress.ip_address(one.partition("%")[0]) for one in await lookup(host)]
        except (OSError, UnicodeError, ValueError):
            raise ConfigError(f"{source} is {shown(text)!r}; the host {host} cannot be found") from None
    for address in addresses:
        refusal = _refusal(address, allow_private)
        if refusal:
            where = "" if address is literal else f" is at {address}, and that"
            raise ConfigError(f"{source} is {shown(text)!r}; {host}{where} is {refusal}")
    return text


def judge(*, allow_private: bool) -> Callable[[str], str | None]:
    """The same for the addresses that a name leads to later, whenever it is called."""

    def judged(address: str) -> str | None:
        return _refusal(ipaddress.ip_address(address.partition("%")[0]), allow_private)

    return judged


async def system_lookup(host: str) -> list[str]:
    """What the system's resolver says. Raises OSError."""
    import asyncio

    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return sorted({str(one[4][0]) for one in found})


def _literal(host: str) -> Address | None:
    """The address that a host spells; None for a name. Resolvers read 2130706433, 0x7f.1 and 127.1 as addresses too."""
    try:
        # What follows a % is the zone of an IPv6 address; anything else with one is a name, whatever it begins with.
        return ipaddress.ip_address(host.partition("%")[0] if ":" in host else host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _refusal(address: Address, allow_private: bool) -> str | None:
    """What is wrong with calling an address, to follow "is"; None: nothing."""
    if isinstance(address, ipaddress.IPv6Address):
        # An IPv4 address in one of the clothes that IPv6 has for it.
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if inner:
            return _refusal(inner, allow_private)
        if address in _NAT64:
            return _refusal(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF), allow_private)
    if address.is_link_local or address in _METADATA:
        return "of the range in which clouds keep their metadata services: name the server's own address"
    if address.is_unspecified or address.is_multicast or (address.is_reserved and not address.is_loopback):
        return "no address of a server"
    if not allow_private and not address.is_global:
        return "a private address; allow private addresses to use it"
    return None


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")))
"""Metadata services outside of the link-local range: AWS by IPv6, Alibaba, Azure's wire server, Oracle's old one."""
