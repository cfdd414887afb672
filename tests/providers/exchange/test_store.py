"""Keeping an exchange: no credential reaches the disk, and no half file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from providers.errors import FixtureError
from providers.exchange import Chunk, Exchange, RecordedRequest, RecordedResponse, load, redacted, save
from providers.redaction import MASK

SECRET = "correct-horse-battery"


def exchange(*pieces: bytes, form: Any = "chunks", body: Any = None, **request: Any) -> Exchange:
    return Exchange(
        "openai",
        "chat.completions",
        RecordedRequest(body=body, **request),
        RecordedResponse(
            200, {"content-type": "text/event-stream"}, tuple(Chunk(float(i), p) for i, p in enumerate(pieces)), form
        ),
        recorded_from="live",
        kind="stream",
    )


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    kept = exchange(b"data: \xc3", b"\xa9\n\n", body={"model": "m"}, headers={"accept": "*/*"})
    path = save(kept, tmp_path, case="mine")
    assert path == tmp_path / "openai" / "mine.json"
    back = load(path)
    assert back.response == kept.response
    assert back.request == kept.request
    assert [p.name for p in path.parent.iterdir()] == ["mine.json"]


def test_names_count_up(tmp_path: Path) -> None:
    names = [save(exchange(b"x"), tmp_path).name for _ in range(3)]
    assert names == [f"chat-completions-stream-0{n}.json" for n in (1, 2, 3)]


@pytest.mark.parametrize(
    "kept",
    [
        exchange(headers={"Authorization": f"Bearer {SECRET}", "X-Api-Key": SECRET, "Cookie": SECRET}),
        exchange(path=f"/v1?key={SECRET}"),
        exchange(
            body={
                "messages": [{"content": f"my key is {SECRET}"}],
                "api_key": "short",
                "metadata": {"password": "p4ss"},
            }
        ),
        exchange(body=f"plain {SECRET}"),
        exchange(b"your key " + SECRET.encode() + b" is wrong"),
        exchange(b"your key correct-ho", b"rse-battery is wrong"),
        exchange(b"Incorrect API key provided: sk-proj-", b"abcdefghijkl."),
        exchange(*(bytes([b]) for b in f"key {SECRET}.".encode())),
    ],
    ids=["headers", "path", "body", "text body", "answer", "across pieces", "by its shape", "byte by byte"],
)
def test_no_credential_reaches_the_disk(kept: Exchange, tmp_path: Path) -> None:
    path = save(kept, tmp_path, secrets=[SECRET])
    text = path.read_text()
    assert SECRET not in text
    back = load(path)
    assert back.response is not None
    for secret in (SECRET.encode(), b"sk-proj-abcdefghijkl", b'"short"', b"p4ss"):
        assert secret not in back.response.body
        assert secret not in orjson.dumps(back.request.body)
        assert secret.decode() not in text


def test_pieces_stay_pieces_where_nothing_had_to_go() -> None:
    kept = exchange(b"data: \xc3", b"\xa9 hello\n\n")
    assert redacted(kept, [SECRET]).response == kept.response
    cleaned = redacted(exchange(b"one ", SECRET.encode(), b" two"), [SECRET]).response
    assert cleaned is not None
    assert [chunk.data for chunk in cleaned.chunks] == [b"one ", MASK.encode(), b" two"]


def test_a_binary_answer_with_a_credential_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(FixtureError, match="binary and holds a credential"):
        save(exchange(b"\x00\xff" + SECRET.encode(), form="body_base64"), tmp_path, secrets=[SECRET])
    assert not list(tmp_path.rglob("*.json"))
    path = save(exchange(b"\x00\xff", form="body_base64"), tmp_path, secrets=[SECRET])
    kept = load(path).response
    assert kept is not None
    assert kept.body == b"\x00\xff"


def test_the_exchange_itself_is_not_changed() -> None:
    kept = exchange(SECRET.encode(), body={"api_key": SECRET})
    redacted(kept, [SECRET])
    assert kept.request.body == {"api_key": SECRET}
    assert kept.response is not None
    assert kept.response.body == SECRET.encode()


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(exchange(b"old"), tmp_path, case="mine")
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(FixtureError, match=r"cannot write a fixture to .*: No space left on device"):
        save(exchange(b"new"), tmp_path, case="mine")
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["mine.json"]


def test_what_json_cannot_hold_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FixtureError, match="cannot be written as JSON"):
        save(exchange(body={"x": object()}), tmp_path)


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "openai").write_text("")
    with pytest.raises(FixtureError, match="cannot write a fixture to"):
        save(exchange(b"x"), tmp_path)
