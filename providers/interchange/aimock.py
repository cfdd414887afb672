"""Reads fixtures of aimock (github.com/CopilotKit/aimock, `src/types.ts`): what to match, and what to answer with.

Such a fixture is no vendor's in particular; it is written in the format of the provider it is taken over for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, cast

import orjson

from providers import factory
from providers.dialects import api_of
from providers.dialects.accumulator import events_of
from providers.dialects.base import Dialect, WireError
from providers.errors import InvalidRequestError
from providers.exchange.document import Document, shown
from providers.exchange.format import Chunk, Exchange, Failure, RecordedRequest, RecordedResponse
from providers.faults import Fault
from providers.interchange import tokens
from providers.interchange.aimock_timing import STREAMED, Timing
from providers.interchange.taken import Taken
from providers.transports.faulty import provoked_error
from providers.types import Completion, GenerationRequest, StopReason, StreamFinished, StreamStarted, ToolCall
from providers.vendors.wire import WireProvider

_MATCHED: Final = ("userMessage", "systemMessage", "model", "sequenceIndex", "turnIndex", "endpoint")
_ANSWERS: Final = (
    "content", "toolCalls", "blocks", "reasoning", "finishReason", "usage", "model", "id", "created", "role",
    "systemFingerprint",
)  # fmt: skip
_STOPS: Final[dict[str, StopReason]] = {
    "stop": "stop", "end_turn": "stop", "length": "length", "max_tokens": "length", "tool_calls": "tool_calls",
    "tool_use": "tool_calls", "content_filter": "content_filter", "refusal": "content_filter",
}  # fmt: skip
_ANY_QUESTION: Final = "Anything"
"""Stands in the request of a fixture that answers every question."""


def take(document: dict[str, Any], where: str, *, provider: str = "openai") -> Taken:
    """The exchanges of a file, in the format of `provider`; what has no equivalent is a note.

    Raises FixtureError naming the place for what no such file has, ConfigError for an unknown provider.
    """
    vendor = cast("WireProvider", factory.create(provider, mock_mode=True))
    taken = Taken()
    for number, entry in enumerate(Document(document, where).inners("fixtures")):
        for exchange in _Entry(entry, vendor, f"{where}: {shown('fixtures', number)}", taken).exchanges(number):
            exchange.source = {"format": "aimock", "fixture": number}
            taken.exchanges.append(exchange)
    return taken


class _Entry:
    """One fixture on its way over."""

    def __init__(self, entry: Document, vendor: WireProvider, place: str, taken: Taken) -> None:
        self.entry = entry
        self.match = entry.inner("match", required=True)
        self.response = entry.inner("response", required=True)
        self.vendor = vendor
        self.place = place
        self.taken = taken
        model = self.match.text("model") or self.response.text("model") or vendor.model
        self._model = vendor.resolve_model(model) or model

    def note(self, sentence: str) -> None:
        """Once, though there may be two forms."""
        if f"{self.place}: {sentence}" not in self.taken.notes:
            self.taken.note(self.place, sentence)

    def exchanges(self, number: int) -> list[Exchange]:
        """One, in the form that the fixture tells of, and where streams are an API of their own the other form too."""
        answer = self.response
        failure = answer.inner("error") if answer.raw.get("error") is not None else None
        if failure is None and not {"content", "toolCalls", "blocks"} & set(answer.raw):
            kinds = ", ".join(map(repr, answer.raw)) or "nothing"
            self.note(f"an answer of {kinds} is none of a chat; left out")
            return []
        endpoint = self.match.text("endpoint")
        if endpoint not in (None, "chat"):
            self.note(f"match.endpoint {endpoint!r} is no chat; left out")
            return []
        question = self.match.text("userMessage")
        others = [name for name in self.match.raw if name not in _MATCHED and self.match.raw[name] is not None]
        if question is None and others:
            self.note(f"it matches by {' and '.join(others)} alone, for which there is no rule here; left out")
            return []
        for name in others:
            self.note(f"match.{name} is not looked at here")
        timing = Timing.of(self.entry)
        stream = failure is None and self._streamed(timing)
        forms = [stream]
        name = self._dialect().name
        if api_of(name, stream=True) != api_of(name):
            forms.append(not stream)
        turn = self._turn()
        self._say_what_is_left()
        found = []
        for form in forms:
            try:
                found.append(self._exchange(question, number, turn, failure, timing, stream=form))
            except InvalidRequestError as error:
                # Such as a stream of a model that has none.
                self.note(f"{error.message}; left out")
        return found

    def _exchange(
        self,
        question: str | None,
        number: int,
        turn: int | None,
        failure: Document | None,
        timing: Timing,
        *,
        stream: bool,
    ) -> Exchange:
        exchange = self._asked(question, stream=stream)
        exchange.sequence = turn
        if failure is not None:
            exchange.response = self._refusal(failure)
        else:
            exchange.response, exchange.error = self._answered(self._completion(number), timing, stream=stream)
        return exchange

    # --- the question -----------------------------------------------------------------------------------------------

    def _asked(self, question: str | None, *, stream: bool) -> Exchange:
        vendor = self.vendor
        system = self.match.raw.get("systemMessage")
        if isinstance(system, list):
            system = "\n".join(map(str, system))
        dialect = self._dialect()
        body = dialect.encode_request(
            GenerationRequest(prompt=question or _ANY_QUESTION, system=system or None, model=self._model),
            model=self._model,
            stream=stream,
            quirks=vendor.quirks_of(self._model),
        )
        return Exchange(
            provider=vendor.kind,
            api=api_of(dialect.name, stream=stream),
            request=RecordedRequest(
                path=vendor.path_of(self._model, stream=stream),
                headers={"content-type": "application/json"},
                body=orjson.loads(body),
            ),
            # A part of the question is enough for aimock.
            match="any" if question is None else "regex",
            pattern=None if question is None else re.escape(question),
        )

    def _dialect(self) -> Dialect:
        return self.vendor.dialect_of(self._model)

    def _turn(self) -> int | None:
        for name in ("sequenceIndex", "turnIndex"):
            value = self.match.raw.get(name)
            if value is not None:
                if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                    raise self.match.wrong(name, value, "a whole number from 0 on")
                if name == "turnIndex":
                    self.note("match.turnIndex counts the requests of a run here, not the turns of a conversation")
                return value + 1
        return None

    # --- the answer -------------------------------------------------------------------------------------------------

    def _streamed(self, timing: Timing) -> bool:
        """Whether it says how a stream comes; the time of a single piece says so of a whole answer too."""
        given = {name for name in STREAMED if self.entry.raw.get(name) is not None}
        return bool(given - {"recordedTimings"}) or bool(timing.delays)

    def _completion(self, number: int) -> Completion:
        answer = self.response
        content, calls = answer.raw.get("content"), []
        if content is not None and not isinstance(content, str):
            content = orjson.dumps(content).decode()
        for block in answer.inners("blocks") if answer.raw.get("blocks") is not None else ():
            if block.text("type") == "toolCall":
                calls.append(block)
            elif answer.raw.get("content") is None:
                content = (content or "") + (block.text("text") or "")
        if answer.raw.get("toolCalls") is not None:
            calls = answer.inners("toolCalls")
        word = answer.text("finishReason") or ("tool_calls" if calls else "stop")
        return Completion(
            text=content,
            reasoning_text=answer.text("reasoning"),
            finish_reason=None if word in _STOPS else word,
            stop=_STOPS.get(word, "other"),
            usage=tokens.read(answer.object("usage")),
            tool_calls=[_call(call, f"call_{number}_{index}") for index, call in enumerate(calls)],
            model=answer.text("model") or self._model,
            response_id=answer.text("id") or f"aimock-{number}",
        )

    def _answered(
        self, completion: Completion, timing: Timing, *, stream: bool
    ) -> tuple[RecordedResponse, Failure | None]:
        dialect = self._dialect()
        model, ident = completion.model or "", completion.response_id or ""
        given = self.response.raw.get("created")
        created = given if isinstance(given, int) else 0
        if not stream:
            body = dialect.encode_completion(completion, model=model, response_id=ident, created=created)
            headers = {"content-type": "application/json"}
            return RecordedResponse(200, headers, (Chunk(0.0, body),), "body", timing.after(0)), None
        encoder = dialect.encoder(model=model, response_id=ident, created=created)
        # The head counts as a piece, in formats that have none too: so aimock counts, and so a cut is counted.
        frames = [encoder.start()]
        for event in events_of(completion, timing.pieces):
            if isinstance(event, (StreamStarted, StreamFinished)):
                continue
            if data := encoder.event(event):
                frames.append(data)
        frames.append(encoder.finish(completion))
        chunks = tuple(Chunk(timing.after(index), data) for index, data in enumerate(frames))
        kept = _until(chunks, timing)
        response = RecordedResponse(200, {"content-type": encoder.content_type}, kept, "chunks")
        return response, "connection_reset" if len(kept) < len(chunks) else None

    def _refusal(self, failure: Document) -> RecordedResponse:
        answer = self.response
        status = answer.raw.get("status", 500)
        if isinstance(status, bool) or not isinstance(status, int) or not 400 <= status <= 599:
            raise answer.wrong("status", status, "an HTTP error status such as 429")
        wait = answer.amount("retryAfter", "seconds from 0 on") or None
        error = provoked_error(Fault("http_error", status=status), wait)
        error.message = failure.text("message") or ""
        wire = self._dialect().encode_error(error)
        code = failure.raw.get("code")
        headers, body = _named(wire, failure.text("type"), None if code is None else str(code), self.note)
        return RecordedResponse(status, headers, (Chunk(0.0, body),), "body")

    # --- what is left -----------------------------------------------------------------------------------------------

    def _say_what_is_left(self) -> None:
        if self.match.raw.get("systemMessage") is not None:
            self.note("match.systemMessage is kept in the request, but not looked at here")
        if self.match.raw.get("model") is not None:
            self.note("match.model is kept in the request, but any model is answered")
        known = {"match", "response", "metadata", *STREAMED}
        for name in self.entry.raw:
            if name not in known:
                self.note(f"{name} has no equivalent and was left out")
        if self.entry.inner("streamingProfile").raw.get("jitter"):
            self.note("streamingProfile.jitter has no equivalent: the pace is even")
        failed = self.response.raw.get("error") is not None
        used = ("error", "status", "retryAfter") if failed else _ANSWERS
        for name in self.response.raw:
            if name not in used:
                self.note(f"response.{name} has no equivalent and was left out")


def _call(call: Document, ident: str) -> ToolCall:
    arguments = call.raw.get("arguments", "{}")
    if not isinstance(arguments, str):
        arguments = orjson.dumps(arguments).decode()
    name = call.text("name")
    if not name:
        raise call.wrong("name", name, "the name of a tool")
    return ToolCall(call.text("id") or ident, name, arguments)


def _until(chunks: tuple[Chunk, ...], timing: Timing) -> tuple[Chunk, ...]:
    """The pieces that come before the connection is cut."""
    kept = chunks if timing.truncate_after is None else chunks[: timing.truncate_after]
    if timing.disconnect_after is not None:
        at = 0.0
        for index, chunk in enumerate(kept):
            at += chunk.after_ms
            if at > timing.disconnect_after:
                return kept[:index]
    return kept


def _named(
    wire: WireError, kind: str | None, code: str | None, note: Callable[[str], None]
) -> tuple[dict[str, str], bytes]:
    """An error with the type and the code of the fixture in place of those that the format has for its status."""
    headers, body = dict(wire.headers), orjson.loads(wire.body)
    error = body.get("error")
    places = error if isinstance(error, dict) else {}
    if "param" in places:
        # OpenAI's shape has a place for everything, and null where there is nothing.
        places.update(type=kind, code=code)
        return headers, orjson.dumps(body)
    if kind is not None:
        name = next((name for name in ("type", "status") if name in places), None)
        if name is not None:
            places[name] = kind
        elif "x-amzn-errortype" in headers:
            headers["x-amzn-errortype"] = kind
        else:
            note("response.error.type has no place in the errors of this provider")
    if code is not None:
        if "code" in places:
            # A number stays one: Google's is the status.
            places["code"] = code if not isinstance(places["code"], int) else places["code"]
        else:
            note("response.error.code has no place in the errors of this provider")
    return headers, orjson.dumps(body)
