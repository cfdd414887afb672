"""botocore's HTTP session, with calls that can be cut from outside.

botocore blocks until a server answers, and has no way to give a call up. Here a call knows the socket that it goes
through for as long as it has it: shutting that down ends whatever its thread is waiting for.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from botocore.awsrequest import AWSHTTPConnection, AWSHTTPSConnection
from botocore.httpsession import URLLib3Session
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import BaseHTTPResponse

T = TypeVar("T")


class Call:
    """One request with its answer. It runs in threads, one step after the other; `cut` may come from any."""

    response: BaseHTTPResponse
    """There once it has been sent."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._given_up = False

    def run(self, step: Callable[[], T]) -> T:
        """Take a step in this thread, whose connections belong to this call meanwhile."""
        _thread.call = self
        try:
            return step()
        finally:
            del _thread.call

    def takes(self, sock: socket.socket) -> None:
        """Raises ConnectionAbortedError when the call has been given up before it had a socket to cut."""
        with self._lock:
            if self._given_up:
                raise ConnectionAbortedError
            self._socket = sock

    def leaves(self) -> None:
        """The connection goes back to the pool and may serve another call at once."""
        with self._lock:
            self._socket = None

    def cut(self) -> None:
        """End it now; nothing happens where it has ended already."""
        with self._lock:
            self._given_up = True
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
                self._socket = None

    def close(self) -> None:
        """Let go of the answer and its socket; not while a step is being taken that may wait for either."""
        if hasattr(self, "response"):
            self.response.close()


class _Thread(threading.local):
    call: Call


_thread = _Thread()


def current_call() -> Call:
    """The call whose step this thread is taking: botocore tells its handlers nothing of who asked."""
    return _thread.call


class _Connection:
    sock: Any

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        current_call().takes(self.sock)


class _HTTPConnection(_Connection, AWSHTTPConnection):  # type: ignore[misc]
    pass


class _HTTPSConnection(_Connection, AWSHTTPSConnection):  # type: ignore[misc]
    pass


class _Pool:
    def _get_conn(self, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)  # type: ignore[misc]
        if connection.sock is not None:
            try:
                current_call().takes(connection.sock)
            except ConnectionAbortedError:
                # The pool has it no more, and nobody else will have it.
                connection.close()
                raise
        return connection

    def _put_conn(self, conn: Any) -> None:
        current_call().leaves()
        super()._put_conn(conn)  # type: ignore[misc]


class _HTTPPool(_Pool, HTTPConnectionPool):
    ConnectionCls = _HTTPConnection  # type: ignore[assignment]


class _HTTPSPool(_Pool, HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection  # type: ignore[assignment]


class CuttableSession(URLLib3Session):
    """Sends what botocore has signed. Nothing is taken from the environment: no proxy."""

    def __init__(self, *, connect_timeout: float, read_timeout: float, max_connections: int) -> None:
        super().__init__(
            timeout=(connect_timeout, read_timeout),  # type: ignore[arg-type]  # the stubs know one number only
            max_pool_connections=max_connections,
        )
        # The one place where botocore says which connections it makes.
        manager: Any = self._manager  # type: ignore[attr-defined]
        manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
        # Closing would else leave the idle connections open until the pools are collected as garbage.
        manager.pools.dispose_func = HTTPConnectionPool.close
