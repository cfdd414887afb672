"""Real traffic through the wiretap: served to the byte, and read back by the vendor's own client."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from providers.exchange import FixtureLibrary, load
from providers.mock.simulated import Simulation
from sandbox.server.wiretap import Wiretap
from tests.clients.recorded import read_back
from tests.shared_material import needs_wire, wire_dir

_FOLDER = wire_dir()
FILES = sorted(_FOLDER.glob("*/*.json")) if _FOLDER is not None else []


def differing(read: dict[str, Any], expected: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Fields that both tell, and tell differently. A field that the client does not know is not compared."""
    return {
        name: (value, expected[name])
        for name, value in read.items()
        if name in expected and expected[name] is not None and not _same(value, expected[name])
    }


def _same(value: Any, expected: Any) -> bool:
    return str(value) == str(expected) if isinstance(expected, (int, str)) else value == expected


@needs_wire
@pytest.mark.parametrize("path", FILES, ids=[f"{path.parent.name}/{path.stem}" for path in FILES])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::UserWarning")
async def test_the_vendors_client_reads_back_what_was_recorded(path: Path, tmp_path: Path) -> None:
    shelf = tmp_path / path.parent.name
    shelf.mkdir()
    (shelf / path.name).symlink_to(path)
    exchange = load(path)
    simulation = Simulation(library=FixtureLibrary([tmp_path]), fixtures_only=True)
    async with Wiretap(simulation=simulation) as tap:
        url, box = tap.url, []
        # boto3 is synchronous, so the client has a loop of its own.
        await asyncio.to_thread(lambda: box.append(asyncio.run(read_back(url, exchange))))
        (entry,) = tap.journal.entries()
    (read,) = box
    assert read, "the client told nothing"
    assert differing(read, exchange.expected) == {}
    assert str(entry.answered_by).endswith(path.name), entry
    failed = exchange.expected.get("error_message") is not None
    assert ("error_message" in read) is failed
    if not failed:
        assert set(read) >= {"text"}
