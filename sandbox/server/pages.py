"""Pages in a browser: those of this machine may ask as they may ask the vendors, those of other sites may not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sandbox.core.offline import is_local


def local_origin(headers: Mapping[str, str]) -> str | None:
    """Whose page asks, where it is one of this machine; None for any other, and for a program."""
    origin = headers.get("Origin")
    return origin if origin and host_name(origin) and is_local(host_name(origin)) else None


def foreign(headers: Mapping[str, str], target: str) -> bool:
    """Whether a page of some other site asks, in a browser on this machine: by its origin, or by a name of its own.

    `target` is what stands in the request's first line.
    """
    given = (headers.get("Host", ""), headers.get("Origin"), authority(target))
    return not all(is_local(host_name(address)) for address in given if address is not None)


def authority(target: str) -> str | None:
    """Whom a request's target names, in the form that is for proxies and in which it counts before the Host header.

    None: nobody, as in nearly all requests (RFC 9112, section 3.2.2).
    """
    if target.startswith("/"):
        return None
    _, scheme, rest = target.partition("://")
    return rest.partition("/")[0].partition("?")[0] if scheme else None


def leave(methods: Sequence[str], headers: Mapping[str, str]) -> dict[str, str]:
    """What a browser is told that asks before it sends a page's request."""
    return {
        "access-control-allow-methods": ", ".join(methods),
        "access-control-allow-headers": headers.get("Access-Control-Request-Headers", "*"),
        "access-control-max-age": "600",
    }


def host_name(address: str) -> str:
    """The host of `host`, `host:port` or an origin; empty for what is none of them."""
    scheme, _, place = address.rpartition("://")
    if not scheme.replace("-", "x").isalnum() and scheme:
        return ""
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        colon, port = rest[:1], rest[1:]
    else:
        host, colon, port = place.partition(":")
    return host if colon in ("", ":") and (not port or port.isdecimal()) else ""
