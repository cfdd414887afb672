"""Asking a wiretap, by a real client and by bare bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from providers.clock import SystemClock
from providers.exchange import FixtureLibrary
from providers.mock.simulated import Simulation
from sandbox.server.wiretap import Wiretap

CHAT = "/openai/v1/chat/completions"
PROMPT = "Why do circuit breakers trip?"


def chat(text: str = PROMPT, **fields: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **fields}


GEMINI = {"contents": [{"role": "user", "parts": [{"text": PROMPT}]}]}
CONVERSE = {"messages": [{"role": "user", "content": [{"text": PROMPT}]}]}
MESSAGES = chat(max_tokens=200)
TITAN = {"inputText": PROMPT}
CLAUDE = {**MESSAGES, "anthropic_version": "bedrock-2023-05-31"}
CLAUDE.pop("model")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Rig:
    """A wiretap and a client of it."""

    tap: Wiretap
    session: aiohttp.ClientSession
    more: dict[str, Any] = field(default_factory=dict)

    async def ask(
        self, path: str, body: Any = None, *, method: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        data = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        method = method or ("GET" if body is None else "POST")
        async with self.session.request(method, self.tap.url + path, data=data, headers=headers) as response:
            return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, await response.read())

    async def provoke(self, provider: str, *faults: Any) -> Answer:
        return await self.ask("/__wiretap/faults", {"provider": provider, "faults": list(faults)})

    async def journal(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.ask("/__wiretap/journal")).json["items"]
        return items

    async def ended(self) -> dict[str, Any]:
        """The journal's only entry, as soon as the exchange is over."""
        async with asyncio.timeout(20):
            while not (items := await self.journal()):
                await asyncio.sleep(0.01)
        (entry,) = items
        return entry

    async def raw(self, data: bytes, *, seconds: float = 5.0) -> tuple[bytes, bool]:
        """What comes back to these bytes until the connection ends, and whether it ended with a reset."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.tap.port)
        got = b""
        try:
            writer.write(data)
            async with asyncio.timeout(seconds):
                while piece := await reader.read(1 << 16):
                    got += piece
            return got, False
        except ConnectionResetError:
            return got, True
        finally:
            writer.close()


class FastClock(SystemClock):
    """Real time that passes a hundred times as fast, for what waits in turns."""

    @staticmethod
    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / 100)


@asynccontextmanager
async def tapped(
    folder: Path | None = None, *, packaged: bool = False, clock: Any = None, **options: Any
) -> AsyncIterator[Rig]:
    """A wiretap that answers from a folder of recordings, if any, and from the writer."""
    names = ("pace", "fixtures_only", "seed", "window_of")
    told = {name: options.pop(name) for name in names if name in options}
    if not packaged:
        told["library"] = FixtureLibrary([folder] if folder is not None else [])
    if clock is not None:
        options["clock"] = clock
    # Without a keep-alive connection a test never waits for one to end.
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        Wiretap(simulation=Simulation(**told), **options) as tap,
        aiohttp.ClientSession(connector=connector, auto_decompress=False) as session,
    ):
        yield Rig(tap, session)


def http(path: str, body: bytes = b"", *, method: str = "POST", version: str = "1.1", **headers: str) -> bytes:
    """A request as it is on the wire."""
    lines = [f"{method} {path} HTTP/{version}", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def parsed(data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and what follows them."""
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, rest


def put(folder: Path, name: str, **document: Any) -> None:
    """Write a fixture as a user would."""
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps({"version": 1, "provider": name.partition("/")[0], **document}))
