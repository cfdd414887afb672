"""Where a Redis server is and how to get in: as a URL, as HOST:PORT, or as the settings say."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from providers.errors import InputError
from sandbox.settings.backends import CacheSettings

DEFAULT_PORT = 6379
_FORMS = "use HOST, HOST:PORT, redis://HOST:PORT/DATABASE or rediss://… for TLS"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One server, or any node of a cluster. Its text never holds the password."""

    host: str
    port: int = DEFAULT_PORT
    database: int = 0
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    """Certificates that the server's is checked against; None: the system's."""
    cluster: bool = False
    """True: certainly a cluster; else the server is asked."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        database = f"/{self.database}" if self.database else ""
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}{database}"

    @classmethod
    def parse(cls, text: str) -> RedisAddress:
        """From a URL or HOST[:PORT]. Raises InputError, whose sentence repeats nothing that may be a password."""
        parts = urlsplit(text.strip() if "://" in text else f"redis://{text.strip()}")
        try:
            port = parts.port
        except ValueError:
            port = 0
        if parts.scheme not in ("redis", "rediss") or not parts.hostname or port == 0:
            raise InputError(f"the address of the Redis server is not understood: {_FORMS}")
        if parts.query or parts.fragment:
            raise InputError(
                f"the address of the Redis server {parts.hostname} has options behind its path, which nobody reads: "
                "TLS, user and cluster are settings of their own"
            )
        name = parts.path.strip("/")
        if not (name.isdecimal() or not name):
            raise InputError(f"the database of the Redis server {parts.hostname} is {name!r}: use a number, such as /0")
        return cls(
            parts.hostname,
            port or DEFAULT_PORT,
            int(name or 0),
            parts.scheme == "rediss",
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
        )

    @classmethod
    def of(cls, cache: CacheSettings, endpoint: str | None = None) -> RedisAddress:
        """By the settings of the cache; `endpoint`: at another address, with their credentials. Raises InputError."""
        text = endpoint or cache.endpoint_url
        if text is None:
            raise InputError("no Redis server is named: set cache.endpoint_url to its HOST:PORT")
        address = cls.parse(text)
        return replace(
            address,
            tls=address.tls if cache.tls is None else cache.tls,
            username=cache.username or address.username,
            password=cache.password.get_secret_value() if cache.password else address.password,
            ca_file=cache.tls_ca_file,
            cluster=cache.cluster,
        )
