"""Keeping an exchange: no credential reaches the disk, and no half file."""

from __future__ import annotations

import itertools
import os
import re
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
        exchange(headers={"X-Echo": f"you sent {SECRET}"}),
        replace(exchange(), response=RecordedResponse(200, {"X-Echo": SECRET, "set-cookie": SECRET})),
        exchange(path=f"/v1?key={SECRET}"),
        exchange(path=f"/v1/{SECRET}/chat", host=f"{SECRET}.example"),
        exchange(body={SECRET: {"nested": [SECRET]}}),
        replace(exchange(), expected={"text": SECRET, "tool_calls": [{"arguments": {"key": SECRET}}]}),
        replace(exchange(), note=SECRET, source={"path": SECRET}, kind=SECRET, pattern=SECRET),
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
    ids=[
        "headers",
        "echoed header",
        "answer's headers",
        "query",
        "path",
        "body keys",
        "expected",
        "words about it",
        "body",
        "text body",
        "answer",
        "across pieces",
        "by its shape",
        "byte by byte",
    ],
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


@pytest.mark.parametrize(
    ("pieces", "left"),
    [
        ([b"one ", SECRET.encode(), b" two"], [b"one ", MASK.encode(), b" two"]),
        ([b"key correct-ho", b"rse-battery end"], [b"key " + MASK.encode(), b" end"]),
        ([b"correct-", b"horse", b"-battery", b"!"], [MASK.encode(), b"", b"", b"!"]),
        ([b'{"api_key": "sh', b'ort"}'], [b'{"api_key": "' + MASK.encode(), b'"}']),
        ([b"\xff correct-horse-bat", b"tery \xfe"], [b"\xff " + MASK.encode(), b" \xfe"]),
        ([SECRET.encode() * 2, SECRET.encode()], [MASK.encode(), b""]),
    ],
)
def test_a_credential_is_cut_out_and_the_pieces_keep_their_times(pieces: list[bytes], left: list[bytes]) -> None:
    cleaned = redacted(exchange(*pieces), [SECRET]).response
    assert cleaned is not None
    assert [chunk.data for chunk in cleaned.chunks] == left
    assert [chunk.after_ms for chunk in cleaned.chunks] == [float(n) for n in range(len(pieces))]


@given(
    st.lists(st.sampled_from([SECRET, "correct", "-", "horse-battery", " ", "é", "sk-abcdefgh"]), max_size=8), st.data()
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_no_cut_of_the_answer_lets_a_credential_through(words: list[str], data: st.DataObject) -> None:
    whole = "".join(words).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    edges = [0, *cuts, len(whole)]
    pieces = [whole[a:b] for a, b in itertools.pairwise(edges)]
    cleaned = redacted(exchange(*pieces), [SECRET]).response
    assert cleaned is not None
    assert len(cleaned.chunks) == len(pieces)
    joined = cleaned.body
    assert SECRET.encode() not in joined
    assert not re.search(rb"\bsk-abcdefgh", joined)
    if SECRET.encode() not in whole and b"sk-" not in whole:
        assert [chunk.data for chunk in cleaned.chunks] == pieces


def test_pieces_stay_pieces_where_nothing_had_to_go() -> None:
    kept = exchange(b"data: \xc3", b"\xa9 hello\n\n")
    assert redacted(kept, [SECRET]).response == kept.response


def test_a_binary_answer_with_a_credential_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(FixtureError, match="binary and holds a credential"):
        save(exchange(b"\x00\xff" + SECRET.encode(), form="body_base64"), tmp_path, secrets=[SECRET])
    assert not list(tmp_path.rglob("*.json"))
    path = save(exchange(b"\x00\xff", form="body_base64"), tmp_path, secrets=[SECRET])
    kept = load(path).response
    assert kept is not None
    assert kept.body == b"\x00\xff"


@pytest.mark.parametrize(
    "answer",
    [
        SECRET.encode(),
        b'{"bytes":"' + b64encode(f"your key {SECRET}".encode()) + b'","p":"abc"}',
        b'{"bytes" : "' + b64encode(b"Incorrect API key provided: sk-proj-abcdefghijkl.") + b'"}',
    ],
    ids=["plain", "packed", "packed, by its shape"],
)
def test_framed_events_with_a_credential_are_not_saved(answer: bytes, tmp_path: Path) -> None:
    kept = exchange(b"\x00\x00\x01" + answer[:7], answer[7:] + b"\x9f")
    assert kept.response is not None
    kept.response.headers["content-type"] = "application/vnd.amazon.eventstream"
    with pytest.raises(FixtureError, match="binary and holds a credential; it was not saved"):
        save(kept, tmp_path, secrets=[SECRET])
    assert not list(tmp_path.rglob("*.*"))


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


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"case": "../mine"}, r"case is '\.\./mine'; it must be a name"),
        ({"case": ""}, "case is ''"),
        ({"case": "a" * 101}, f"case is '{'a' * 60}'; .* at most 100"),
        ({"provider": "../x"}, r"provider is '\.\./x'"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, wrong: dict[str, str], says: str) -> None:
    kept = replace(exchange(b"x"), provider=wrong.get("provider", "openai"))
    with pytest.raises(FixtureError, match=says):
        save(kept, tmp_path, case=wrong.get("case"))
    assert not list(tmp_path.iterdir())


def test_a_name_that_another_process_takes_at_that_moment_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = save(exchange(b"theirs"), tmp_path)
    # What looks free is not any more when it is taken.
    monkeypatch.setattr(Path, "exists", lambda path: False)
    second = save(exchange(b"mine"), tmp_path)
    assert [second.name, *(load(path).response.body for path in (first, second))] == [  # type: ignore[union-attr]
        "chat-completions-stream-02.json",
        b"theirs",
        b"mine",
    ]


def test_a_file_system_without_links_does_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    assert [save(exchange(b"x"), tmp_path).name for _ in range(2)] == [
        "chat-completions-stream-01.json",
        "chat-completions-stream-02.json",
    ]
    assert len(list((tmp_path / "openai").iterdir())) == 2


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_recording_is_its_owners_alone(tmp_path: Path) -> None:
    path = save(exchange(b"x"), tmp_path / "new")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
