"""Every recorded exchange is read exactly as the vendor meant it, however the network cut it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers import errors
from providers.dialects.forms import RAW_FINISH
from providers.errors import ProviderError
from providers.types import Completion
from tests.providers.dialects.recorded import Recorded, cut, decode, drain, fold, recordings
from tests.shared_material import needs_wire

pytestmark = needs_wire

ALL = recordings()
STREAMS = [r for r in ALL if r.streamed]
ERRORS = [r for r in ALL if r.expected["error_message"] is not None]

CLASSES: dict[str, type[ProviderError]] = {
    "anthropic/messages-error-400-01.json": errors.ContextLengthError,
    "anthropic/messages-error-401-01.json": errors.AuthenticationError,
    "anthropic/messages-error-404-01.json": errors.ModelNotFoundError,
    "azure_openai/chat-error-404-01.json": errors.ModelNotFoundError,
    "azure_openai/chat-error-429-01.json": errors.RateLimitError,
    "bedrock/converse-error-400-01.json": errors.ContextLengthError,
    "bedrock/converse-error-400-02.json": errors.ModelNotFoundError,
    "bedrock/converse-error-403-01.json": errors.AuthenticationError,
    "bedrock/converse-stream-stream-error-400-01.json": errors.ModelNotFoundError,
    "bedrock/invoke-stream-stream-error-400-01.json": errors.ModelNotFoundError,
    "deepseek/chat-error-401-01.json": errors.AuthenticationError,
    "gemini/generatecontent-error-400-01.json": errors.AuthenticationError,
    "gemini/generatecontent-error-404-01.json": errors.ModelNotFoundError,
    "groq/chat-stream-mid-error-01.json": errors.InvalidRequestError,
    "ollama/chat-error-401-01.json": errors.AuthenticationError,
    "ollama/chat-error-404-01.json": errors.ModelNotFoundError,
    "openai/chat-error-400-01.json": errors.InvalidRequestError,
    "openai/chat-error-400-02.json": errors.InvalidRequestError,
    "openai/chat-error-401-01.json": errors.AuthenticationError,
    "openai/chat-error-404-01.json": errors.ModelNotFoundError,
    "openai/responses-error-4xx-01.json": errors.AuthenticationError,
    "openrouter/chat-error-429-01.json": errors.RateLimitError,
    "vertex/generatecontent-error-4xx-01.json": errors.ContextLengthError,
    "vertex/generatecontent-error-4xx-02.json": errors.InvalidRequestError,
}
REFUSED = {"vertex/generatecontent-error-4xx-02.json"}
"""Requests that no provider could serve; the vendor refused them too."""
REFUSED_STREAMS = {
    "openai/chat-error-401-01.json",
    "bedrock/converse-stream-stream-error-400-01.json",
    "bedrock/invoke-stream-stream-error-400-01.json",
}


def ids(recording: Recorded) -> str:
    return recording.name.removesuffix(".json")


def read(recording: Recorded) -> tuple[Completion, ProviderError | None]:
    if recording.status >= 400:
        return Completion(), recording.dialect.decode_error(recording.status, recording.headers, recording.body)
    if recording.streamed:
        return decode(recording.dialect, [recording.body])
    return recording.dialect.decode_completion(recording.body), None


def facts(completion: Completion, error: ProviderError | None) -> dict[str, Any]:
    raw = completion.raw_usage
    return {
        "text": completion.text,
        "reasoning_text": completion.reasoning_text,
        "finish_reason": completion.metadata.get(RAW_FINISH, completion.finish_reason),
        "model": completion.model,
        "input_tokens": raw.input_tokens,
        "output_tokens": raw.output_tokens,
        "cached_input_tokens": raw.cached_input_tokens,
        "cache_write_tokens": raw.cache_write_tokens,
        "reasoning_tokens": raw.reasoning_tokens,
        "tool_calls": [{"name": c.name, "arguments": orjson.loads(c.arguments)} for c in completion.tool_calls],
        "error_type": error.error_type if error else None,
        "error_code": error.code if error else None,
        "error_message": error.message if error else None,
    }


def test_the_recordings_are_all_here() -> None:
    assert len(ALL) >= 128
    assert {r.name for r in ERRORS} == set(CLASSES)


@pytest.mark.parametrize("recording", ALL, ids=ids)
def test_every_recording_is_read_as_expected(recording: Recorded) -> None:
    expected = {k: v for k, v in recording.expected.items() if k != "stream_events"}
    if expected["error_code"] is not None:
        expected["error_code"] = str(expected["error_code"])
    assert facts(*read(recording)) == expected


@pytest.mark.parametrize("recording", ALL, ids=ids)
def test_every_recorded_request_is_understood(recording: Recorded) -> None:
    if recording.name in REFUSED:
        with pytest.raises(errors.InvalidRequestError):
            recording.dialect.decode_request(recording.request, path=recording.path)
        return
    asked = recording.dialect.decode_request(recording.request, path=recording.path)
    assert asked.request.chat()
    assert asked.stream == (recording.streamed or recording.name in REFUSED_STREAMS)


@pytest.mark.parametrize("recording", ERRORS, ids=ids)
def test_every_recorded_error_has_its_one_class(recording: Recorded) -> None:
    _, error = read(recording)
    assert type(error) is CLASSES[recording.name]


@pytest.mark.parametrize("recording", STREAMS, ids=ids)
def test_a_stream_read_byte_by_byte_gives_the_same_answer(recording: Recorded) -> None:
    whole = drain(recording.dialect.decoder(), [recording.body])
    bytewise = drain(recording.dialect.decoder(), [bytes([b]) for b in recording.body])
    assert repr(bytewise) == repr(whole)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_stream_cut_anywhere_gives_the_same_events(data: st.DataObject) -> None:
    recording = data.draw(st.sampled_from(STREAMS))
    places = data.draw(st.lists(st.integers(1, max(1, len(recording.body) - 1)), max_size=12))
    whole = drain(recording.dialect.decoder(), [recording.body])
    assert repr(drain(recording.dialect.decoder(), cut(recording.body, places))) == repr(whole)


@pytest.mark.parametrize("recording", STREAMS, ids=ids)
def test_the_events_fold_into_the_final_answer(recording: Recorded) -> None:
    events, error = drain(recording.dialect.decoder(), [recording.body])
    completion, _ = decode(recording.dialect, [recording.body])
    folded = fold(events)
    assert folded == completion
    assert (error is None) == (recording.expected["error_message"] is None)


@pytest.mark.parametrize("recording", [s for s in STREAMS if s.framing != "eventstream"], ids=ids)
def test_line_ends_and_keep_alives_change_nothing(recording: Recorded) -> None:
    whole = drain(recording.dialect.decoder(), [recording.body])
    crlf = recording.body.replace(b"\n", b"\r\n")
    assert repr(drain(recording.dialect.decoder(), [crlf])) == repr(whole)
    assert repr(drain(recording.dialect.decoder(), cut(crlf, range(0, len(crlf), 7)))) == repr(whole)
    if recording.framing == "sse":
        noisy = b"\xef\xbb\xbf: hello\n\n\n" + recording.body.replace(b"\n\n", b"\n\n: keep-alive\n\n\n")
        assert repr(drain(recording.dialect.decoder(), [noisy])) == repr(whole)
    else:
        assert repr(drain(recording.dialect.decoder(), [recording.body.replace(b"\n", b"\n\n \n")])) == repr(whole)


@pytest.mark.parametrize("recording", [s for s in STREAMS if s.expected["error_message"] is None], ids=ids)
def test_a_stream_cut_short_never_ends_cleanly_before_its_finish(recording: Recorded) -> None:
    """Whatever the place of the cut: an interruption with the text so far, or the whole answer."""
    whole, _ = decode(recording.dialect, [recording.body])
    finished = []
    for place in range(0, len(recording.body), 41):
        completion, error = decode(recording.dialect, [recording.body[:place]])
        if error is None:
            finished.append(place)
            assert (completion.text, completion.tool_calls, completion.finish_reason) == (
                whole.text,
                whole.tool_calls,
                whole.finish_reason,
            )
        else:
            assert isinstance(error, errors.StreamInterruptedError), (place, error)
            assert error.partial_text == (completion.text or "")
            assert (whole.text or "").startswith(error.partial_text)
            assert not finished, "complete at an earlier cut already"


def test_azures_impossible_cache_count_is_kept_raw_and_clamped() -> None:
    (recording,) = (r for r in ALL if r.name == "azure_openai/chat-stream-02.json")
    completion, _ = read(recording)
    assert completion.usage is not None
    assert (completion.raw_usage.cached_input_tokens, completion.usage.cached_input_tokens) == (161, 7)


def test_usage_means_the_same_for_every_vendor() -> None:
    for recording in ALL:
        completion, _ = read(recording)
        usage = completion.usage
        if usage is None:
            assert recording.expected["output_tokens"] is None, recording.name
            continue
        assert usage.total_tokens == usage.input_tokens + usage.output_tokens, recording.name
        assert usage.cached_input_tokens + usage.cache_write_tokens <= usage.input_tokens, recording.name
        assert usage.reasoning_tokens <= usage.output_tokens, recording.name
        if recording.name.startswith(("anthropic/", "bedrock/")):
            outside = sum(
                recording.expected[k] or 0 for k in ("input_tokens", "cached_input_tokens", "cache_write_tokens")
            )
            assert usage.input_tokens == outside, recording.name
        else:
            assert usage.input_tokens == (recording.expected["input_tokens"] or 0), recording.name
