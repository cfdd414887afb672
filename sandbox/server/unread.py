"""What is no request at all is answered as any wrong request is: in JSON, and without repeating it.

The framework's own answer quotes the line that it could not read, with whatever key stands in it.
"""

from __future__ import annotations

from aiohttp import web

from providers.dialects import dialect
from providers.errors import InvalidRequestError

NAME = "sandbox"
"""What the `server` header says in place of the framework and its version."""


class _Connection(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        response = super().handle_error(request, status, exc, message)
        if not 400 <= status < 500:
            return response
        wire = dialect("openai_chat").encode_error(InvalidRequestError(_words(message), status=status))
        answer = web.Response(status=status, headers={**wire.headers, "server": NAME}, body=wire.body)
        answer.force_close()
        return answer


def _words(message: str | None) -> str:
    """What is wrong, as far as that quotes nothing."""
    text = (message or "").partition("b'")[0].partition('b"')[0]
    return f"this is no HTTP request: {' '.join(text.split()).rstrip(' :.') or 'it cannot be read'}"


class Discreet:
    """Makes the connections of a server, which answer so."""

    def __init__(self, server: web.Server) -> None:
        self._server = server

    def __call__(self) -> web.RequestHandler:
        connection = self._server()
        # The framework makes its connections itself and lets nobody say of which class.
        connection.__class__ = _Connection
        return connection


class Runner(web.AppRunner):
    """A runner whose connections do."""

    __slots__ = ()

    @property
    def server(self) -> web.Server | None:
        server = super().server
        return None if server is None else Discreet(server)  # type: ignore[return-value]  # all that sites call
