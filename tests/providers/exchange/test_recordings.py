"""The user's own recordings: what takes whose place, whoever else writes there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from providers.errors import FixtureError
from providers.exchange import Chunk, Exchange, FixtureLibrary, Query, RecordedRequest, RecordedResponse, load, save
from providers.exchange.library import packaged_folder
from providers.exchange.recordings import MAX_TURNS, Recordings

ROOT = Path(__file__).parents[3]


def exchange(text: str = "Hi", answer: bytes = b"one", *, status: int = 200, **fields: Any) -> Exchange:
    fields = {"recorded_from": "live", "kind": "plain" if status == 200 else f"error-{status}", **fields}
    return Exchange(
        "openai",
        "chat.completions",
        RecordedRequest(path="/chat/completions", body={"model": "m", "messages": [{"role": "user", "content": text}]}),
        RecordedResponse(status, {"content-type": "application/json"}, (Chunk(1.0, answer),), "chunks"),
        **fields,
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "openai").glob("*.json"))


def test_a_repeated_request_keeps_its_newest_answer(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    paths = [recordings.keep(exchange(answer=text)) for text in (b"one", b"two", b"three")]
    assert paths == [tmp_path / "openai" / "chat-completions-plain-01.json"] * 3
    assert load(paths[0]).response.body == b"three"  # type: ignore[union-attr]
    other = recordings.keep(exchange("Another"))
    assert other.name == "chat-completions-plain-02.json"
    # Another spelling of the same request, in another run.
    spelled = exchange(answer=b"four")
    spelled.request.body = {"messages": [{"content": [{"type": "text", "text": "Hi"}], "role": "user"}], "model": "m"}
    assert Recordings(tmp_path).keep(spelled) == paths[0]
    assert len(names(tmp_path)) == 2


def test_a_failure_is_kept_for_its_turn_beside_the_answer(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    for status, answer in ((429, b"slow"), (503, b"down"), (200, b"at last")):
        recordings.keep(exchange(answer=answer, status=status))
    assert names(tmp_path) == [
        "chat-completions-error-429-01.json",
        "chat-completions-error-503-01.json",
        "chat-completions-plain-01.json",
    ]
    library, turns = FixtureLibrary([tmp_path]), dict[str, int]()
    query = Query("openai", "chat.completions", orjson.dumps(exchange().request.body))
    played = [library.require(query, turns).exchange.response.status for _ in range(5)]  # type: ignore[union-attr]
    assert played == [429, 503, 200, 200, 200]


def test_the_newer_of_the_same_turn_takes_the_place(tmp_path: Path) -> None:
    first = Recordings(tmp_path)
    first.keep(exchange(status=429))
    first.keep(exchange(answer=b"one"))
    again = Recordings(tmp_path)
    again.keep(exchange(status=500))
    assert names(tmp_path) == ["chat-completions-error-429-01.json", "chat-completions-plain-01.json"]
    assert load(tmp_path / "openai" / "chat-completions-error-429-01.json").response.status == 500  # type: ignore[union-attr]
    # This time it answers at once: the failure is of the past.
    Recordings(tmp_path).keep(exchange(answer=b"two"))
    assert names(tmp_path) == ["chat-completions-plain-01.json"]


def test_a_failure_before_any_answer_is_the_answer_to_every_turn(tmp_path: Path) -> None:
    Recordings(tmp_path).keep(exchange(status=401))
    library, turns = FixtureLibrary([tmp_path]), dict[str, int]()
    query = Query("openai", "chat.completions", orjson.dumps(exchange().request.body))
    assert [library.require(query, turns).exchange.response.status for _ in range(3)] == [401] * 3  # type: ignore[union-attr]


def test_broken_connections_are_failures_too(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    recordings.keep(replace(exchange(kind="reset"), response=None, error="connection_reset"))
    recordings.keep(replace(exchange(kind="stream-timeout"), error="timeout"))
    recordings.keep(exchange())
    assert [load(path).sequence for path in sorted((tmp_path / "openai").glob("*.json"))] == [None, 1, 2]


def test_failures_of_one_request_do_not_fill_the_disk(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    for _ in range(MAX_TURNS):
        recordings.keep(exchange(status=500))
    with pytest.raises(FixtureError, match="its further failures are not kept"):
        recordings.keep(exchange(status=500))
    assert len(names(tmp_path)) == MAX_TURNS
    assert recordings.keep(exchange()).name == "chat-completions-plain-01.json"


@pytest.mark.parametrize(
    "mine",
    [
        {"recorded_from": "authored"},
        {"match": "last_user_message"},
        {"ignore": ("temperature",)},
        {"sequence": 1},
    ],
)
def test_what_a_person_wrote_or_changed_is_left_alone(tmp_path: Path, mine: dict[str, Any]) -> None:
    path = save(exchange(answer=b"mine", **mine), tmp_path, case="mine")
    before = path.read_bytes()
    recordings = Recordings(tmp_path)
    for status in (200, 500, 200):
        recordings.keep(exchange(status=status))
    assert path.read_bytes() == before


def test_a_broken_file_in_the_folder_disturbs_nobody(tmp_path: Path) -> None:
    (tmp_path / "openai").mkdir()
    (tmp_path / "openai" / "broken.json").write_text("{")
    assert Recordings(tmp_path).keep(exchange()).is_file()
    assert (tmp_path / "openai" / "broken.json").read_text() == "{"


def test_a_name_is_given_once_and_is_taken_again_by_the_same_request_only(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path)
    auto = recordings.keep(exchange(answer=b"before"))
    path = recordings.keep(exchange(answer=b"one"), case="greeting")
    assert (path.name, auto.exists()) == ("greeting.json", False)
    assert recordings.keep(exchange(answer=b"two"), case="greeting") == path
    assert recordings.keep(exchange(answer=b"three")) == path
    with pytest.raises(FixtureError, match="there is already a fixture openai/greeting; choose another name"):
        recordings.keep(exchange("Another question"), case="greeting")
    with pytest.raises(FixtureError, match=r"case is '\.\./x'; it must be a name"):
        recordings.keep(exchange("Yet another"), case="../x")
    assert names(tmp_path) == ["greeting.json"]


def test_a_folder_that_refuses_to_be_looked_at_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_dir = Path.is_dir

    def refuse(path: Path) -> bool:
        if path.parent == tmp_path:
            raise PermissionError(13, "Permission denied", str(path))
        return is_dir(path)

    recordings = Recordings(tmp_path)
    monkeypatch.setattr(Path, "is_dir", refuse)
    with pytest.raises(FixtureError, match=f"cannot write a fixture to {tmp_path}/openai: Permission denied"):
        recordings.keep(exchange())


def test_the_packaged_library_is_neither_written_nor_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = sorted((packaged_folder() / "openai").glob("*.json"))
    with pytest.raises(FixtureError, match="is the packaged library; recordings go to a folder of their own"):
        Recordings(packaged_folder()).keep(exchange())
    with pytest.raises(FixtureError, match="there is in the packaged library a fixture openai/"):
        Recordings(tmp_path).keep(exchange(), case=packaged[0].stem)
    assert sorted((packaged_folder() / "openai").glob("*.json")) == packaged
    (tmp_path / "library" / "openai").mkdir(parents=True)
    (tmp_path / "library" / "openai" / "chat-completions-plain-01.json").write_text("{}")
    monkeypatch.setattr("providers.exchange.store.packaged_folder", lambda: tmp_path / "library")
    assert Recordings(tmp_path / "mine").keep(exchange()).name == "chat-completions-plain-02.json"


def test_files_of_another_process_are_seen(tmp_path: Path) -> None:
    one, other = Recordings(tmp_path), Recordings(tmp_path)
    path = one.keep(exchange(answer=b"one"))
    assert other.keep(exchange(answer=b"two")) == path
    path.unlink()
    assert one.keep(exchange(answer=b"three")) == path


# --- other processes, and the end of this one -----------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from tests.providers.exchange.test_recordings import exchange
from providers.exchange.recordings import Recordings
recordings = Recordings(Path(sys.argv[1]))
print("go", flush=True)
for n in range(int(sys.argv[3])):
    recordings.keep(exchange(f"{sys.argv[2]} {n}", b"x" * int(sys.argv[4])))
"""


def writer(folder: Path, who: str, count: int, size: int = 10) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-c", WRITER, str(folder), who, str(count), str(size)]
    return subprocess.Popen(line, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE)


def test_two_processes_lose_nothing_of_each_other(tmp_path: Path) -> None:
    processes = [writer(tmp_path, who, 40) for who in ("one", "two")]
    assert [process.communicate(timeout=60)[1] for process in processes] == [None, None]
    assert [process.returncode for process in processes] == [0, 0]
    asked = {str(load(path).request.body["messages"][0]["content"]) for path in (tmp_path / "openai").glob("*.json")}
    assert asked == {f"{who} {n}" for who in ("one", "two") for n in range(40)}
    assert not list((tmp_path / "openai").glob("*.tmp"))


def test_a_killed_process_leaves_no_half_file(tmp_path: Path) -> None:
    process = writer(tmp_path, "killed", 100_000, size=300_000)
    assert process.stdout is not None
    process.stdout.readline()
    until = time.monotonic() + 30
    while len(list(tmp_path.rglob("*.json"))) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    files = list((tmp_path / "openai").glob("*.json"))
    assert len(files) >= 3
    for path in files:
        assert load(path).response.body == b"x" * 300_000  # type: ignore[union-attr]
