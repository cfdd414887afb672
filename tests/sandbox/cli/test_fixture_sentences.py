"""Failures that a person can ask for in mock mode, each as the vendor itself fails."""

from __future__ import annotations

import pytest

from .conftest import Cli


@pytest.mark.parametrize(
    ("provider", "status"),
    [("openai", 401), ("azure_openai", 401), ("anthropic", 401), ("deepseek", 401), ("gemini", 400), ("ollama", 401)],
)
def test_a_sentence_meets_the_vendors_own_failure(provider: str, status: int, cli: Cli) -> None:
    ran = cli("ask", "Please fail: the key is wrong.", "--provider", provider, "--json")
    assert ran.code == 1
    assert ran.json["error"]["type"] == "AuthenticationError"
    first = ran.json["attempts"][0]
    assert (first["provider"], first["status"], first["error_type"]) == (provider, status, "AuthenticationError")


def test_a_stream_breaks_after_its_first_words(cli: Cli) -> None:
    ran = cli("ask", "Please fail in the middle of the stream.", "--provider", "anthropic", "--stream")
    assert ran.code == 1
    assert ran.out.startswith("The soup was nearly")
    assert "StreamInterruptedError" in ran.err


def test_a_question_nearly_like_a_sentence_is_answered_as_any_other(cli: Cli) -> None:
    assert cli("ask", "Please fail: the key is wrong?", "--provider", "openai").code == 0
