"""Pages in a browser: those of this machine may ask as they may ask the vendors, those of other sites may not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sandbox.core.offline import is_local


def local_origin(headers: Mapping[str, str]) -> str | None:
    """Whose page asks, where it is one of this machine; None for any other, and for a program."""
    origin = headers.get("Origin")
    return origin if origin and host_name(origin) and is_local(host_name(origin)) else None


def foreign(headers: Mapping[str, str]) -> bool:
    """Whether a page of some other site asks, in a browser on this machine: by its origin, or by a name of its own."""
    host, origin = headers.get("Host", ""), headers.get("Origin")
    return not all(is_local(host_name(address)) for address in (host, origin) if address is not None)


def leave(methods: Sequence[str], headers: Mapping[str, str]) -> dict[str, str]:
    """What a browser is told that asks before it sends a page's request."""
    return {
        "access-control-allow-methods": ", ".join(methods),
        "access-control-allow-headers": headers.get("Access-Control-Request-Headers", "*"),
        "access-control-max-age": "600",
    }


def host_name(address: str) -> str:
    """The host of `host`, `host:port` or an origin; empty for what is none of them."""
    place = address.rpartition("://")[2]
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        return host if not rest or rest.startswith(":") else ""
    return place.partition(":")[0]
