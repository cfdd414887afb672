"""How Bedrock's streams fail, and that no frame whatever breaks what reads them."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers import errors as e
from providers.dialects import dialect
from providers.dialects.base import StreamDecoder
from providers.dialects.bedrock import ERROR_MESSAGE_BYTES, write_event
from providers.dialects.eventstream import FrameSplitter, write_frame
from providers.types import Completion, StreamFinished, TextDelta, TokenUsage
from tests.providers.dialects.recorded import cut, drain, recordings
from tests.providers.dialects.test_fuzz import JSON
from tests.shared_material import needs_wire

NAMES = ["bedrock_converse", "bedrock_invoke"]
FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def begun(name: str, *deltas: str) -> bytes:
    encoder = dialect(name).encoder(model="amazon.titan-text-express-v1", response_id="r", created=0)
    return encoder.start() + b"".join(encoder.event(TextDelta(delta)) for delta in deltas)


def exception(kind: str, **body: object) -> bytes:
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return write_frame(headers, orjson.dumps(body))


# --- exceptions in a stream -----------------------------------------------------------------------------------------

FAILURES: list[tuple[bytes, type[e.ProviderError], str, str]] = [
    (exception(kind, message="no"), cls, kind, "no")
    for kind, cls in [
        ("throttlingException", e.RateLimitError),
        ("validationException", e.InvalidRequestError),
        ("modelStreamErrorException", e.ServiceUnavailableError),
        ("internalServerException", e.ServiceUnavailableError),
        ("serviceUnavailableException", e.ServiceUnavailableError),
        ("modelTimeoutException", e.ProviderTimeoutError),
        ("unheardOfException", e.ServiceUnavailableError),
    ]
]
FAILURES += [
    (
        exception("throttlingException", message="Too many input tokens, please wait before trying again."),
        e.RateLimitError, "throttlingException", "Too many input tokens, please wait before trying again.",
    ),
    (
        exception("validationException", message="Input is too long for requested model."),
        e.ContextLengthError, "validationException", "Input is too long for requested model.",
    ),
    (
        exception("modelStreamErrorException", message="x", originalStatusCode=400, originalMessage="y"),
        e.ServiceUnavailableError, "modelStreamErrorException", "x",
    ),
    (
        write_frame({":message-type": "exception", ":exception-type": "throttlingException"}, b"slow"),
        e.RateLimitError, "throttlingException", "slow",
    ),
    (
        write_frame({":message-type": "error", ":error-code": "AccessDeniedException", ":error-message": "no"}, b""),
        e.PermissionDeniedError, "AccessDeniedException", "no",
    ),
    (
        write_frame({":message-type": "error", ":error-code": "ExpiredTokenException", ":error-message": "no"}, b""),
        e.AuthenticationError, "ExpiredTokenException", "no",
    ),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("deltas", [(), ("Hel", "lo")])
@pytest.mark.parametrize(("frame", "cls", "kind", "message"), FAILURES)
def test_an_exception_in_a_stream_is_its_class_first_or_in_the_middle(
    name: str, deltas: tuple[str, ...], frame: bytes, cls: type[e.ProviderError], kind: str, message: str
) -> None:
    body = begun(name, *deltas) + frame
    for pieces in ([body], [bytes([b]) for b in body]):
        events, error = drain(dialect(name).decoder(), pieces)
        assert type(error) is cls
        assert (error.error_type, error.message) == (kind, message)
        assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "".join(deltas)


def test_a_message_of_no_known_type_is_malformed() -> None:
    for headers in ({}, {":message-type": "surprise"}):
        _, error = drain(dialect("bedrock_converse").decoder(), [write_frame(headers, b"{}")])
        assert type(error) is e.MalformedResponseError


WRITTEN = {
    e.RateLimitError("no"): "throttlingException",
    e.InvalidRequestError("no"): "validationException",
    e.ServiceUnavailableError("no"): "serviceUnavailableException",
    e.ServiceUnavailableError("no", status=500): "internalServerException",
    e.ServiceUnavailableError("no", status=424): "modelStreamErrorException",
    e.StreamInterruptedError("no"): "modelStreamErrorException",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("error", WRITTEN)
def test_our_errors_are_written_as_the_exceptions_that_streams_have(name: str, error: e.ProviderError) -> None:
    encoder = dialect(name).encoder(model="m", response_id="r", created=0)
    (frame,) = FrameSplitter().feed(encoder.error(error))
    assert frame.text(":exception-type") == WRITTEN[error]
    assert orjson.loads(frame.payload)["message"] == "no"


def test_what_only_one_api_can_say_is_an_unmodelled_error_in_the_other() -> None:
    kinds = []
    for name in NAMES:
        encoder = dialect(name).encoder(model="m", response_id="r", created=0)
        (frame,) = FrameSplitter().feed(encoder.error(e.ProviderTimeoutError("ř" * 70_000)))
        kinds.append(frame.text(":exception-type") or frame.text(":error-code"))
        assert len(frame.text(":error-message").encode()) <= ERROR_MESSAGE_BYTES
    assert kinds == ["ModelTimeoutException", "modelTimeoutException"]


# --- errors in place of a stream ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "message", "cls"),
    [
        (429, "ThrottlingException", "slow", e.RateLimitError),
        (429, "ThrottlingException", "Too many tokens, please wait before trying again.", e.RateLimitError),
        (429, "ModelNotReadyException", "slow", e.RateLimitError),
        (400, "ServiceQuotaExceededException", "no", e.QuotaExhaustedError),
        (403, "AccessDeniedException", "You don't have access to the model with this ID.", e.PermissionDeniedError),
        (404, "ResourceNotFoundException", "no", e.ModelNotFoundError),
        (408, "ModelTimeoutException", "no", e.ProviderTimeoutError),
        (424, "ModelErrorException", "no", e.ServiceUnavailableError),
        (500, "InternalServerException", "no", e.ServiceUnavailableError),
        (503, "ServiceUnavailableException", "no", e.ServiceUnavailableError),
        (403, "UnrecognizedClientException", "no", e.AuthenticationError),
        (403, "InvalidSignatureException", "no", e.AuthenticationError),
        (403, "IncompleteSignature", "no", e.AuthenticationError),
        (403, "MissingAuthenticationTokenException", "no", e.AuthenticationError),
        (400, "ExpiredTokenException", "no", e.AuthenticationError),
        (400, "ValidationException", "Temperature must be at most 1", e.InvalidRequestError),
        (400, "ValidationException", "The provided model identifier is invalid.", e.ModelNotFoundError),
        (
            400,
            "ValidationException",
            "Invocation of model ID x with on-demand throughput isn’t supported. Retry your request with an ARN.",
            e.ModelNotFoundError,
        ),
        (400, "ValidationException", "Input is too long for requested model.", e.ContextLengthError),
        (
            400,
            "ValidationException",
            "Malformed input request: expected maxLength: 50000, actual: 60000, please reformat your input.",
            e.ContextLengthError,
        ),
        (400, "ValidationException", "This request has been blocked by our content filters.", e.ContentFilterError),
    ],
)
def test_every_exception_of_aws_is_exactly_one_class(
    status: int, kind: str, message: str, cls: type[e.ProviderError]
) -> None:
    for name in NAMES:
        error = dialect(name).decode_error(status, {"x-amzn-errortype": kind}, orjson.dumps({"message": message}))
        assert type(error) is cls
        assert (error.error_type, error.code, error.status, error.message) == (kind, None, status, message)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"x-amzn-errortype": "ExpiredTokenException"}, {"Message": "no"}),
        ({"x-amzn-errortype": "ExpiredTokenException:http://x.test/coral/"}, {"message": "no"}),
        ({"x-amzn-errortype": "com.amazon.coral.service#ExpiredTokenException"}, {"message": "no"}),
        ({}, {"__type": "com.amazon.coral.service#ExpiredTokenException", "message": "no"}),
        ({}, {"__type": "ExpiredTokenException", "Message": "no"}),
    ],
)
def test_the_name_of_an_exception_may_stand_anywhere(headers: dict[str, str], body: dict[str, str]) -> None:
    error = dialect("bedrock_converse").decode_error(403, headers, orjson.dumps(body))
    assert type(error) is e.AuthenticationError
    assert (error.error_type, error.message) == ("ExpiredTokenException", "no")


@pytest.mark.parametrize("name", NAMES)
def test_a_plain_json_error_in_place_of_a_stream_is_that_error(name: str) -> None:
    body = b'\n{"__type":"com.amazon.coral.service#ThrottlingException","message":"slow"}'
    for pieces in ([body], [bytes([b]) for b in body]):
        _, error = drain(dialect(name).decoder(), pieces)
        assert type(error) is e.RateLimitError
        assert error.message == "slow"


# --- anything at all ------------------------------------------------------------------------------------------------

KINDS = st.sampled_from(["event", "exception", "error", "x", ""])
EVENTS = st.sampled_from(
    [
        "messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata",
        "chunk", "throttlingException", "x",
    ]
)  # fmt: skip
FIELDS = st.sampled_from(
    [
        "contentBlockIndex", "delta", "start", "text", "toolUse", "input", "name", "toolUseId", "reasoningContent",
        "signature", "redactedContent", "stopReason", "usage", "inputTokens", "outputTokens", "metrics", "trace",
        "latencyMs", "message", "outputText", "completionReason", "generation", "stop_reason", "outputs", "choices",
        "generations", "is_finished", "finish_reason", "type", "completion", "messageStart", "metadata",
        "contentBlockDelta", "amazon-bedrock-invocationMetrics", "inputTokenCount", "index", "content_block",
    ]
)  # fmt: skip
SHAPES = st.recursive(
    JSON | st.sampled_from(["content_block_start", "message_start", "message_stop", 0, 1]),
    lambda inner: st.dictionaries(FIELDS, inner, max_size=5) | st.lists(inner, max_size=2),
    max_leaves=12,
)


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    shape = draw(st.dictionaries(FIELDS, SHAPES, max_size=4) | SHAPES)
    try:
        body = orjson.dumps(shape)
    except TypeError:
        body = b"{}"
    form = draw(st.integers(0, 3))
    if form == 0:
        return draw(st.binary(max_size=20))
    return orjson.dumps({"bytes": b64encode(body).decode()}) if form < 3 else body


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    headers = {":message-type": draw(KINDS)} | {
        name: draw(EVENTS) for name in (":event-type", ":exception-type", ":error-code") if draw(st.booleans())
    }
    return write_frame(headers, draw(payloads()))


def read_to_the_end(decoder: StreamDecoder, pieces: list[bytes]) -> None:
    """Whatever comes: events, then a finish or one ProviderError, and nothing after it."""
    events, error = drain(decoder, pieces)
    finished = [event for event in events if isinstance(event, StreamFinished)]
    assert len(finished) == (error is None)
    assert decoder.finished is (error is None)
    assert decoder.failure is error


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(st.lists(frames(), max_size=6), st.lists(st.integers(0, 900), max_size=6))
def test_any_frames_are_an_answer_or_an_error(name: str, some: list[bytes], places: list[int]) -> None:
    read_to_the_end(dialect(name).decoder(), cut(b"".join(some), places))


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(st.lists(st.tuples(EVENTS, SHAPES), max_size=6))
def test_any_events_are_an_answer_or_an_error(name: str, some: list[tuple[str, Any]]) -> None:
    body = b""
    for event, shape in some:
        try:
            chunk = {"bytes": b64encode(orjson.dumps(shape)).decode()}
        except TypeError:
            continue
        body += write_event("chunk", chunk) if name == "bedrock_invoke" else write_event(event, shape)
    read_to_the_end(dialect(name).decoder(), [body])


@needs_wire
@FEW
@given(st.data())
def test_a_damaged_recording_is_an_error_and_never_another_answer(data: st.DataObject) -> None:
    recording = data.draw(st.sampled_from([r for r in recordings() if r.framing == "eventstream"]))
    body = bytearray(recording.body)
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= 1 << data.draw(st.integers(0, 7))
    decoder = recording.dialect.decoder()
    places = data.draw(st.lists(st.integers(0, len(body)), max_size=6))
    events, error = drain(decoder, cut(bytes(body), places))
    whole, _ = drain(recording.dialect.decoder(), [recording.body])
    assert isinstance(error, (e.MalformedResponseError, e.StreamInterruptedError)) or events == whole
    assert events == whole[: len(events)]


def test_a_finished_stream_takes_no_more() -> None:
    for name in NAMES:
        encoder = dialect(name).encoder(model="amazon.titan-text-express-v1", response_id="r", created=0)
        body = encoder.start() + encoder.finish(Completion("Hi", usage=TokenUsage(1, 1)))
        decoder = dialect(name).decoder()
        assert isinstance(decoder.feed(body + b"\xff" * 50)[-1], StreamFinished)
        assert (decoder.feed(b"\xff" * 50), decoder.close(), decoder.failure) == ([], [], None)
