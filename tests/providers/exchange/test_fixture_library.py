"""The packaged exchanges: whole, true to their vendors, found by their own requests; and that lapses would be seen."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from providers.errors import ProviderError
from providers.exchange import Exchange, FixtureLibrary, packaged_folder
from providers.factory import create
from providers.mock.simulated import Simulation
from providers.types import GenerationRequest
from providers.vendors.wire import WireProvider
from tests.providers.exchange import fixture_checks as checks

LIBRARY: Final = FixtureLibrary([packaged_folder()])
EXCHANGES: Final = list(checks.exchanges(LIBRARY))

# --- what there must be ---------------------------------------------------------------------------------------------

_SUGGESTED = "circuit-breakers-plain circuit-breakers-stream "
_ANSWERS = "plain stream tools tools-stream json schema truncated filtered "
_REASONING = "reasoning reasoning-stream "
# An API whose streams are an API of their own has each case once in both.
_SPLIT = "plain tools json schema cached reasoning truncated filtered "
_ERRORS = (
    "error-invalid error-auth error-permission error-model error-rate-limit error-quota error-context error-filter "
    "error-server error-overloaded "
)
_STREAM_FAULTS = "broken broken-early cut stall "
_SILENCES = "silence reset "
_FAULTS = _STREAM_FAULTS + _SILENCES
_WHOLE_FAULTS = "cut stall " + _SILENCES
# Self-hosted servers have no bill and no filter, and limit nobody.
_VLLM_ERRORS = "error-invalid error-auth error-model error-context error-server error-overloaded "
_OLLAMA = (
    "plain stream json schema reasoning reasoning-stream truncated error-invalid error-auth error-model "
    "error-rate-limit error-context error-server error-overloaded error-bad-gateway " + _FAULTS
)
_BEDROCK_ERRORS = _ERRORS + "error-expired error-gave-up-waiting error-model-failed error-not-ready "
# Converse has guardrails in place of a refusal by status.
_CONVERSE = _BEDROCK_ERRORS.replace("error-filter ", "") + "guardrail " + _SPLIT
_INVOKE = _BEDROCK_ERRORS + _SPLIT + "titan-plain titan-truncated llama-plain llama-truncated "

CASES: Final = {
    ("openai", "chat.completions"): _SUGGESTED + _ANSWERS + _REASONING + _ERRORS + _FAULTS
    + "cached refusal error-bad-gateway",
    ("openai", "responses"): _ANSWERS + _REASONING + _ERRORS + _FAULTS
    + "cached refusal failed failed-midway error-bad-gateway",
    ("openai", "completions"): "plain stream truncated filtered " + _ERRORS.replace("error-filter ", "") + _FAULTS
    + "error-bad-gateway",
    ("azure_openai", "chat.completions"): _SUGGESTED + _ANSWERS + _REASONING + _ERRORS + _FAULTS
    + "cached error-gave-up-waiting",
    ("azure_openai", "responses"): _ANSWERS + _REASONING + _ERRORS + _FAULTS
    + "cached failed failed-midway error-gave-up-waiting",
    ("anthropic", "messages"): _SUGGESTED + _ANSWERS + _REASONING + _ERRORS + _FAULTS
    + "cached cached-stream error-spend-limit error-too-large error-gave-up-waiting",
    # No schemas, and no errors for missing rights.
    ("deepseek", "chat.completions"): _SUGGESTED + _ANSWERS.replace("schema ", "") + _REASONING
    + _ERRORS.replace("error-permission ", "") + _FAULTS
    + "cached starved keep-alive keep-alive-stream error-unprocessable",
    ("gemini", "generateContent"): "circuit-breakers-plain " + _SPLIT + _ERRORS + _WHOLE_FAULTS
    + "error-gave-up-waiting",
    ("gemini", "streamGenerateContent"): "circuit-breakers-stream " + _SPLIT + _ERRORS + _FAULTS
    + "list list-broken error-gave-up-waiting",
    ("vllm", "chat.completions"): _SUGGESTED + _ANSWERS.replace("filtered ", "") + _REASONING + _VLLM_ERRORS + _FAULTS
    + "cached",
    ("vllm", "completions"): "plain stream truncated " + _VLLM_ERRORS + _FAULTS,
    ("ollama", "chat"): _SUGGESTED + _OLLAMA + "tools tools-stream",
    ("ollama", "generate"): _OLLAMA,
    ("bedrock", "converse"): "circuit-breakers-plain " + _CONVERSE + _WHOLE_FAULTS,
    ("bedrock", "converse-stream"): "circuit-breakers-stream " + _CONVERSE + _FAULTS,
    # Jurassic does not stream.
    ("bedrock", "invoke"): _INVOKE + _WHOLE_FAULTS + "jurassic-plain jurassic-truncated",
    ("bedrock", "invoke-stream"): _INVOKE + _FAULTS,
}  # fmt: skip
SHORT: Final = {
    "chat.completions": "chat",
    "generateContent": "generate",
    "streamGenerateContent": "streamgenerate",
}
"""What files call an API, where that is not its own name."""

# --- what a person can ask for ----------------------------------------------------------------------------------------

SENTENCES: Final = {
    "Please fail with a bad request.": "InvalidRequestError",
    "Please fail: a parameter is out of range.": "InvalidRequestError",
    "Please fail: the request is too large.": "InvalidRequestError",
    "Please fail: the key is wrong.": "AuthenticationError",
    "Please fail: the session has expired.": "AuthenticationError",
    "Please fail: access is denied.": "PermissionDeniedError",
    "Please fail: the money is gone.": "QuotaExhaustedError",
    "Please fail: the spend limit is reached.": "QuotaExhaustedError",
    "Please fail: there is no such model.": "ModelNotFoundError",
    "Please fail with a rate limit.": "RateLimitError",
    "Please fail: the model is not ready.": "RateLimitError",
    "Please fail: the prompt is too long.": "ContextLengthError",
    "Please fail: the prompt is blocked.": "ContentFilterError",
    "Please block the answer.": None,
    "Please fail with a server error.": "ServiceUnavailableError",
    "Please fail: the server is overloaded.": "ServiceUnavailableError",
    "Please fail with a bad gateway.": "ServiceUnavailableError",
    "Please fail: the model broke down.": "ServiceUnavailableError",
    "Please fail: the server gave up waiting.": "ProviderTimeoutError",
    "Please give up.": "ServiceUnavailableError",
    "Please give up in the middle.": "ServiceUnavailableError",
    "Please fail at the start of the stream.": "ServiceUnavailableError",
    "Please fail in the middle of the stream.": "ServiceUnavailableError",
    "Please fail in the middle of the list.": "ServiceUnavailableError",
    "Please cut the stream.": "ConnectionFailedError",
    "Please hang up.": "ConnectionFailedError",
    "Please fall silent in the middle.": "ProviderTimeoutError",
    "Please say nothing at all.": "ProviderTimeoutError",
    "Please be slow.": None,
    "Please run out of resources.": None,
}
"""Every sentence that is answered in a way of its own, whatever the model, and the failure that it stands for."""
ELSE: Final = {
    # AWS and Google call a day's tokens or requests used up what they call too many in a minute.
    ("bedrock", "converse", "quota"): "RateLimitError",
    ("bedrock", "converse-stream", "quota"): "RateLimitError",
    ("gemini", "generateContent", "quota"): "RateLimitError",
    ("gemini", "streamGenerateContent", "quota"): "RateLimitError",
    # A guardrail answers in the model's place.
    ("bedrock", "converse", "guardrail"): None,
    ("bedrock", "converse-stream", "guardrail"): None,
    # A gateway's 504 is a failing server.
    ("anthropic", "messages", "gave-up-waiting"): "ServiceUnavailableError",
    ("gemini", "generateContent", "gave-up-waiting"): "ServiceUnavailableError",
    ("gemini", "streamGenerateContent", "gave-up-waiting"): "ServiceUnavailableError",
    # The first message of the stream is an exception of another kind.
    ("bedrock", "converse-stream", "broken-early"): "RateLimitError",
}


def case_of(exchange: Exchange) -> str:
    """`tools-stream` of `openai/chat-tools-stream.json`."""
    case = exchange.name.partition("/")[2].removesuffix(".json")
    return case.removeprefix(SHORT.get(exchange.api, exchange.api) + "-")


def test_no_case_is_missing_and_none_is_unlisted() -> None:
    found: dict[tuple[str, str], set[str]] = {}
    for exchange in EXCHANGES:
        found.setdefault((exchange.provider, exchange.api), set()).add(case_of(exchange))
    wanted = {place: set(cases.split()) for place, cases in CASES.items()}
    assert {p: wanted[p] - found.get(p, set()) for p in wanted if wanted[p] - found.get(p, set())} == {}, "missing"
    assert {p: found[p] - wanted.get(p, set()) for p in found if found[p] - wanted.get(p, set())} == {}, (
        "not in the table"
    )


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
async def test_an_exchange_means_what_it_says(exchange: Exchange) -> None:
    assert exchange.recorded_from == "authored"
    assert exchange.recorded_at
    assert checks.incomplete(exchange) == []
    assert checks.secrets(exchange) == []
    assert await checks.misread(exchange) == []


def test_nothing_strays_in_the_library() -> None:
    assert checks.strays(packaged_folder()) == []


def test_every_exchange_is_found_by_its_own_request() -> None:
    assert checks.orphans(FixtureLibrary([packaged_folder()])) == []


async def test_every_exchange_answers_what_the_provider_asks_today() -> None:
    assert await checks.drift(FixtureLibrary([packaged_folder()])) == []


def test_a_sentence_stands_for_one_failure_everywhere() -> None:
    asked = set[str]()
    for exchange in EXCHANGES:
        if exchange.match == "exact":
            continue
        sentence = checks.question(exchange)
        case = case_of(exchange).removeprefix("error-")
        wanted = ELSE.get((exchange.provider, exchange.api, case), SENTENCES[sentence])
        assert exchange.expected.get("error_class") == wanted, exchange.name
        asked.add(sentence)
    assert asked == SENTENCES.keys()


def test_answers_are_found_exactly_and_failures_by_their_sentence() -> None:
    """So that no ordinary prompt meets a failure."""
    for exchange in EXCHANGES:
        assert exchange.match in ("exact", "last_user_message"), exchange.name
        if exchange.expected.get("error_class") is not None:
            assert exchange.match == "last_user_message", exchange.name
        if exchange.match == "last_user_message":
            assert checks.question(exchange).startswith("Please "), exchange.name


# --- asked as a person asks -----------------------------------------------------------------------------------------


def simulated(exchange: Exchange) -> WireProvider:
    """The provider in replay mode, asked through the exchange's API."""
    simulation = Simulation(library=LIBRARY, fixtures_only=True)
    made = create(exchange.provider, simulation=simulation, api=checks.offered_api(exchange))
    assert isinstance(made, WireProvider)
    return made


def askings() -> list[Any]:
    """Every failure with each way to ask for it: whole and streamed, where these are not two APIs."""
    found = []
    for exchange in EXCHANGES:
        if exchange.match == "last_user_message" and exchange.expected.get("error_class") is not None:
            split = "stream" in exchange.api or exchange.api in ("converse", "invoke", "generateContent")
            for stream in (False, True):
                if not split or stream == ("stream" in exchange.api):
                    found.append(pytest.param(exchange, stream, id=f"{exchange.name}{'-streamed' if stream else ''}"))
    return found


@pytest.mark.parametrize(("exchange", "stream"), askings())
async def test_a_failure_is_met_by_its_sentence_alone(exchange: Exchange, stream: bool) -> None:
    provider = simulated(exchange)
    request = GenerationRequest(checks.question(exchange))
    with pytest.raises(ProviderError) as caught:
        if stream:
            async for _ in provider.stream_attempt(request, provider.model_id):
                pass
        else:
            await provider.attempt(request, provider.model_id)
    await provider.close()
    assert type(caught.value).__name__ == exchange.expected["error_class"]
    assert caught.value.provider == exchange.provider
    if exchange.expected["retry_after"] is not None:
        assert caught.value.retry_after == exchange.expected["retry_after"]


# --- the checks themselves --------------------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], None]


def copied(folder: Path, name: str, *changes: Change, case: str | None = None) -> FixtureLibrary:
    """A library with a changed copy of a packaged exchange."""
    document = orjson.loads((packaged_folder() / name).read_bytes())
    for change in changes:
        change(document)
    provider, _, file = name.partition("/")
    path = folder / provider / (f"{case}.json" if case else file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(document))
    return FixtureLibrary([folder])


def only(library: FixtureLibrary) -> Exchange:
    (exchange,) = checks.exchanges(library)
    return exchange


def test_strays_are_seen(tmp_path: Path) -> None:
    copied(tmp_path, "openai/chat-plain.json")
    copied(tmp_path, "openai/chat-plain.json", lambda d: d.update(provider="anthropic"), case="moved")
    (tmp_path / "nobody").mkdir()
    (tmp_path / "nobody" / "case.json").write_bytes((tmp_path / "openai" / "chat-plain.json").read_bytes())
    (tmp_path / "openai" / "notes.txt").write_text("")
    (tmp_path / "openai" / "torn.json").write_text("{")
    found = checks.strays(tmp_path)
    assert [line.partition(":")[0] for line in found] == [
        "nobody", "nobody/case.json", "openai/moved.json", "openai/notes.txt", "openai/torn.json",
    ]  # fmt: skip


def test_a_hidden_exchange_and_one_that_nothing_finds_are_seen(tmp_path: Path) -> None:
    copied(tmp_path, "openai/chat-plain.json", case="first")
    copied(tmp_path, "openai/chat-plain.json", case="second")
    library = copied(tmp_path, "anthropic/messages-plain.json", lambda d: d.update(match="regex", pattern="^never$"))
    hidden = "openai/second.json: openai/first.json answers in its place"
    lost = "anthropic/messages-plain.json: no recording of anthropic messages matches this request"
    assert [line.partition(";")[0] for line in checks.orphans(library)] == [lost, hidden]


async def test_a_request_that_the_provider_would_not_write_is_seen(tmp_path: Path) -> None:
    assert await checks.drift(copied(tmp_path, "openai/chat-plain.json")) == []
    library = copied(tmp_path, "openai/chat-plain.json", lambda d: d["request"]["body"].update(store=True))
    (found,) = await checks.drift(library)
    assert "asked as the provider asks now" in found
    assert "differs first at store" in found
    copied(tmp_path, "openai/chat-plain.json", lambda d: d["request"].update(body={"model": "gpt-4o-mini"}))
    (found,) = await checks.drift(library)
    assert "its request cannot be read: messages is missing" in found


async def test_an_expectation_that_is_not_what_is_read_is_seen(tmp_path: Path) -> None:
    def other_text(document: dict[str, Any]) -> None:
        document["expected"].update(text="Something else.", output_tokens=1)

    assert len(await checks.misread(only(copied(tmp_path, "openai/chat-plain.json", other_text)))) == 2
    library = copied(tmp_path, "openai/chat-plain.json", lambda d: d["response"]["chunks"][0].update(data="{}"))
    assert any("it failed with" in line for line in await checks.misread(only(library)))


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("openai/chat-plain.json", lambda e: e.pop("model"), "expected lacks model"),
        ("openai/chat-error-auth.json", lambda e: e.pop("retry_after"), "expected lacks retry_after"),
        ("openai/chat-error-auth.json", lambda e: e.pop("error_message"), "expected lacks error_message"),
        ("openai/chat-cut.json", lambda e: e.update(error_message="x"), "expected has error_message"),
        ("openai/chat-plain.json", lambda e: e.update(mood="good"), "expected has mood"),
        ("openai/chat-plain.json", lambda e: e.update(stream_events=1), "stream_events is 1, the body has None"),
        ("openai/chat-stream.json", lambda e: e.update(stream_events=2), "stream_events is 2, the body has 3"),
        ("ollama/chat-stream.json", lambda e: e.update(stream_events=2), "stream_events is 2, the body has 1"),
        ("gemini/streamgenerate-list.json", lambda e: e.update(stream_events=9), "stream_events is 9, the body has 3"),
        (
            "bedrock/converse-stream-plain.json",
            lambda e: e.update(stream_events=2),
            "stream_events is 2, the body has 1",
        ),
    ],
)
def test_an_expectation_that_is_not_whole_is_seen(name: str, change: Change, complaint: str, tmp_path: Path) -> None:
    exchange = only(copied(tmp_path, name, lambda document: change(document["expected"])))
    (found,) = checks.incomplete(exchange)
    assert found.startswith(complaint)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(note="with sk-" + "a" * 20),
        lambda d: d["request"]["headers"].update({"x-api-key": "anything"}),
        lambda d: d["response"]["chunks"][0].update(data='{"echo":"AKIA' + "A" * 16 + '"}'),
    ],
    ids=["note", "header", "body"],
)
def test_what_looks_like_a_credential_is_seen(change: Change, tmp_path: Path) -> None:
    assert checks.secrets(only(copied(tmp_path, "openai/chat-plain.json"))) == []
    assert checks.secrets(only(copied(tmp_path, "openai/chat-plain.json", change))) != []


def test_a_missing_case_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = [exchange for exchange in EXCHANGES if exchange.name != "deepseek/chat-error-quota.json"]
    monkeypatch.setattr(f"{__name__}.EXCHANGES", fewer)
    with pytest.raises(AssertionError, match="error-quota"):
        test_no_case_is_missing_and_none_is_unlisted()


def test_the_wheel_takes_the_library_along() -> None:
    root = packaged_folder().parent
    project = tomllib.loads((root / "pyproject.toml").read_text())
    taken = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    # Where `packaged_folder` looks in an installed package.
    assert taken[packaged_folder().name] == "providers/exchange/library"
