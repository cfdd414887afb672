"""What the attached screen asks a served gateway over HTTP. Belongs to one event loop."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import orjson

from providers.clock import SYSTEM_CLOCK, Clock
from providers.dialects.sse import SseEvent, SseSplitter
from providers.errors import InputError, MalformedResponseError
from providers.redaction import redact

if TYPE_CHECKING:
    import aiohttp

TOO_LONG_S: Final = 10.0
"""Within which a question about the gateway itself is answered."""
SILENCE_S: Final = 45.0
"""A stream of events that says nothing for so long is dead: there is a sign of life every 15 s."""
KEYS: Final = ": attach with the token that `sandbox serve` says, or a key of `sandbox admin key create NAME`"
"""Behind a refusal of whoever shows none that is known; a token for one start is not known to the next."""
SCOPES: Final = ": a screen needs both, as `sandbox admin key create NAME --scope admin --scope chat` gives them"
"""Behind a refusal of a key that may watch and not ask, or ask and not watch."""
NEEDED: Final = frozenset(
    {
        "mode", "preset", "presets", "strategy", "strategies", "deadline_s", "models", "providers", "faults", "notes",
        "spent_usd",
    }
)  # fmt: skip
"""What a screen reads of how a gateway is."""
MAX_SAID: Final = 300
"""Characters of an error that is no JSON."""


class LinkError(Exception):
    """The gateway could not be asked, or refused; the message says why in one sentence."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(redact(message))
        self.status = status
        """Of its answer; None: there was none."""


def gateway_address(text: str) -> str:
    """The base address of a gateway, without `/v1`, from what a user writes. Raises InputError."""
    wanted = text.strip()
    parts = urlsplit(wanted if "://" in wanted else f"http://{wanted}")
    try:
        port = parts.port
    except ValueError:
        raise InputError(f"the port of {text!r} is no number from 0 to 65535") from None
    if parts.username is not None or parts.password is not None:
        raise InputError("the address has a user or a password in it, which other users of this machine could read")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InputError(f"{text!r} is no address of a gateway; it must be one such as http://127.0.0.1:4000")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    path = parts.path.rstrip("/").removesuffix("/v1")
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{path}"


class GatewayClient:
    """Asks with a token, where one is known. `async with` closes its connections."""

    def __init__(self, url: str, token: str | None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.url = url
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._last: str | None = None
        """Of the newest event that was seen, to go on from there."""

    async def __aenter__(self) -> GatewayClient:
        import aiohttp

        self._session = aiohttp.ClientSession(
            headers=self._headers, timeout=aiohttp.ClientTimeout(total=None, sock_connect=TOO_LONG_S)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def state(self, since_us: int) -> dict[str, Any]:
        """How the gateway is, and what was spent since. Raises LinkError, also for one that tells less than a screen
        needs."""
        answer = await self._asked("GET", f"/api/admin/gateway?since_us={since_us}")
        if not answer.keys() >= NEEDED:
            raise LinkError(f"{self.url} is of another version than this screen")
        return answer

    async def change(self, path: str, **body: Any) -> dict[str, Any]:
        """A change by the admin API. Raises LinkError."""
        return await self._asked("POST", f"/api/admin/{path}", body)

    async def events(self) -> AsyncIterator[SseEvent]:
        """What happens there, from now on or from where this left off. Ends with the server. Raises LinkError."""
        headers = {} if self._last is None else {"Last-Event-ID": self._last}
        async with self._open("GET", "/api/admin/events?texts=true", headers=headers) as response:
            splitter = SseSplitter()
            source = response.content.iter_any()
            while True:
                try:
                    async with self._clock.timeout(SILENCE_S):
                        data = await anext(source, b"")
                except TimeoutError:
                    raise LinkError(f"{self.url} says nothing any more") from None
                if not data:
                    return
                for event in _fed(splitter, data):
                    yield event
                self._last = splitter.last_id or self._last

    async def told(
        self, path: str, body: Mapping[str, Any] | None = None, *, patience: float = TOO_LONG_S, query: str = ""
    ) -> bytes:
        """What a path of the admin API tells, asked with a body or without one. Raises LinkError."""
        return await self._read("GET" if body is None else "POST", f"/api/admin/{path}{query}", body, patience)

    async def pieces(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """What a path tells piece by piece, as the pieces come. Raises LinkError, also for what breaks off."""
        headers = {"content-type": "application/json"}
        async with self._open("POST", f"/api/admin/{path}", orjson.dumps(body), headers) as response:
            async for piece in response.content.iter_any():
                yield piece

    @asynccontextmanager
    async def completion(self, body: bytes, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """A chat completion under way. Raises LinkError for a refusal."""
        sent = {"content-type": "application/json", **headers}
        async with self._open("POST", "/v1/chat/completions", body, sent) as response:
            yield response

    # --- one exchange -----------------------------------------------------------------------------------------------

    async def _read(self, method: str, path: str, body: Mapping[str, Any] | None, patience: float) -> bytes:
        sent = None if body is None else orjson.dumps(body, default=str)
        headers = {} if sent is None else {"content-type": "application/json"}
        try:
            async with self._clock.timeout(patience), self._open(method, path, sent, headers) as response:
                return await response.read()
        except TimeoutError:
            raise LinkError(f"{self.url} did not answer within {patience:.0f} s") from None

    async def _asked(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            answer = orjson.loads(await self._read(method, path, body, TOO_LONG_S))
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise LinkError(f"{self.url} answers, but not as a gateway of this program")
        return answer

    @asynccontextmanager
    async def _open(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        import aiohttp

        assert self._session is not None, "used outside its `async with`"  # noqa: S101
        try:
            async with self._session.request(
                method, self.url + path, data=body, headers=headers, allow_redirects=False
            ) as response:
                if response.status != 200:
                    said = await self._said(response)
                    if response.status == 404 and f"there is no {urlsplit(path).path}" in said:
                        said = f"{self.url} is of an older version, which cannot do this: update it there"
                    elif response.status == 401:
                        said += KEYS
                    elif response.status == 403 and "does not have the scope" in said:
                        said += SCOPES
                    raise LinkError(said, response.status)
                yield response
        except aiohttp.ClientConnectorError as error:
            number = error.os_error.errno
            why = os.strerror(number).lower() if number is not None and number > 0 else "its name is not known"
            raise LinkError(f"nothing answers at {self.url}: {why}") from None
        except (aiohttp.ClientError, ConnectionError) as error:
            raise LinkError(f"the connection to {self.url} broke: {type(error).__name__}") from None

    async def _said(self, response: aiohttp.ClientResponse) -> str:
        """A refusal in words."""
        text = (await response.content.read(1 << 16)).decode("utf-8", "replace")
        try:
            return str(orjson.loads(text)["error"]["message"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            short = " ".join(text.split())[:MAX_SAID]
            return f"{self.url} answers with status {response.status}" + (f": {short}" if short else "")


def _fed(splitter: SseSplitter, data: bytes) -> list[SseEvent]:
    try:
        return splitter.feed(data)
    except MalformedResponseError as error:
        raise LinkError(f"its events cannot be read: {error}") from None
