"""Connections to Redis on which many commands are under way at once.

Of redis-py only the connection is used. Answers come in the order of the commands, so that one connection carries all
requests: redis-py's pool would open hundreds in a burst, and there a command that is given up costs its connection.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import ssl
from collections import deque
from contextlib import suppress
from typing import Any, Protocol

from redis.asyncio.connection import Connection, SSLConnection
from redis.exceptions import AuthenticationError, ReadOnlyError, RedisError, ResponseError

from sandbox.shared.address import RedisAddress
from sandbox.shared.errors import RedisAway, RedisRefused

HANDSHAKE_S = 2.0
"""Longest wait for a connection and for each answer while it is made."""
MOST_UNDER_WAY = 20_000
"""Commands that may wait for their answers; a server that falls so far behind counts as one that does not answer."""


class Wire(Protocol):
    """An open connection. It breaks once, and is then replaced."""

    broken: asyncio.Event

    def post(self, *command: Any) -> asyncio.Future[Any]:
        """Send; the future is the answer, or RedisAway or RedisRefused. Giving up the future harms nobody."""
        ...

    async def scan(self, pattern: str) -> list[bytes]:
        """All keys that match."""
        ...

    async def close(self) -> None: ...


def _away(address: RedisAddress, error: BaseException) -> RedisAway:
    """What went wrong, in a sentence that holds no credential: redis-py's own messages name host and port alone."""
    text = str(error).strip().rstrip(".") or type(error).__name__
    cause = error.__context__ if isinstance(error.__context__, OSError) else error
    if isinstance(error, AuthenticationError):
        who = f"user {address.username!r}" if address.username else "its default user"
        text = f"it refuses {who} with {'the password given' if address.password else 'no password'}"
    elif isinstance(error, TimeoutError) or text.startswith("Timeout"):
        text = f"it does not answer within {HANDSHAKE_S:g} s{'; does it speak TLS? If not: redis://' * address.tls}"
    elif isinstance(cause, ssl.SSLError):
        text = (
            f"TLS fails ({cause.reason or cause}: {getattr(cause, 'verify_message', '')}".rstrip(": ") + "); "
            "a server without TLS is redis://, and tls_ca_file names an authority of your own"
        )
    elif not address.tls and (isinstance(cause, ConnectionResetError) or "closed by server" in text):
        text = "it closes the connection; does it want TLS? If so: rediss://"
    elif isinstance(cause, OSError) and cause.errno:
        # asyncio says of every failed connection that it failed.
        text = cause.strerror or text if isinstance(cause, socket.gaierror) else os.strerror(cause.errno)
    return RedisAway(f"the Redis server {address} cannot be used: {text}")


class _Connection(Connection):
    """redis-py's connection, written to without waiting."""

    def write(self, command: tuple[Any, ...]) -> None:
        self._writer.writelines(self.pack_command(*command))  # type: ignore[union-attr]


class _TLSConnection(_Connection, SSLConnection):
    pass


class SingleWire:
    """Everything over one connection, in order."""

    def __init__(self, address: RedisAddress, connection: _Connection) -> None:
        self.broken = asyncio.Event()
        self._address = address
        self._connection = connection
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._loop = asyncio.get_running_loop()
        # The handshake is over: from here on an answer may take its time, and whoever asks gives up by himself.
        connection.socket_timeout = None
        self._reading = self._loop.create_task(self._read())

    @classmethod
    async def open(cls, address: RedisAddress) -> SingleWire:
        options: dict[str, Any] = {
            "host": address.host,
            "port": address.port,
            "db": address.database,
            "username": address.username,
            "password": address.password,
            "protocol": 3,
            "socket_connect_timeout": HANDSHAKE_S,
            "socket_timeout": HANDSHAKE_S,
        }
        if address.tls:
            options["ssl_ca_certs"] = None if address.ca_file is None else str(address.ca_file)
        connection = (_TLSConnection if address.tls else _Connection)(**options)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException as error:
            await _disconnected(connection)
            if isinstance(error, RedisError | OSError):
                raise _away(address, error) from error
            raise
        return cls(address, connection)

    def post(self, *command: Any) -> asyncio.Future[Any]:
        if self.broken.is_set():
            raise RedisAway(f"the Redis server {self._address} has closed the connection")
        if len(self._waiting) >= MOST_UNDER_WAY:
            raise RedisAway(f"the Redis server {self._address} cannot keep up: {len(self._waiting)} commands wait")
        self._connection.write(command)
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(answer)
        return answer

    async def scan(self, pattern: str) -> list[bytes]:
        keys: list[bytes] = []
        cursor: Any = b"0"
        while True:
            cursor, found = await self.post("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            keys += found
            if cursor == b"0":
                return keys

    async def close(self) -> None:
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading
        await _disconnected(self._connection)

    async def _read(self) -> None:
        read, waiting = self._connection.read_response, self._waiting
        why: BaseException = ConnectionError("it has closed the connection")
        try:
            while True:
                try:
                    answer = await read(timeout=math.inf, disconnect_on_error=False)
                except ResponseError as error:
                    if isinstance(error, ReadOnlyError):
                        # After a failover the name may lead elsewhere: a new connection finds out.
                        raise
                    future = waiting.popleft()
                    if not future.done():
                        future.set_exception(RedisRefused(_text(error)))
                else:
                    future = waiting.popleft()
                    if not future.done():
                        future.set_result(answer)
        except (RedisError, OSError) as error:
            why = error
        finally:
            self.broken.set()
            for future in waiting:
                if not future.done():
                    future.set_exception(_away(self._address, why))
                    future.exception()  # fetched, because nobody may be waiting any more
            waiting.clear()


async def _disconnected(connection: Connection) -> None:
    """Closed, and waited for: over TLS that takes a few turns of the loop."""
    with suppress(RedisError, OSError):
        await connection.disconnect()


_CODES = {
    "AskError": "ASK",
    "ClusterDownError": "CLUSTERDOWN",
    "MovedError": "MOVED",
    "NoPermissionError": "NOPERM",
    "NoScriptError": "NOSCRIPT",
    "OutOfMemoryError": "OOM",
    "TryAgainError": "TRYAGAIN",
}


def _text(error: ResponseError) -> str:
    """redis-py takes the code off messages of the errors that it knows; here it is in front again."""
    text, code = str(error), _CODES.get(type(error).__name__, "")
    return text if text.startswith(code) else f"{code} {text}"
