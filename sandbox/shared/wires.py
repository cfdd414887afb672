"""Connections to Redis on which many commands are under way at once. The only module that imports redis-py.

Of redis-py's client only the connection is used for a single server: its answers come in the order of the commands, so
one connection carries all requests. A pool would open hundreds in a burst, and a command that is given up would cost
its connection. A cluster is left to redis-py's own client, which knows where each key is and follows it when it moves.
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

from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)

from sandbox.shared.address import RedisAddress
from sandbox.shared.errors import RedisAway, RedisRefused

HANDSHAKE_S = 2.0
"""Longest wait for a connection and for each answer while it is made."""
_FOR_ANY_NODE = frozenset({"PING", "HELLO", "ACL", "TIME"})
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


async def open_wire(address: RedisAddress) -> Wire:
    """Connect, log in and see whether the server is one of a cluster. Raises RedisAway."""
    if address.cluster:
        return await ClusterWire.open(address)
    wire = await SingleWire.open(address)
    try:
        # Asked again, because redis-py keeps nothing of the answer that it had.
        about = await wire.post("HELLO")
        mode = about.get(b"mode")
    except RedisRefused:
        mode = b"standalone"
    except BaseException:
        await wire.close()
        raise
    if mode != b"cluster":
        return wire
    await wire.close()
    return await ClusterWire.open(address)


def _credentials(address: RedisAddress) -> dict[str, Any]:
    return {
        "username": address.username,
        "password": address.password,
        "protocol": 3,
        "socket_connect_timeout": HANDSHAKE_S,
        "socket_timeout": HANDSHAKE_S,
    }


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
        options: dict[str, Any] = {"host": address.host, "port": address.port, "db": address.database}
        if address.tls:
            options["ssl_ca_certs"] = None if address.ca_file is None else str(address.ca_file)
        connection = (_TLSConnection if address.tls else _Connection)(**options, **_credentials(address))
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            await connection.disconnect(nowait=True)
            raise _away(address, error) from error
        except BaseException:
            await connection.disconnect(nowait=True)
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
        with suppress(RedisError, OSError):
            await self._connection.disconnect()

    async def _read(self) -> None:
        read, waiting = self._connection.read_response, self._waiting
        why: BaseException = ConnectionError("it has closed the connection")
        try:
            while True:
                try:
                    answer = await read(timeout=math.inf)
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


class ClusterWire:
    """redis-py's cluster client. Each command is a task, so that one that is given up still ends in order."""

    def __init__(self, address: RedisAddress, client: RedisCluster) -> None:
        self.broken = asyncio.Event()
        self._address = address
        self._client = client
        self._places = asyncio.Semaphore(max(1, address.max_connections))
        self._tasks: set[asyncio.Task[Any]] = set()

    @classmethod
    async def open(cls, address: RedisAddress) -> ClusterWire:
        client = RedisCluster(
            host=address.host,
            port=address.port,
            ssl=address.tls,
            ssl_ca_certs=None if address.ca_file is None else str(address.ca_file),
            max_connections=max(1, address.max_connections),
            require_full_coverage=False,
            # The map of the slots is read anew at the first sign that it is old.
            reinitialize_steps=1,
            retry=Retry(NoBackoff(), 1),
            **_credentials(address),
        )
        try:
            await client.initialize()
        except (RedisError, OSError) as error:
            await client.aclose()
            raise _away(address, error) from error
        except BaseException:
            await client.aclose()
            raise
        return cls(address, client)

    def post(self, *command: Any) -> asyncio.Future[Any]:
        if len(self._tasks) >= MOST_UNDER_WAY:
            raise RedisAway(f"the Redis cluster {self._address} cannot keep up: {len(self._tasks)} commands wait")
        task = asyncio.get_running_loop().create_task(self._run(command))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return asyncio.shield(task)

    async def scan(self, pattern: str) -> list[bytes]:
        try:
            return [key async for key in self._client.scan_iter(pattern, count=1000)]
        except (RedisError, OSError) as error:
            raise _away(self._address, error) from error

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        with suppress(RedisError, OSError):
            await self._client.aclose()

    async def _run(self, command: tuple[Any, ...]) -> Any:
        async with self._places:
            try:
                if command[0] in _FOR_ANY_NODE:
                    return await self._anywhere(command)
                return await self._client.execute_command(*command)
            except ResponseError as error:
                if isinstance(error, ClusterDownError | MovedError | ReadOnlyError):
                    raise _away(self._address, error) from error
                raise RedisRefused(_text(error)) from None
            except (RedisError, RedisClusterException, BusyLoadingError, OSError) as error:
                raise _away(self._address, error) from error

    async def _anywhere(self, command: tuple[Any, ...]) -> Any:
        """The first answer of any node: a cluster of which one node is gone can still be used."""
        nodes = self._client.get_primaries()
        for last, node in zip([*[False] * (len(nodes) - 1), True], nodes, strict=True):
            try:
                return await self._client.execute_command(*command, target_nodes=node)
            except (RedisError, OSError) as error:
                if last or isinstance(error, ResponseError):
                    raise
        raise RedisClusterException("it has no primary node")

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # fetched, because nobody may be waiting any more


def _text(error: ResponseError) -> str:
    """redis-py takes the code off messages of the errors that it knows; here it is in front again."""
    text = str(error)
    code = {"OutOfMemoryError": "OOM", "NoScriptError": "NOSCRIPT", "NoPermissionError": "NOPERM"}.get(
        type(error).__name__, ""
    )
    return text if not code or text.startswith(code) else f"{code} {text}"
