"""What can be wrong with a folder of authored exchanges: one sentence for each finding, none where all is well."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import orjson

from providers.dialects import API_DIALECTS, api_of, spoken
from providers.errors import FixtureError, ProviderError
from providers.exchange import Exchange, FixtureLibrary, Query, redacted
from providers.exchange.canonical import last_user_text
from providers.exchange.framing import is_stream
from providers.factory import KINDS
from providers.transports.replay import ReplayTransport
from providers.vendors.conformance import compare, provider_of, replay

FACTS: Final = (
    "text", "reasoning_text", "finish_reason", "input_tokens", "output_tokens", "cached_input_tokens",
    "cache_write_tokens", "reasoning_tokens", "tool_calls", "model", "error_type", "error_code", "error_message",
    "stream_events",
)  # fmt: skip
FAILURE_FACTS: Final = ("error_class", "retryable", "retry_after")


def strays(folder: Path) -> list[str]:
    """Folders of no provider, files that are no exchange, exchanges in another provider's folder."""
    found: list[str] = []
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if path.is_dir():
            if place.name not in KINDS or len(place.parts) > 1:
                found.append(f"{place}: no provider is called so")
        elif path.suffix != ".json" or len(place.parts) != 2:
            found.append(f"{place}: not a fixture")
        else:
            try:
                exchange = FixtureLibrary([folder]).exchange(str(place))
            except FixtureError as error:
                found.append(f"{place}: {error}")
                continue
            if exchange.provider != place.parts[0]:
                found.append(f"{place}: it is of {exchange.provider}")
    return found


def exchanges(library: FixtureLibrary) -> Iterator[Exchange]:
    for provider in library.providers():
        for name in library.cases(provider):
            yield library.exchange(name)


def question(exchange: Exchange) -> str:
    return last_user_text(exchange.request.body)


def offered_api(exchange: Exchange) -> str:
    """By which name a provider is asked for the exchange's API: a stream may have one of its own."""
    return api_of(API_DIALECTS[exchange.api])


def orphans(library: FixtureLibrary) -> list[str]:
    """Exchanges that their own request does not find, because it finds none or another."""
    found: list[str] = []
    for exchange in exchanges(library):
        body = orjson.dumps(exchange.request.body)
        found += _not_found(library, exchange, Query(exchange.provider, exchange.api, body, exchange.request.path), "")
    return found


def _not_found(library: FixtureLibrary, exchange: Exchange, query: Query, what: str) -> list[str]:
    counts: dict[str, int] = {}
    # A recording for the n-th request answers when it has been asked n times.
    for _ in range(exchange.sequence or 1):
        match = library.find(query, counts)
    if match is None:
        return [f"{exchange.name}: {what}{library.explain(query)}"]
    if match.exchange.name != exchange.name:
        return [f"{exchange.name}: {what}{match.exchange.name} answers in its place"]
    return []


async def drift(library: FixtureLibrary) -> list[str]:
    """Exchanges whose request the provider no longer writes so that it is answered by them."""
    found: list[str] = []
    for exchange in exchanges(library):
        sent = await _sent(exchange)
        if isinstance(sent, str):
            found.append(f"{exchange.name}: {sent}")
        else:
            found += _not_found(library, exchange, sent, "asked as the provider asks now: ")
    return found


async def misread(exchange: Exchange) -> list[str]:
    """How what the provider reads differs from `expected`, whole or byte by byte."""
    whole = await replay(exchange)
    problems = compare(whole, exchange.expected)
    if await replay(exchange, split=lambda body: (bytes([byte]) for byte in body)) != whole:
        problems.append("read byte by byte it means something else")
    return problems


async def _sent(exchange: Exchange) -> Query | str:
    """The exchange's request as the provider itself would write it; what is wrong where it would not."""
    try:
        dialect = spoken(exchange.api, exchange.request.path)
        request, stream, _ = dialect.decode_request(orjson.dumps(exchange.request.body), path=exchange.request.path)
    except ProviderError as error:
        return f"its request cannot be read: {error}"
    transport = ReplayTransport(exchange)
    provider = provider_of(exchange)(api_key="made-up", transport=transport, api=offered_api(exchange))
    model = request.model or provider.model_id
    try:
        if stream:
            async for _ in provider.stream_attempt(request, model):
                pass
        else:
            await provider.attempt(request, model)
    except ProviderError:
        pass
    finally:
        await provider.close()
    asked = transport.requests[0]
    if asked.api == exchange.api == "streamGenerateContent" and "alt=sse" not in exchange.request.path:
        # This program asks for events; a JSON array is what other clients ask for.
        return Query(exchange.provider, asked.api, asked.body, exchange.request.path)
    return Query(exchange.provider, asked.api, asked.body, asked.path)


def incomplete(exchange: Exchange) -> list[str]:
    """Facts that `expected` does not give, or gives wrongly, by the bytes themselves."""
    expected = exchange.expected
    failed = expected.get("error_class") is not None
    wanted = {*FACTS, *(FAILURE_FACTS if failed else ())}
    if failed and (exchange.error is not None or not _words(exchange)):
        # There is no word of the vendor's to expect.
        wanted.discard("error_message")
    found = [f"expected lacks {name}" for name in sorted(wanted - expected.keys())]
    found += [f"expected has {name}, which means nothing" for name in sorted(expected.keys() - wanted)]
    counted = stream_events(exchange)
    if expected.get("stream_events") != counted:
        found.append(f"stream_events is {expected.get('stream_events')}, the body has {counted}")
    return found


def _words(exchange: Exchange) -> bool:
    """Whether the answer holds a message: a web page and Gemini's blocked prompt do not."""
    body = b"" if exchange.response is None else exchange.response.body
    return b"<html>" not in body and b'"promptFeedback"' not in body


def stream_events(exchange: Exchange) -> int | None:
    """How many events the body has, counted without the decoders; None where it is no stream."""
    response = exchange.response
    if response is None or not is_stream(exchange.api, response):
        return None
    body, kind = response.body, response.headers["content-type"]
    if "amazon.eventstream" in kind:
        count = 0
        while body:
            body = body[struct.unpack(">I", body[:4])[0] :]
            count += 1
        return count
    if "ndjson" in kind:
        return sum(bool(line.strip()) for line in body.split(b"\n"))
    if "event-stream" in kind:
        blocks = body.replace(b"\r\n", b"\n").split(b"\n\n")
        return sum(any(line.startswith(b"data:") for line in block.split(b"\n")) for block in blocks)
    return len(orjson.loads(body))


def secrets(exchange: Exchange) -> list[str]:
    """Whether anything in it looks like a credential, binary pieces included."""
    try:
        clean = redacted(exchange) == exchange
    except FixtureError as error:
        return [str(error)]
    return [] if clean else ["something in it looks like a credential"]
