"""`sandbox attach`: where its token comes from, and what is wrong use."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from sandbox.cli.app import run
from sandbox.cli.output import Output


class Called:
    """Stands in for the terminal UI."""

    def __init__(self) -> None:
        self.url = ""
        self.token: str | None = None
        self.asks = False

    def __call__(self, settings: Any, url: str, token: str | None, *, ask_token: Any) -> int:
        self.url, self.token, self.asks = url, token, ask_token is not None
        return 0


@pytest.fixture
def attach(home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    # As in a browser, where there is no terminal.
    monkeypatch.setenv("TEXTUAL_DRIVER", "textual.drivers.web_driver:WebDriver")

    def call(*arguments: str) -> tuple[int, Called, str]:
        called, err = Called(), io.StringIO()
        code = run(
            ["attach", *arguments], open_ui=lambda session: 0, open_attached=called, output=Output(io.StringIO(), err)
        )
        return code, called, err.getvalue()

    return call


def test_the_gateway_of_this_machine_without_a_token(attach: Any) -> None:
    code, called, _ = attach()
    assert (code, called.url, called.token) == (0, "http://127.0.0.1:4000", None)


def test_a_token_comes_from_the_environment_a_file_or_an_option(
    attach: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANDBOX_ADMIN_TOKEN", "from-env")
    (home / "token").write_text("from-file\n")
    assert attach("127.0.0.1:4000")[1].token == "from-env"
    assert attach("127.0.0.1:4000", "--token-file", "token")[1].token == "from-file"
    assert attach("127.0.0.1:4000", "--token", "from-option")[1].token == "from-option"


@pytest.mark.parametrize(
    ("content", "says"), [(None, "cannot read the token"), ("", "one token"), ("two words", "one token")]
)
def test_a_file_without_a_token_is_one_sentence(attach: Any, home: Path, content: str | None, says: str) -> None:
    if content is not None:
        (home / "token").write_text(content)
    code, _, err = attach("--token-file", "token")
    assert (code, says in err, err.count("\n")) == (2, True, 1)
    assert "two words" not in err


def test_two_tokens_are_one_too_many(attach: Any) -> None:
    code, _, err = attach("--token", "a", "--token-file", "b")
    assert (code, "not both" in err) == (2, True)


def test_without_a_terminal_it_says_what_does_without(attach: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEXTUAL_DRIVER")
    code, called, err = attach()
    assert (code, called.url) == (2, "")
    assert "needs a terminal" in err
