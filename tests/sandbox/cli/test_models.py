"""`sandbox models`: which models it lists, in which order, and what it tells of one."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from .conftest import Cli


def items(cli: Cli, *arguments: str) -> list[dict[str, Any]]:
    return list(cli("models", *arguments, "--json").json["items"])


def names(cli: Cli, *arguments: str) -> list[str]:
    return [f"{item['provider']}/{item['model']}" for item in items(cli, *arguments)]


def test_a_name_means_one_model_wherever_it_is_served(cli: Cli) -> None:
    assert names(cli, "gpt-4o") == ["openai/gpt-4o", "azure_openai/gpt-4o"]
    assert names(cli, "gpt-4o-2024-08-06", "--provider", "openai") == ["openai/gpt-4o"]
    profile = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
    assert names(cli, profile, "--provider", "bedrock") == ["bedrock/regional.anthropic.claude-haiku-4-5-20251001-v1:0"]
    # Whoever takes any name is asked only when it is meant.
    assert names(cli, "qwen2.5", "--provider", "vllm") == ["vllm/qwen2.5"]


def test_a_pattern_or_a_part_of_names(cli: Cli) -> None:
    assert set(names(cli, "gpt-4.1*")) == {
        f"{provider}/gpt-4.1{size}" for provider in ("openai", "azure_openai") for size in ("", "-mini", "-nano")
    } & set(names(cli))
    parts = names(cli, "HAIKU", "--provider", "anthropic")
    assert len(parts) >= 4
    assert all("haiku" in name for name in parts)
    assert names(cli, "deepseek/*") == names(cli, "--provider", "deepseek")


def number(value: str | None) -> Decimal:
    return Decimal(value or "Infinity")


@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("price", lambda i: number(i["input_usd"]) * 7 + number(i["output_usd"]) * 3),
        ("input", lambda i: number(i["input_usd"])),
        ("output", lambda i: number(i["output_usd"])),
        ("cached", lambda i: number(i["cached_input_usd"])),
        ("window", lambda i: -(i["context_window"] or 0)),
        ("name", lambda i: i["model"]),
        ("since", lambda i: [-ord(letter) for letter in i["since"] or "0"]),
    ],
)
def test_orders(cli: Cli, sort: str, key: Any) -> None:
    listed = items(cli, "--sort", sort)
    assert sorted(listed, key=key) == listed
    assert len(listed) == len(items(cli))


def test_classes_of_service(cli: Cli) -> None:
    (batch,) = items(cli, "o3", "--provider", "openai", "--service", "batch")
    (standard,) = items(cli, "o3", "--provider", "openai")
    assert (standard["service"], standard["input_usd"]) == (None, "2")
    assert (batch["service"], batch["input_usd"], batch["services"]) == ("batch", "1", {})
    assert {service: rates["input_usd"] for service, rates in standard["services"].items()} == {
        "batch": "1", "flex": "1", "priority": "3.5", "fast": "3.5",
    }  # fmt: skip
    assert all(item["service"] == "flex" for item in items(cli, "--service", "flex"))


def test_everything_about_one_model(cli: Cli) -> None:
    ran = cli("models", "claude-sonnet-4-5", "--provider", "anthropic")
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert lines == [
        "anthropic/claude-sonnet-4-5",
        "context window 200,000",
        "longest answer 64,000",
        "also called claude-sonnet-4-5*, claude-sonnet-4.5*",
        "source https://www.anthropic.com/pricing#api",
        "USD per million in $/M out $/M cached write write 1h since",
        "standard 3 15 0.3 3.75 6",
        "above 200,000 6 22.5 0.6 7.5 12",
        "batch 1.5 7.5 0.15 1.875 3 2026-10-14",
        "above 200,000 3 11.25 0.3 3.75 6",
        "",
    ]
    assert ran.err == "prices current-2026-11-04\n"
    opus = cli("models", "claude-opus-5").out
    assert "in a region     us × 1.1" in opus
    assert "before 10 40 0.5" in [" ".join(line.split()) for line in cli("models", "o3").out.splitlines()]
    assert "at other hours" in cli("models", "deepseek-chat").out
    assert "local: no charge" in cli("models", "llama3", "--provider", "ollama").out


def test_what_a_machine_costs_comes_from_the_settings(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "$0.16 an hour of its machine" in cli("models", "qwen", "--provider", "vllm").out
    monkeypatch.setenv("VLLM_HOURLY_RATE", "0.5")
    assert "$0.5 an hour of its machine" in cli("models", "qwen", "--provider", "vllm").out
    assert items(cli, "--provider", "vllm")[0]["hourly_usd"] == "0.5"


def test_a_users_price_file_is_seen(cli: Cli, home: Path) -> None:
    (home / "prices.toml").write_text(
        '[[price]]\nprovider="acme"\nmodel="rocket-1"\ninput=1\noutput=2\nreasoning=3\nsource="contract"\n'
        '[aliases.openai]\nours = "gpt-4o"\n'
    )
    (home / "mine.toml").write_text("prices_file = 'prices.toml'\n")
    (rocket,) = items(cli, "rocket-1", "--config", "mine.toml")
    assert (rocket["provider"], rocket["reasoning_usd"], rocket["source"]) == ("acme", "3", "contract")
    (ours,) = items(cli, "ours", "--config", "mine.toml")
    assert ours["model"] == "gpt-4o"
    assert "ours" in ours["names"]
    (home / "prices.toml").write_text('[[price]]\nprovider="acme"\nmodel="rocket-1"\ninput=-1\n')
    ran = cli("models", "--config", "mine.toml")
    assert ran.code == 2
    assert ran.err == (
        "sandbox: prices.toml:1: price 1 (acme/rocket-1): input is -1; it must be between 0 and 10000 USD\n"
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (["gtp-4*"], "no model is called 'gtp-4*', so it is unpriced; the nearest are gpt-4, gpt-4o, gpt-5.4, gpt-4.1"),
        (["qqqqqqqq"], "no model is called 'qqqqqqqq', so it is unpriced; `sandbox models` lists them"),
        (
            ["gpt-4-32k", "--service", "batch"],
            "no model with batch rates is called 'gpt-4-32k', so it is unpriced; the",
        ),
        (
            ["gpt-4o", "--provider", "anthropic"],
            "no model is called 'gpt-4o', so it is unpriced; `sandbox models` lists",
        ),
        (["--provider", "antropic"], "unknown provider 'antropic': did you mean 'anthropic'?"),
        (["--as-of", "soon"], "--as-of is 'soon'; write a day as YYYY-MM-DD, such as 2024-06-30"),
        (["--as-of", "2023-02-29"], "--as-of is '2023-02-29'; write a day as YYYY-MM-DD"),
        (["--sort", "prise"], "prise"),
    ],
)
def test_what_cannot_be_meant(cli: Cli, line: list[str], sentence: str) -> None:
    ran = cli("models", *line)
    assert ran.code == 2
    assert ran.out == ""
    assert sentence in ran.err


def test_days(cli: Cli) -> None:
    then = cli("models", "o3", "--provider", "openai", "--as-of", "2024-06-30")
    assert "later" in then.out
    assert then.err.endswith("as of 2024-06-30; a price without a day under `since` is the oldest that is known\n")
    assert cli("models", "o3", "--as-of", "2030-01-01").err.endswith("as of 2030-01-01, as far as announced by then\n")
    assert cli("models", "--json", "--as-of", "2024-06-30").json["as_of"] == "2024-06-30"


def test_a_list_tells_prices_windows_and_what_else_has_a_price(cli: Cli) -> None:
    header, *rows = cli("models", "*").out.splitlines()
    assert " ".join(header.split()) == "provider model in $/M out $/M cached write window since also"
    [row] = [line.split() for line in rows if line.split()[:2] == ["openai", "gpt-4o"]]
    assert row[2:6] == ["2.5", "10", "1.25", "128,000"]
    assert "batch" in row[6:]
    assert any(line.split()[0] == "ollama" and "local" in line for line in rows)
