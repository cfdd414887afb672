"""One value of the settings file is changed, and nothing else of it."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.errors import ConfigError
from sandbox.settings.editing import put

LIMIT = ("budget_limit",)
ACME = ("budgets", "tenants", "acme")
FULL = """\
# mine
mode = "mock"   # for now

# what it may cost
budget_limit = 100  # USD

# the strong one
[providers.openai]
model = "gpt-4.1"

[budgets]
thresholds = [0.5, 1.0]

[budgets.tenants]
"zen.com" = 20 # a friend
acme = 5.50
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


@pytest.mark.parametrize(
    ("before", "key", "value", "after"),
    [
        ("", LIMIT, "20", "budget_limit = 20\n"),
        ("mode = 'mock'", LIMIT, "20", "mode = 'mock'\nbudget_limit = 20\n"),
        ("budget_limit=1#x\n", LIMIT, "20", "budget_limit=20#x\n"),
        ("budget_limit = 100  # USD\n", LIMIT, "20", "budget_limit = 20  # USD\n"),
        ("  'budget_limit' = \"100\"\n", LIMIT, "20", "  'budget_limit' = 20\n"),
        ("budget_limit = 100\nmode = 'mock'\n", LIMIT, None, "mode = 'mock'\n"),
        (
            "mode = 'mock'\n\n# of the table\n[cache]\nttl = 5\n",
            LIMIT,
            "20",
            "mode = 'mock'\nbudget_limit = 20\n\n# of the table\n[cache]\nttl = 5\n",
        ),
        ("[cache]\nttl = 5\n", LIMIT, "20", "budget_limit = 20\n[cache]\nttl = 5\n"),
        ("", ACME, "5", "[budgets.tenants]\nacme = 5\n"),
        ("mode = 'mock'\n", ACME, "5", "mode = 'mock'\n\n[budgets.tenants]\nacme = 5\n"),
        ("[budgets.tenants] # who\nzen = 1\n", ACME, "5", "[budgets.tenants] # who\nacme = 5\nzen = 1\n"),
        ("budgets.tenants.acme = 1\n", ACME, "5", "budgets.tenants.acme = 5\n"),
        ("[budgets]\ntenants.acme = 1\n", ACME, "5", "[budgets]\ntenants.acme = 5\n"),
        ("[budgets.tenants]\r\nacme = 1\r\n", ACME, "5", "[budgets.tenants]\r\nacme = 5\r\n"),
        ("\ufeffmode = 'mock'\n", LIMIT, "20", "mode = 'mock'\nbudget_limit = 20\n"),
        ("[budgets.tenants]\nacme = 1\n", ACME, None, "[budgets.tenants]\n"),
        (
            "[budgets.tenants]\n",
            ("budgets", "tenants", 'a.b "c" \\ ü\x7f'),
            "5",
            '[budgets.tenants]\n"a.b \\"c\\" \\\\ ü\\u007f" = 5\n',
        ),
        (
            'x = """\nbudget_limit = 1\n"""\nbudget_limit = 2\n',
            LIMIT,
            "5",
            'x = """\nbudget_limit = 1\n"""\nbudget_limit = 5\n',
        ),
        ("[budgets.tenants]\n'zen.com' = 1\n", ("budgets", "tenants", "zen.com"), "5", None),
    ],
)
def test_one_line_changes(file: Path, before: str, key: Any, value: str | None, after: str | None) -> None:
    file.write_bytes(before.encode())
    assert put(file, key, value)
    text = file.read_bytes().decode()
    assert text == (after or before.replace("= 1", f"= {value}"))
    assert not put(file, key, value)
    assert list(file.parent.iterdir()) == [file]


def test_everything_else_stays(file: Path) -> None:
    file.write_text(FULL)
    assert put(file, LIMIT, "7")
    assert put(file, ACME, None)
    assert put(file, ("budgets", "tenants", "new"), "1")
    expected = FULL.replace("= 100 ", "= 7 ").replace("acme = 5.50\n", "")
    assert file.read_text() == expected.replace("[budgets.tenants]\n", "[budgets.tenants]\nnew = 1\n")


@pytest.mark.parametrize("key", [LIMIT, ACME])
def test_what_is_not_there_need_not_be_taken_out(file: Path, key: Any) -> None:
    assert not put(file, key, None)
    assert not file.exists()
    file.write_text("mode = 'mock'\n")
    assert not put(file, key, None)


@pytest.mark.parametrize(
    ("text", "key", "value", "by_hand"),
    [
        ("budgets = {tenants = {acme = 1}}\n", ACME, "5", r"write acme = 5 under \[budgets.tenants\] by hand"),
        ("budgets = {tenants = {acme = 1}}\n", ACME, None, r"take acme out under \[budgets.tenants\] by hand"),
        ("budgets.tenants.zen = 1\n", ACME, "5", "write acme = 5"),
    ],
)
def test_what_cannot_be_proved_is_not_written(file: Path, text: str, key: Any, value: str, by_hand: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=by_hand):
        put(file, key, value)
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("mode = \n", "line 1: not valid TOML"),
        ("budgets = 5\n", "budgets is a table"),
        ("[budgets]\ntenants = 5\n", "tenants is a table"),
    ],
)
def test_what_is_wrong_already_is_told(file: Path, text: str, sentence: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        put(file, ACME, "5")


def test_the_file_keeps_its_mode_and_a_link_stays_one(file: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "sandbox.toml"
    real.parent.mkdir()
    real.write_text("mode = 'mock'\n")
    real.chmod(0o640)
    file.symlink_to(real)
    put(file, LIMIT, "20")
    assert file.is_symlink()
    assert "budget_limit = 20" in real.read_text()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_new_file_is_private(tmp_path: Path) -> None:
    file = tmp_path / "new" / "config.toml"
    put(file, LIMIT, "20")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_folder_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write .*config\.toml: file exists"):
        put(tmp_path / "file" / "config.toml", LIMIT, "20")


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(names=st.lists(NAMES, min_size=1, max_size=6, unique=True), start=st.sampled_from(["", FULL]))
def test_any_tenants_name_can_be_written_changed_and_taken_out(file: Path, names: list[str], start: str) -> None:
    file.write_text(start)
    before = tomllib.loads(start).get("budgets", {}).get("tenants", {})
    for number, name in enumerate(names):
        put(file, ("budgets", "tenants", name), str(number))
    tenants = tomllib.loads(file.read_text())["budgets"]["tenants"]
    assert tenants == before | {name: number for number, name in enumerate(names)}
    for name in names:
        put(file, ("budgets", "tenants", name), "7.5")
        put(file, ("budgets", "tenants", name), None)
    tenants = tomllib.loads(file.read_text()).get("budgets", {}).get("tenants", {})
    assert tenants == {name: limit for name, limit in before.items() if name not in names}
