"""Why a recording does not answer a request."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.exchange import Exchange, FixtureLibrary, Query, RecordedRequest, RecordedResponse
from providers.exchange.departures import departures
from providers.exchange.store import save
from providers.redaction import MASK


def chat(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **fields}


def recording(text: str = "Which fuse?", **rules: Any) -> Exchange:
    return Exchange(
        "openai", "chat.completions", RecordedRequest(path="/v1", body=chat(text)), RecordedResponse(), **rules
    )


def asked(text: str, **fields: Any) -> Query:
    return Query("openai", "chat.completions", orjson.dumps(chat(text, **fields)), "/v1")


@pytest.mark.parametrize(
    ("rules", "query", "paths"),
    [
        ({}, asked("Which fuse?"), []),
        ({}, asked("Which bulb?", temperature=0), ["messages[0].content", "temperature"]),
        ({"ignore": ("temperature",)}, asked("Which fuse?", temperature=0), []),
        ({"match": "last_user_message"}, asked("Which fuse?", temperature=0), []),
        ({"match": "last_user_message"}, asked("Which bulb?"), ["the last user message"]),
        ({"match": "regex", "pattern": "f.se"}, asked("A fuse, please."), []),
        ({"match": "regex", "pattern": "f.se"}, asked("A bulb."), ["the pattern is not in the last user message"]),
        ({"match": "any"}, asked("Whatever."), []),
    ],
)
def test_what_departs_by_each_rule(rules: dict[str, Any], query: Query, paths: list[str]) -> None:
    assert [one.path for one in departures(recording(**rules), query)] == paths


@given(
    recorded=st.sampled_from(["a fuse", "a bulb", f"my key is {MASK}", ""]),
    text=st.sampled_from(["a fuse", "a bulb", "bulbs", "my key is sk-proj-abcdefghijkl", f"my key is {MASK}", ""]),
    rule=st.sampled_from(["exact", "last_user_message", "regex", "any"]),
    temperature=st.sampled_from([None, 0.5]),
)
def test_nothing_departs_exactly_where_the_library_finds_it(
    tmp_path_factory: pytest.TempPathFactory, recorded: str, text: str, rule: Any, temperature: float | None
) -> None:
    folder: Path = tmp_path_factory.mktemp("shelf")
    exchange = recording(recorded, match=rule, pattern=re.escape(recorded) if rule == "regex" else None)
    save(exchange, folder)
    query = asked(text, temperature=temperature)
    found = FixtureLibrary([folder]).find(query) is not None
    assert (departures(exchange, query) == []) is found
