"""Counting and estimating tokens, with every way to the network closed."""

from __future__ import annotations

import gzip
import inspect
import socket
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.errors import ConfigError
from providers.pricing import count_tokens, encodings, estimate_tokens, tokens

KNOWN = {
    "antidisestablishmentarianism": (6, 6),
    "2 + 2 = 4": (7, 7),
    "お誕生日おめでとう": (9, 8),
    "tiktoken is great!": (6, 6),
    "hello world": (2, 2),
    "": (0, 0),
}
"""Text: tokens in cl100k_base, in o200k_base."""

CHAT = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate jargon into plain "
        "English.",
    },
    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Things working well together will increase revenue.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased "
        "leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
]
"""OpenAI's documented example of counting messages: its API reports 129 tokens for gpt-4 and 124 for gpt-4o."""


@pytest.fixture(autouse=True)
def closed_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("counting tokens touched the network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("tiktoken.load.read_file", refuse)


@pytest.mark.parametrize("text", KNOWN)
def test_known_counts(text: str) -> None:
    assert (count_tokens(text, "gpt-4"), count_tokens(text, "gpt-4o")) == KNOWN[text]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-3.5-turbo", "cl100k_base"),
        ("gpt-35-turbo", "cl100k_base"),
        ("gpt-4-turbo-preview", "cl100k_base"),
        ("gpt-4-1106-preview", "cl100k_base"),
        ("ft:gpt-3.5-turbo-0125:org::id", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("chatgpt-4o-latest", "o200k_base"),
        ("openai/gpt-4.1", "o200k_base"),
        ("gpt-5.2", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("o1", "o200k_base"),
        ("openai.gpt-oss-120b-1:0", "o200k_base"),
        ("gpt-oss:20b", "o200k_base"),
    ],
)
def test_openai_models_are_counted_exactly(model: str, expected: str) -> None:
    assert tokens.tokenizer_of(model) == (expected, 1.0)


def test_the_counts_are_tiktokens_own_definition() -> None:
    """The split patterns are those of the installed tiktoken."""
    source = inspect.getsource(pytest.importorskip("tiktoken_ext.openai_public"))
    for piece in encodings._SOURCES["cl100k_base"].pattern, *encodings._SOURCES["o200k_base"].pattern.split("|\\"):
        assert all(part in source for part in piece.split("|")[:3]), piece


def test_messages_cost_what_openai_documents() -> None:
    assert count_tokens(CHAT, "gpt-4-0613") == 129
    assert count_tokens(CHAT, "gpt-3.5-turbo") == 129
    assert count_tokens(CHAT, "gpt-4o") == 124
    assert count_tokens([], "gpt-4o") == 0


def test_parts_and_tool_calls_are_counted() -> None:
    plain = count_tokens([{"role": "user", "content": "What is in this picture?"}], "gpt-4o")
    parts = [
        {"type": "text", "text": "What is in this picture?"},
        {"type": "image_url", "image_url": {"url": "data:,"}},
    ]
    assert count_tokens([{"role": "user", "content": parts}], "gpt-4o") == plain
    call = {"id": "1", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
    called = count_tokens([{"role": "assistant", "content": None, "tool_calls": [call]}], "gpt-4o")
    empty = count_tokens([{"role": "assistant", "content": None}], "gpt-4o")
    assert called == empty + count_tokens("get_weather", "gpt-4o") + count_tokens('{"city":"Oslo"}', "gpt-4o")


def test_other_families_are_estimated_by_a_factor() -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 50
    exact = count_tokens(text, "gpt-4o")
    for model in (
        "claude-3-sonnet",
        "anthropic.claude-3-haiku-20240307-v1:0",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    ):
        assert count_tokens(text, model) == round(exact * 1.18)
    assert count_tokens(text, "claude-opus-5-5") == round(exact * 1.4)
    for model in (
        "gemini-2.5-pro",
        "deepseek-chat",
        "llama3:8b",
        "Qwen/Qwen2.5-7B-Instruct",
        "amazon.nova-lite-v1:0",
        "anything",
    ):
        assert exact < count_tokens(text, model) <= exact * 1.2
    assert count_tokens("a", "claude-3-opus") == 1


def test_special_tokens_in_a_text_are_plain_text() -> None:
    assert count_tokens("<|endoftext|>", "gpt-4o") > 1


def test_half_a_surrogate_pair_is_counted_not_refused() -> None:
    assert count_tokens("ok \ud83d", "gpt-4o") >= 2
    assert estimate_tokens("ok \ud83d") >= 1


@pytest.mark.parametrize("char", [" ", "a", "\n", "!", "漢", "😀"])
def test_long_runs_of_one_character_are_counted(char: str) -> None:
    """The tokenizer by itself fails on a million blanks."""
    assert 0 < count_tokens(char * 1_000_000, "gpt-4o") <= 1_000_000


def test_counting_in_pieces_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = inspect.getsource(inspect) + inspect.getsource(textwrap) + "Ein längerer Satz, 1234567 Zeichen lang. " * 200
    whole = {model: count_tokens(text, model) for model in ("gpt-4", "gpt-4o")}
    for size in (5_000, 20_000):
        monkeypatch.setattr(tokens, "PIECE", size)
        for model, expected in whole.items():
            assert count_tokens(text, model) == expected


def test_threads_share_one_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []
    load = encodings._load

    def counted(name: encodings.EncodingName, path: Path) -> object:
        loads.append(name)
        return load(name, path)

    monkeypatch.setattr(encodings, "_loaded", {})
    monkeypatch.setattr(encodings, "_load", counted)
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda _: count_tokens("hello world", "gpt-4"), range(32)))
    assert counts == [2] * 32
    assert loads == ["cl100k_base"]


def test_damaged_or_missing_ranks_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(encodings, "_loaded", {})
    monkeypatch.setattr(encodings, "RANKS", tmp_path)
    with pytest.raises(ConfigError, match=r"cl100k_base\.tiktoken\.gz cannot be read"):
        count_tokens("hello", "gpt-4")
    file = tmp_path / "cl100k_base.tiktoken.gz"
    for damaged in (
        b"",
        b"\x1f\x8b not gzip",
        gzip.compress(b"a" * 99)[:12],
        gzip.compress(b"a" * 99)[:10] + b"\xff" * 9,
    ):
        file.write_bytes(damaged)
        with pytest.raises(ConfigError, match=r"cannot be read|damaged"):
            count_tokens("hello", "gpt-4")
    file.write_bytes(gzip.compress(b"aGVsbG8= 0\n"))
    with pytest.raises(ConfigError, match=r"are damaged \(wrong sha256\); install the package again"):
        count_tokens("hello", "gpt-4")


def test_tiktoken_is_not_loaded_before_the_first_count() -> None:
    code = (
        "import sys\n"
        "import providers.base\n"
        "from providers.pricing import count_tokens, estimate_tokens\n"
        "estimate_tokens('hello')\n"
        "print('tiktoken' in sys.modules)\n"
        "count_tokens('hello', 'gpt-4')\n"
        "print('tiktoken' in sys.modules, 'requests' in sys.modules)\n"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.split() == ["False", "True", "False"]


# --- the estimate -------------------------------------------------------------------------------------------------

PROSE = {
    "story": """Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do:
once or twice she had peeped into the book her sister was reading, but it had no pictures or conversations in it, "and
what is the use of a book," thought Alice "without pictures or conversations?" So she was considering in her own mind
(as well as she could, for the hot day made her feel very sleepy and stupid), whether the pleasure of making a
daisy-chain
would be worth the trouble of getting up and picking the daisies, when suddenly a White Rabbit with pink eyes ran close
by her. There was nothing so very remarkable in that; nor did Alice think it so very much out of the way to hear the
Rabbit say to itself, "Oh dear! Oh dear! I shall be late!\"""",
    "speech": """Four score and seven years ago our fathers brought forth on this continent, a new nation, conceived in
Liberty, and dedicated to the proposition that all men are created equal. Now we are engaged in a great civil war,
testing whether that nation, or any nation so conceived and so dedicated, can long endure. We are met on a great
battle-field of that war. We have come to dedicate a portion of that field, as a final resting place for those who here
gave their lives that that nation might live. It is altogether fitting and proper that we should do this.""",
    "answer": """A circuit breaker protects a caller from a service that keeps failing. While the circuit is closed,
calls pass through and failures are counted. After several failures in a row the circuit opens, and every call is
refused at
once instead of waiting for another timeout. When the recovery time is over, one probe is let through: if it succeeds,
the circuit closes again; if it fails, the waiting starts anew. This gives the service room to recover, keeps threads
from piling up, and lets the program fail over to another provider without delay.""",
    "list": """To compare the three options, look at these points:

1. **Cost**: the smaller model is about twenty times cheaper for each request.
2. **Latency**: the first token arrives after roughly 400 ms instead of 1.2 s.
3. **Quality**: on long documents the larger model misses fewer details.

If most of your requests are short questions, start with the smaller model and measure before you switch.""",
    "short": "What is the capital of France, and how many people live there today?",
}

OTHER = {
    "python": (inspect.getsource(textwrap), 0.2),
    "json": (
        '{"id":"chatcmpl-9","choices":[{"index":0,"message":{"role":"assistant","content":"Hello!"}}],'
        '"usage":{"prompt_tokens":9}}',
        0.25,
    ),
    "chinese": (
        "今天的会议讨论了新网关的设计。我们决定先支持三个供应商,然后再增加其他的。"
        "每个请求都有一个截止时间,如果第一个供应商没有回答,就转到下一个。",
        0.25,
    ),
    "japanese": (
        "今日の会議では、新しいゲートウェイの設計について話し合いました。"
        "最初に三つのプロバイダーを支援し、その後で他のものを追加することに決めました。",
        0.25,
    ),
    "korean": (
        "오늘 회의에서 새로운 게이트웨이의 설계에 대해 논의했습니다. "
        "먼저 세 개의 공급자를 지원하고 나중에 다른 공급자를 추가하기로 했습니다.",
        0.25,
    ),
    "russian": (
        "На сегодняшней встрече мы обсудили устройство нового шлюза. "
        "Сначала будут поддержаны три поставщика, остальные появятся позже.",
        0.3,
    ),
    "arabic": ("ناقشنا اليوم تصميم البوابة الجديدة وقررنا دعم ثلاثة مزودين في البداية ثم إضافة الآخرين لاحقا.", 0.3),
    "german": (
        "In der heutigen Besprechung ging es um den Entwurf des neuen Gateways. "
        "Zuerst werden drei Anbieter unterstützt, die übrigen folgen später.",
        0.25,
    ),
    "emoji": ("Great job 🎉! We ship 🚀 tomorrow, thanks ❤️ and see you soon 😀", 0.25),
    "numbers": ("0.123456, 9876.54321, 17.25, 100000, 3.14159265, 2.71828182", 0.25),
}
"""Text, and how far off the estimate may be."""


@pytest.mark.parametrize("name", PROSE)
def test_english_prose_is_estimated_within_15_percent(name: str) -> None:
    text = PROSE[name]
    assert estimate_tokens(text) == pytest.approx(count_tokens(text, "gpt-4o"), rel=0.15)


@pytest.mark.parametrize("name", OTHER)
def test_other_text_is_estimated_sanely(name: str) -> None:
    text, tolerance = OTHER[name]
    assert estimate_tokens(text) == pytest.approx(count_tokens(text, "gpt-4o"), rel=tolerance)


def test_a_long_text_is_sampled_without_losing_accuracy() -> None:
    text = "\n\n".join(PROSE.values()) * 800
    assert len(text) > 1_500_000
    assert estimate_tokens(text) == pytest.approx(estimate_tokens("\n\n".join(PROSE.values())) * 800, rel=0.02)


def test_messages_are_framed() -> None:
    assert estimate_tokens([{"role": "user", "content": "Hi"}]) == 3 + 3 + estimate_tokens("user") + estimate_tokens(
        "Hi"
    )
    assert estimate_tokens(CHAT) == pytest.approx(124, rel=0.15)
    assert estimate_tokens([]) == 0


@given(st.text(max_size=2000))
@settings(max_examples=200)
def test_an_estimate_is_positive_and_never_more_than_the_bytes(text: str) -> None:
    estimate = estimate_tokens(text)
    assert (estimate == 0) == (text == "")
    assert estimate <= max(1, 2 * len(text.encode("utf-8", "surrogatepass")))


@pytest.mark.parametrize("char", [" ", "\n", "a", "A", "aA", "0", ".", "é", "漢", "😀", "a b"])
def test_an_estimate_of_a_run_grows_with_it(char: str) -> None:
    estimates = [estimate_tokens(char * n) for n in (10, 100, 1000, 10_000, 3_000_000)]
    assert estimates == sorted(estimates)
    assert estimates[-1] > 10_000
