"""Finding the recorded answer to a request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import FixtureError
from providers.exchange import FixtureLibrary, Query, packaged_folder
from providers.exchange import library as library_module
from providers.exchange.canonical import canonical, last_user_text
from providers.redaction import MASK
from tests.shared_material import needs_wire, wire_dir


class Shelf:
    """A folder of fixtures, written as a user would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.library = FixtureLibrary([folder])

    def put(self, case: str, body: Any, *, api: str = "chat.completions", answer: str = "", **rules: Any) -> None:
        path = self.folder / "openai" / f"{case}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {
            "version": 1,
            "provider": "openai",
            "api": api,
            "request": {"path": "/v1", "body": body},
            "response": {"status": 200, "body": answer or case},
            **rules,
        }
        path.write_bytes(orjson.dumps(document))

    def ask(
        self, body: Any, counts: dict[str, int] | None = None, *, api: str = "chat.completions", path: str = ""
    ) -> str | None:
        match = self.library.find(Query("openai", api, orjson.dumps(body), path), counts)
        return None if match is None else match.exchange.name.removeprefix("openai/").removesuffix(".json")


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def chat(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **fields}


# --- canonical bodies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        {"messages": [{"content": "Hi", "role": "user"}], "model": "m", "temperature": 1},
        chat("Hi", temperature=1.0, stream=False, n=1, stop=None, tools=[], tool_choice="auto"),
        {
            "model": "m",
            "temperature": 1,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}], "name": None}],
        },
    ],
)
def test_spellings_of_one_request_are_equal(other: dict[str, Any], shelf: Shelf) -> None:
    shelf.put("case", chat("Hi", temperature=1))
    assert shelf.ask(other) == "case"


@pytest.mark.parametrize(
    ("api", "one", "other"),
    [
        ("responses", {"input": "Hi"}, {"input": [{"role": "user", "content": "Hi"}]}),
        (
            "responses",
            {"input": "Hi"},
            {"input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}]},
        ),
        (
            "responses",
            {"input": [{"role": "assistant", "content": "Hi"}]},
            {"input": [{"role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}]},
        ),
        ("completions", {"prompt": "Hi"}, {"prompt": ["Hi"]}),
    ],
)
def test_spellings_of_openais_other_requests_are_equal(api: str, one: Any, other: Any) -> None:
    assert canonical(one, api) == canonical(other, api)
    assert canonical(one, api) != canonical({"input": "Hello", "prompt": "Hello"}, api)


@pytest.mark.parametrize(
    "other",
    [
        chat("Hi!"),
        chat("Hi", stream=True),
        chat("Hi", model="n"),
        chat("Hi", temperature=0),
        {"messages": []},
        [],
        "Hi",
    ],
)
def test_other_requests_are_not(other: Any, shelf: Shelf) -> None:
    shelf.put("case", chat("Hi"))
    assert shelf.ask(other) is None


def test_ollama_streams_by_default() -> None:
    assert canonical({"model": "m", "stream": True}, "chat") == {"model": "m"}
    assert canonical({"model": "m", "stream": False}, "chat") == {"model": "m", "stream": False}
    assert canonical({"model": "m", "stream": True}, "messages") == {"model": "m", "stream": True}


def test_the_path_counts_where_it_holds_the_model(shelf: Shelf) -> None:
    shelf.put("case", {"contents": []}, api="generateContent")
    assert shelf.ask({"contents": []}, api="generateContent", path="/v1?key=x") == "case"
    assert shelf.ask({"contents": []}, api="generateContent", path="/v1/models/other:generateContent") is None


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (chat("Hi"), "Hi"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}],
                    }
                ]
            },
            "ab",
        ),
        ({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}]}, "Hi"),
        (
            {"messages": [{"role": "user", "content": "Hi"}, {"role": "user", "content": [{"type": "tool_result"}]}]},
            "Hi",
        ),
        ({"messages": [{"role": "user", "content": [{"text": "bedrock"}]}]}, "bedrock"),
        ({"contents": [{"parts": [{"text": "gemini"}]}]}, "gemini"),
        ({"input": "responses"}, "responses"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "responses"}]}]}, "responses"),
        (
            {
                "input": [
                    {"role": "user", "content": "Hi"},
                    {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}]},
                    {"type": "function_call_output", "call_id": "c", "output": "42"},
                ]
            },
            "Hi",
        ),
        ({"prompt": "generate"}, "generate"),
        ({"prompt": ["completions"]}, "completions"),
        ("raw", "raw"),
        ({}, ""),
        (None, ""),
        ([7], ""),
    ],
)
def test_the_last_user_text_of_every_vendors_request(body: Any, text: str) -> None:
    assert last_user_text(body) == text


# --- rules ----------------------------------------------------------------------------------------------------------


def test_rules_from_the_strictest_to_the_loosest(shelf: Shelf) -> None:
    shelf.put("a-any", chat("x"), match="any")
    shelf.put("b-regex", chat("x"), match="regex", pattern=r"weather in \w+")
    shelf.put("c-last", chat("weather in Rome"), match="last_user_message")
    shelf.put("d-exact", chat("weather in Rome", temperature=0))
    assert shelf.ask(chat("weather in Rome", temperature=0)) == "d-exact"
    assert shelf.ask(chat("weather in Rome", temperature=1)) == "c-last"
    assert shelf.ask(chat("the weather in Oslo")) == "b-regex"
    assert shelf.ask(chat("something else")) == "a-any"
    assert shelf.ask(chat("weather in Rome"), api="messages") is None


def test_a_regex_may_be_the_recorded_message_itself(shelf: Shelf) -> None:
    shelf.put("case", chat("^tell me a joke about .+"), match="regex")
    assert shelf.ask(chat("tell me a joke about cats")) == "case"
    assert shelf.ask(chat("please tell me a joke about cats")) is None
    shelf.put("broken", chat("what (is this"), match="regex")
    shelf.library.forget()
    shelf.ask(chat("x"))
    (problem,) = shelf.library.problems.values()
    assert problem.startswith("openai/broken.json: match is 'regex', but the recorded message")


def test_a_request_without_user_text_matches_no_rule_about_it(shelf: Shelf) -> None:
    shelf.put("last", {"messages": []}, match="last_user_message")
    shelf.put("regex", chat("x"), match="regex", pattern="")
    assert shelf.ask({"messages": [{"role": "system", "content": "x"}]}) is None


@pytest.mark.parametrize(
    ("ignore", "asked", "found"),
    [
        (["temperature"], chat("Hi", temperature=0.3), True),
        (["temperature"], chat("Hi", top_p=0.3), False),
        (["messages"], {"model": "m"}, True),
        (["messages.0.content"], chat("anything"), True),
        (["messages.*.content"], chat("anything"), True),
        (["messages.1.content"], chat("anything"), False),
        (["tools.*.description"], chat("Hi", tools=[{"name": "f", "description": "other"}]), False),
        (["nothing.here"], chat("Hi"), True),
        (["model.x", "messages.x.y"], chat("Hi"), True),
    ],
)
def test_ignored_fields_need_not_agree(ignore: list[str], asked: dict[str, Any], found: bool, shelf: Shelf) -> None:
    shelf.put("case", chat("Hi"), ignore=ignore)
    assert (shelf.ask(asked) == "case") is found


def test_a_sequence_answers_turn_by_turn_and_then_stays(shelf: Shelf) -> None:
    shelf.put("second", chat("Hi"), sequence=2)
    shelf.put("first", chat("Hi"), sequence=1)
    counts: dict[str, int] = {}
    assert [shelf.ask(chat("Hi"), counts) for _ in range(4)] == ["first", "second", "second", "second"]
    assert [shelf.ask(chat("Hi")) for _ in range(2)] == ["first", "first"], (
        "without a memory every request is the first"
    )


def test_a_sequence_beside_a_recording_for_every_turn(shelf: Shelf) -> None:
    shelf.put("always", chat("Hi"))
    shelf.put("second", chat("Hi"), sequence=2)
    counts: dict[str, int] = {}
    assert [shelf.ask(chat("Hi"), counts) for _ in range(3)] == ["always", "second", "always"]


def test_a_sequence_under_a_looser_rule_waits_for_the_stricter(shelf: Shelf) -> None:
    shelf.put("exact", chat("Hi"))
    shelf.put("first-of-any", chat("Ho"), match="any", sequence=1)
    counts: dict[str, int] = {}
    assert shelf.ask(chat("Hi"), counts) == "exact"
    assert shelf.ask(chat("Ho"), counts) == "first-of-any"


def test_a_lone_later_turn_waits_for_it(shelf: Shelf) -> None:
    shelf.put("second", chat("Hi"), sequence=2)
    counts: dict[str, int] = {}
    assert [shelf.ask(chat("Hi"), counts) for _ in range(3)] == [None, "second", "second"]


# --- no match -------------------------------------------------------------------------------------------------------


def test_the_nearest_recording_and_its_first_difference_are_named(shelf: Shelf) -> None:
    shelf.put("far", chat("Something else entirely", temperature=1, max_tokens=7))
    shelf.put("near", chat("What is 12 + 12?", temperature=0))
    query = Query("openai", "chat.completions", orjson.dumps(chat("What is 12 + 13?", temperature=0)))
    with pytest.raises(FixtureError) as caught:
        shelf.library.require(query)
    assert str(caught.value) == (
        "no recording of openai chat.completions matches this request; the nearest is openai/near.json, "
        "which differs first at messages[0].content: 'What is 12 + 12?' there, 'What is 12 + 13?' here"
    )


def test_a_credential_that_was_taken_out_is_no_difference(shelf: Shelf) -> None:
    shelf.put("other", chat("My key is what?"))
    shelf.put("same", chat(f"My key is {MASK}, and what is a fuse?"))
    asked = chat("My key is sk-proj-abcdefghijkl, and what is a fuse?", temperature=0)
    text = shelf.library.explain(Query("openai", "chat.completions", orjson.dumps(asked)))
    assert text.endswith("openai/same.json, which differs first at temperature: absent there, 0 here")


@pytest.mark.parametrize(
    ("asked", "difference"),
    [
        (chat("Hi", temperature=1), "temperature: absent there, 1 here"),
        ({"messages": chat("Hi")["messages"]}, "model: 'm' there, absent here"),
        (chat("Hi", stream=True), "stream: absent there, true here"),
    ],
)
def test_differences_are_shown_as_they_are(asked: dict[str, Any], difference: str, shelf: Shelf) -> None:
    shelf.put("case", chat("Hi"))
    assert shelf.library.explain(Query("openai", "chat.completions", orjson.dumps(asked))).endswith(difference)


def test_a_difference_shows_no_credential_and_no_novel(shelf: Shelf) -> None:
    shelf.put("case", chat("Hi"))
    text = shelf.library.explain(
        Query("openai", "chat.completions", orjson.dumps(chat("sk-proj-abcdefghijkl " + "x" * 500)))
    )
    assert "sk-proj" not in text
    assert len(text) < 300


def test_what_there_is_instead_is_named(shelf: Shelf, tmp_path: Path) -> None:
    shelf.put("case", chat("Hi"))
    assert "there are only recordings of chat.completions" in shelf.library.explain(Query("openai", "messages", b"{}"))
    assert str(tmp_path) in shelf.library.explain(Query("nobody", "messages", b"{}"))
    assert FixtureLibrary([]).explain(Query("nobody", "messages", b"")).endswith("in any folder")


def test_a_broken_file_is_told_of_and_the_others_answer(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    shelf.put("broken", chat("Hi"), match="fuzzy")
    shelf.put("whole", chat("Hi"))
    assert shelf.ask(chat("Hi")) == "whole"
    assert list(shelf.library.problems) == ["openai/broken.json"]
    assert "openai/broken.json, line 1: match is 'fuzzy'" in shelf.library.problems["openai/broken.json"]
    assert [record.message for record in caplog.records] == [
        f"a recording is left out: {shelf.library.problems['openai/broken.json']}"
    ]
    shelf.ask(chat("Hi"))
    assert len(caplog.records) == 1


@pytest.mark.parametrize("depth", [100, 300, 700, 1000])
def test_a_request_nested_without_end_matches_nothing_and_breaks_nothing(depth: int, shelf: Shelf) -> None:
    shelf.put("plain", chat("Hi"))
    shelf.put("masked", chat(f"Hi {MASK}"))
    deep = b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"x":' + b"[" * depth + b"]" * depth + b"}"
    query = Query("openai", "chat.completions", deep)
    assert shelf.library.find(query) is None
    with pytest.raises(FixtureError, match="no recording of openai"):
        shelf.library.require(query)


def test_a_recording_nested_without_end_is_left_out(shelf: Shelf) -> None:
    shelf.put("deep", chat("Hi", x="nested"))
    shelf.put("plain", chat("Hi"))
    path = shelf.folder / "openai" / "deep.json"
    path.write_bytes(path.read_bytes().replace(b'"nested"', b"[" * 300 + b"]" * 300))
    assert shelf.ask(chat("Hi")) == "plain"
    assert "nested too deep" in shelf.library.problems["openai/deep.json"]


def test_a_miss_names_what_was_left_out(shelf: Shelf) -> None:
    shelf.put("broken", chat("Hi"), match="fuzzy")
    why = shelf.library.explain(Query("openai", "chat.completions", orjson.dumps(chat("Hi"))))
    assert "; left out: " in why
    assert "match is 'fuzzy'" in why
    assert "left out" not in shelf.library.explain(Query("anthropic", "messages", b"{}"))


def test_everything_can_be_read_at_once(shelf: Shelf, tmp_path: Path) -> None:
    shelf.put("whole", chat("Hi"))
    (tmp_path / "anthropic").mkdir()
    (tmp_path / "anthropic" / "broken.json").write_text('{\n"version": 1,\n]')
    assert shelf.library.read_all() == 1
    assert list(shelf.library.problems) == ["anthropic/broken.json"]
    assert "line 3" in shelf.library.problems["anthropic/broken.json"]
    shelf.library.forget()
    assert shelf.library.problems == {}


def test_recordings_without_credentials_match_requests_that_have_them(shelf: Shelf) -> None:
    shelf.put("exact", chat(f"My key is {MASK}"))
    shelf.put("question", chat(f"Is {MASK} mine?", temperature=0), match="last_user_message")
    assert shelf.ask(chat("My key is sk-proj-abcdefghijkl")) == "exact"
    assert shelf.ask(chat("Is sk-proj-abcdefghijkl mine?")) == "question"
    assert shelf.ask(chat("My key is secret")) is None


@pytest.mark.parametrize(
    ("recorded", "asked"),
    [
        ("/v1beta/models/gemini-2.5-flash:generateContent", "/v1/models/gemini-2.5-flash:generateContent?key=x"),
        ("/v1/projects/p/locations/l/publishers/google/models/g:generateContent",
         "/v1beta1/publishers/google/models/g:generateContent"),
        ("/model/anthropic.claude-v2:1/converse", "/model/anthropic.claude-v2%3A1/converse"),
        ("/model/arn:aws:bedrock:us-east-1:1:inference-profile/us.x/converse",
         "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x/converse"),
    ],
)  # fmt: skip
def test_paths_name_a_model_in_several_ways(recorded: str, asked: str, shelf: Shelf) -> None:
    api = "converse" if "/model/" in recorded else "generateContent"
    shelf.put("case", {"contents": []}, api=api, request={"path": recorded, "body": {"contents": []}})
    assert shelf.ask({"contents": []}, api=api, path=asked) == "case"
    assert shelf.ask({"contents": []}, api=api, path=asked.replace("a", "b")) is None


BODIES = st.fixed_dictionaries(
    {},
    optional={
        "messages": st.lists(
            st.fixed_dictionaries(
                {"role": st.sampled_from(["user", "assistant", "system"])},
                optional={
                    "content": st.one_of(
                        st.none(),
                        st.sampled_from(["Hi", "Ho", ""]),
                        st.lists(
                            st.fixed_dictionaries(
                                {"type": st.sampled_from(["text", "image"])},
                                optional={"text": st.sampled_from(["Hi", ""]), "x": st.none()},
                            ),
                            max_size=2,
                        ),
                    )
                },
            ),
            max_size=3,
        ),
        "prompt": st.sampled_from(["Hi", "", None]),
        "input": st.sampled_from(["Hi", "", None, []]),
        "temperature": st.sampled_from([0, 1, 1.0, None]),
    },
)


@given(there=BODIES, here=BODIES)
def test_equal_requests_ask_the_same(there: dict[str, Any], here: dict[str, Any]) -> None:
    # What lets a request be refused without writing it out canonically.
    if canonical(there, "chat.completions") == canonical(here, "chat.completions"):
        assert last_user_text(there) == last_user_text(here)
    spelled = canonical(there, "chat.completions")
    assert last_user_text(spelled) == last_user_text(there)


@pytest.mark.parametrize("field", ["messages", "messages.0.content", "messages.*.content"])
def test_a_question_that_may_differ_is_no_condition(field: str, shelf: Shelf) -> None:
    shelf.put("case", chat("Hi"), ignore=[field])
    assert shelf.ask(chat("Ho")) == "case"


# --- folders --------------------------------------------------------------------------------------------------------


def test_nothing_is_read_before_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(tmp_path)
    shelf.put("case", chat("Hi"))
    (tmp_path / "anthropic").mkdir()
    (tmp_path / "anthropic" / "broken.json").write_text("{")
    read: list[Path] = []
    real = Path.read_bytes

    def noted(path: Path) -> bytes:
        read.append(path)
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    library = FixtureLibrary([tmp_path])
    assert read == []
    for _ in range(3):
        assert library.find(Query("openai", "chat.completions", orjson.dumps(chat("Hi")))) is not None
    assert [path.name for path in read] == ["case.json"]


def test_an_earlier_folder_hides_the_same_case_in_a_later_one(tmp_path: Path) -> None:
    own, packaged = Shelf(tmp_path / "own"), Shelf(tmp_path / "packaged")
    own.put("same", chat("Hi"), answer="mine")
    packaged.put("same", chat("Hi"), answer="theirs")
    packaged.put("other", chat("Ho"), answer="theirs")
    library = FixtureLibrary([own.folder, tmp_path / "absent", packaged.folder])
    assert list(library.cases("openai")) == ["openai/other.json", "openai/same.json"]
    assert library.providers() == ["openai"]
    match = library.find(Query("openai", "chat.completions", orjson.dumps(chat("Hi"))))
    assert match is not None
    assert match.rule == "exact"
    assert match.exchange.response is not None
    assert match.exchange.response.body == b"mine"
    assert library.exchange("openai/other.json").name == "openai/other.json"
    with pytest.raises(FixtureError, match=r"there is no fixture 'openai/none\.json'"):
        library.exchange("openai/none.json")


def test_a_new_file_is_seen_after_forgetting(shelf: Shelf) -> None:
    assert shelf.ask(chat("Hi")) is None
    shelf.put("case", chat("Hi"))
    assert shelf.ask(chat("Hi")) is None
    shelf.library.forget()
    assert shelf.ask(chat("Hi")) == "case"


def test_the_packaged_folder_is_a_checkouts_own_or_inside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "providers" / "exchange" / "library.py"
    module.parent.mkdir(parents=True)
    monkeypatch.setattr(library_module, "__file__", str(module))
    (tmp_path / "fixtures").mkdir()
    assert packaged_folder() == module.parent / "library", "a neighbour's folder is not ours"
    (tmp_path / "pyproject.toml").touch()
    assert packaged_folder() == tmp_path / "fixtures"


def test_the_standard_library_asks_the_users_folder_first(tmp_path: Path) -> None:
    assert FixtureLibrary.standard(tmp_path).folders == (tmp_path, packaged_folder())
    assert FixtureLibrary.standard().folders == (packaged_folder(),)


@needs_wire
def test_every_recorded_request_finds_its_own_answer() -> None:
    folder = wire_dir()
    assert folder is not None
    library = FixtureLibrary([folder])
    for provider in library.providers():
        for name in library.cases(provider):
            exchange = library.exchange(name)
            match = library.find(
                Query(provider, exchange.api, orjson.dumps(exchange.request.body), exchange.request.path)
            )
            assert match is not None, name
            same = library.exchange(match.exchange.name).request
            assert (same.body, match.rule) == (exchange.request.body, "exact"), name
