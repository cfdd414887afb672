"""What a user asked is on disk only where the user said so."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.errors import FixtureError
from sandbox import Runtime, load_settings

SECRET = "the-combination-of-the-vault-is-8841"


def on_disk(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize("mode", ["mock", "replay"])
async def test_a_prompt_is_in_no_file(mode: str, tmp_path: Path) -> None:
    flags = {"mode": mode, "data_dir": str(tmp_path), "cache.backend": "off"}
    async with await Runtime.open(load_settings(flags=flags, environ={}).settings) as runtime:
        if mode == "mock":
            assert (await runtime.gateway.generate(f"Is {SECRET} right?")).text
        else:
            with pytest.raises(FixtureError, match=SECRET):  # said to the user, and kept nowhere
                await runtime.gateway.generate(f"Is {SECRET} right?")
    assert on_disk(tmp_path) == []
