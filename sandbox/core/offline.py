"""Holds the promise that mock and replay stay on this machine: whoever opens a socket in the process, libraries too.

Python reports every connection and look-up to audit hooks before it happens. A hook cannot be removed again, so there
is one for the whole process, which can be inactive.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SENT = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_LOOKED_UP = frozenset({"socket.getaddrinfo", "socket.gethostbyname"})
_WATCHED = _SENT | _LOOKED_UP
_LOCAL_NAMES = frozenset({"", "localhost", "localhost.", "ip6-localhost", "ip6-loopback"})
OFFLINE_MODES = frozenset({"mock", "replay"})


class OfflineViolation(OSError):
    """Something tried to reach another machine in a mode that promises not to."""


class _Switch:
    __slots__ = ("installed", "on")

    def __init__(self) -> None:
        self.installed = False
        self.on = False


_switch = _Switch()


def stay_offline() -> None:
    """From now on refuse every connection and look-up that would leave this machine with OfflineViolation."""
    if not _switch.installed:
        _switch.installed = True
        sys.addaudithook(_watch)
    _switch.on = True


def allow_network() -> None:
    """Refuse nothing any more."""
    _switch.on = False


def is_offline() -> bool:
    return _switch.on


def follow(mode: str) -> None:
    """Stay offline exactly where the mode promises it."""
    if mode in OFFLINE_MODES:
        stay_offline()
    else:
        allow_network()


@contextmanager
def following(mode: str) -> Iterator[None]:
    """`follow` for a while, and then as it was before."""
    before = _switch.on
    follow(mode)
    try:
        yield
    finally:
        _switch.on = before


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    # Called for every event of the interpreter, imports and opened files among them: it must be over at once.
    if event not in _WATCHED or not _switch.on:
        return
    if event in _LOOKED_UP:
        host = arguments[0]
    else:
        address = arguments[1]
        # None: a socket that is connected already; no tuple: a path of this machine.
        if not isinstance(address, tuple) or not address:
            return
        host = address[0]
        if isinstance(host, int) and getattr(arguments[0].family, "name", "") == "AF_NETLINK":
            return
    if not is_local(host):
        name = host.decode(errors="replace") if isinstance(host, (bytes, bytearray)) else host
        raise OfflineViolation(
            f"this mode stays on this machine: reaching {str(name)[:200]!r} was refused; use --mode live to go online"
        )


def is_local(host: object) -> bool:
    """Whether a name or an address means this machine and nothing else, without asking anybody."""
    if host is None:
        return True
    name = host.decode(errors="replace") if isinstance(host, (bytes, bytearray)) else str(host)
    if name.lower() in _LOCAL_NAMES:
        return True
    import ipaddress

    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback or address.is_unspecified)
