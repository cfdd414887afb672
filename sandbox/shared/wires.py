"""Connections to Redis on which many commands are under way at once.

redis-py connects and logs in, over TLS or not. From there on answers come in the order of the commands, so that one
connection carries all requests: redis-py's pool would open hundreds in a burst, and there a command that is given up
costs its connection.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections import deque
from contextlib import suppress
from typing import Any, Protocol

from redis.asyncio.connection import Connection, SSLConnection
from redis.exceptions import AuthenticationError, RedisError

from sandbox.shared.address import RedisAddress
from sandbox.shared.errors import RedisAway, RedisRefused
from sandbox.shared.resp import Answers, Push, packed

HANDSHAKE_S = 2.0
"""Longest wait for a connection and for each answer while it is made."""
MOST_UNDER_WAY = 20_000
"""Commands that may wait for their answers; a server that falls so far behind counts as one that does not answer."""


_USELESS = frozenset({"READONLY", "LOADING", "MASTERDOWN"})
"""Refusals of a server that serves nobody now, or no longer what it served."""


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
    elif address.ca_file is not None and isinstance(cause, FileNotFoundError | PermissionError | IsADirectoryError):
        text = f"tls_ca_file {address.ca_file} cannot be read: {cause.strerror}"
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


class SingleWire(asyncio.Protocol):
    """Everything over one connection, in order."""

    def __init__(self, address: RedisAddress, connection: Connection) -> None:
        """Takes over from redis-py, which has connected and logged in."""
        self.broken = asyncio.Event()
        self._address = address
        self._connection = connection
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._loop = asyncio.get_running_loop()
        self._answers = Answers()
        self._transport: asyncio.Transport = connection._writer.transport  # type: ignore[union-attr, assignment]
        self._before = self._transport.get_protocol()
        self._transport.set_protocol(self)
        self._write = self._transport.write

    @classmethod
    async def open(cls, address: RedisAddress) -> SingleWire:
        """Raises RedisAway."""
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
        connection = (SSLConnection if address.tls else Connection)(**options)
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
        self._write(packed(command))
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
        self._break(ConnectionError("it has been left"))
        await _disconnected(self._connection)

    # --- what the transport tells -----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        try:
            answers = self._answers.feed(data)
        except ValueError as error:
            self._break(error)
            self._transport.abort()
            return
        for answer in answers:
            if type(answer) is Push:
                continue
            if not self._waiting:
                self._transport.abort()
                return
            future = self._waiting.popleft()
            if type(answer) is not RedisRefused:
                if not future.done():
                    future.set_result(answer)
            elif answer.code in _USELESS:
                # After a failover the name may lead elsewhere: a new connection finds out.
                self._waiting.appendleft(future)
                self._break(answer)
                self._transport.abort()
                return
            elif not future.done():
                future.set_exception(answer)

    def connection_lost(self, error: Exception | None) -> None:
        self._break(error or ConnectionError("it has closed the connection"))
        # redis-py waits for it to hear of the end.
        self._before.connection_lost(error)

    def _break(self, error: BaseException) -> None:
        self.broken.set()
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(_away(self._address, error))
                future.exception()  # fetched, because nobody may be waiting any more


async def _disconnected(connection: Connection) -> None:
    """Closed, and waited for: over TLS that takes a few turns of the loop."""
    with suppress(RedisError, OSError):
        await connection.disconnect()
