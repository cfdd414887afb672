"""The keys of a server that runs are those of the settings file as it is now."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from providers.errors import AuthenticationError
from sandbox.access import kept, keys
from sandbox.access.callers import Access
from sandbox.settings import load
from sandbox.settings.editing import put
from tests.fake_clock import FakeClock

KEYS = {name: keys.new_key(lambda name=name: keys.digest(name)[:32]) for name in ("ci", "app")}


def write(file: Path, *names: str) -> None:
    lines = ", ".join(f'"{keys.hashed(name, ["chat"], KEYS[name]).line}"' for name in names)
    put(file, ("server", "keys"), f"[{lines}]" if names else None)


def opened(file: Path, **environ: str) -> Access:
    return Access(load(file, environ=environ).settings.server, clock=FakeClock())


def known(access: Access) -> set[str]:
    found = set()
    for name, key in KEYS.items():
        try:
            found.add(access.recognised(key).name.removeprefix("key:"))
        except AuthenticationError:
            continue
        assert name in found
    return found


def test_a_key_that_is_taken_out_is_known_no_more_and_a_new_one_is_at_once(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    write(file, "ci")
    access = opened(file)
    assert (known(access), access.configured) == ({"ci"}, True)
    write(file, "app")
    assert known(access) == {"app"}
    write(file)
    assert (known(access), access.configured) == (set(), False)
    write(file, "ci", "app")
    assert known(access) == {"ci", "app"}
    file.unlink()
    assert known(access) == set()


def test_a_file_that_was_not_there_yet(tmp_path: Path) -> None:
    home = {"SANDBOX_CONFIG_DIR": str(tmp_path)}
    access = Access(load(environ=home, folder=tmp_path).settings.server, clock=FakeClock())
    assert known(access) == set()
    write(tmp_path / "config.toml", "ci")
    assert known(access) == {"ci"}


def test_what_wins_over_the_file_stays(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    write(file, "ci")
    access = opened(file, SANDBOX_SERVER__KEYS=keys.hashed("app", ["chat"], KEYS["app"]).line)
    write(file)
    assert known(access) == {"app"}


@pytest.mark.parametrize("text", ["[server\n", "[server]\nkeys = ['ci']\n", "[server]\nkees = []\n"])
def test_a_file_in_the_middle_of_an_edit_locks_nobody_out_and_is_told_once(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "config.toml"
    write(file, "ci")
    access = opened(file)
    file.write_text(text)
    with caplog.at_level(logging.WARNING):
        assert known(access) == known(access) == {"ci"}
    assert len(caplog.records) == 1
    assert "the API keys that were known before still hold" in caplog.text
    file.write_text("")
    assert known(access) == set()


def test_a_file_that_is_away_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "config.toml"
    write(file, "ci")
    access = opened(file)

    def away(file: Path) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(kept, "_looked_at", away)
        assert known(access) == {"ci"}
    assert [one.getMessage() for one in caplog.records] == [
        f"{file} cannot be read: Permission denied: the API keys that were known before still hold"
    ]
    write(file)
    assert known(access) == set()
