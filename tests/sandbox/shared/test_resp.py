"""Redis's wire format, in whatever pieces it comes."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.shared.errors import RedisRefused
from sandbox.shared.resp import Answers, Push, packed
from tests.redis_server import RedisServer

SAID = [
    (b"+OK\r\n", b"OK"),
    (b":-12\r\n", -12),
    (b"(3492890328409238509324850943850943825024385\r\n", 3492890328409238509324850943850943825024385),
    (b"$0\r\n\r\n", b""),
    (b"$7\r\na\r\nb\r\nc\r\n", b"a\r\nb\r\nc"),
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"_\r\n", None),
    (b"#t\r\n", True),
    (b"#f\r\n", False),
    (b",1.5\r\n", 1.5),
    (b",inf\r\n", math.inf),
    (b"=8\r\ntxt:word\r\n", b"word"),
    (b"*0\r\n", []),
    (b"*3\r\n:1\r\n*1\r\n$1\r\nx\r\n_\r\n", [1, [b"x"], None]),
    (b"~2\r\n:1\r\n:2\r\n", [1, 2]),
    (b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n", {b"a": 1, b"b": [2]}),
    (b"|1\r\n+ttl\r\n:3600\r\n+said of this\r\n", b"said of this"),
]


@pytest.mark.parametrize(("data", "answer"), SAID, ids=[repr(data) for data, _ in SAID])
def test_every_kind_of_answer(data: bytes, answer: Any) -> None:
    assert Answers().feed(data) == [answer]


@pytest.mark.parametrize("data", [b"-OOM no memory left\r\n", b"!18\r\nOOM no memory left\r\n"])
def test_an_error_is_an_answer(data: bytes) -> None:
    [refused] = Answers().feed(data)
    assert isinstance(refused, RedisRefused)
    assert (refused.code, str(refused)) == ("OOM", "OOM no memory left")


def test_what_is_said_unasked_is_no_answer() -> None:
    said, answer = Answers().feed(b">2\r\n+moving\r\n:1\r\n+OK\r\n")
    assert type(said) is Push
    assert answer == b"OK"


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n", b"?\r\n", b":no number\r\n"])
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        Answers().feed(data)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(SAID), max_size=8), st.data())
def test_pieces_make_no_difference(said: list[tuple[bytes, Any]], data: st.DataObject) -> None:
    whole = b"".join(one for one, _ in said)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    answers, found = Answers(), []
    for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        found += answers.feed(whole[begin:end])
    assert found == [answer for _, answer in said]


def test_commands_are_understood_by_a_server(redis_server: RedisServer) -> None:
    import socket

    with socket.create_connection(("127.0.0.1", redis_server.port)) as line:
        line.sendall(packed(("SET", "schlüssel", b"\x00\r\n", "PX", 60_000)) + packed(("STRLEN", "schlüssel")))
        answers, found = Answers(), []
        while len(found) < 2:
            found += answers.feed(line.recv(4096))
    assert found == [b"OK", 3]
