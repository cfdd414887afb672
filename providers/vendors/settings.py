"""What a provider class finds for itself when it is used by itself: keys, addresses and the mode, from the environment.

Under the runtime everything is passed in and nothing here is asked.
"""

from __future__ import annotations

import ipaddress
import os
from typing import Literal
from urllib.parse import urlsplit

from providers.errors import ConfigError
from providers.hints import did_you_mean

Mode = Literal["live", "mock", "replay"]

_MODES: dict[str, Mode] = {"live": "live", "record": "live", "mock": "mock", "replay": "replay"}


def environment(variable: str | None) -> str | None:
    """The variable's value without surrounding space; None where it is unset or blank."""
    return (os.environ.get(variable, "").strip() or None) if variable else None


def mode_from_environment() -> Mode:
    """What SANDBOX_MODE says; live where it is unset. Raises ConfigError for a word that is no mode."""
    named = environment("SANDBOX_MODE")
    if named is None:
        return "live"
    mode = _MODES.get(named.lower())
    if mode is None:
        raise ConfigError(
            f"SANDBOX_MODE is {named!r}: {did_you_mean(named.lower(), _MODES)}use mock, replay, record or live"
        )
    return mode


def checked_base_url(url: str, *, source: str, plain_http: bool) -> str:
    """The address without a trailing slash. Raises ConfigError, naming `source`, for one that must not be called.

    Plain http is refused except to this machine or where the vendor is self-hosted: it would send the key in the clear.
    """
    text = url.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not host or not text.isprintable() or " " in text:
        raise ConfigError(f"{source} is {shown(text)!r}; it must be an address such as https://api.example.com/v1")
    if parts.username or parts.password:
        raise ConfigError(f"{source} holds a user name or password; pass the credential as api_key instead")
    if parts.scheme == "http" and not plain_http and not is_loopback(host):
        raise ConfigError(f"{source} is {shown(text)!r}; use https, plain http would send the API key unencrypted")
    return text


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def shown(url: str) -> str:
    """An address as a message may show it: without credentials and query."""
    return url.split("?", 1)[0].rpartition("@")[2] if "@" in url else url.split("?", 1)[0]
