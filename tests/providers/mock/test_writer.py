"""The synthetic writer: repeatable, about the prompt, in a voice, and obedient to what shapes an answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.errors import ContextLengthError, InvalidRequestError
from providers.mock.voices import VOICES
from providers.mock.writer import Dice, SyntheticWriter, pieces_of, prompt_tokens, tokens_in
from providers.types import Completion, GenerationRequest

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather of a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 1, "maximum": 7},
                "unit": {"enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city"],
        },
    },
}
TIME = {"type": "function", "function": {"name": "get_time", "description": "The hour in a zone"}}


def write(
    prompt: str = "Explain circuit breakers to a cook.", *, seed: int = 0, provider: str = "openai", **request
) -> Completion:
    model = request.pop("answering", "m")
    window = request.pop("window", None)
    asked = GenerationRequest(prompt=None if "messages" in request else prompt, **request)
    return SyntheticWriter(seed).write(asked, provider=provider, model=model, window=window).completion


def test_the_same_request_and_seed_give_the_same_answer():
    assert write() == write()
    assert write(seed=1) == write(seed=1)


@pytest.mark.parametrize(
    "changed",
    [
        {"prompt": "Explain circuit breakers to a pilot."},
        {"seed": 1},
        {"provider": "anthropic"},
        {"answering": "other"},
        {"system": "Be kind."},
    ],
)
def test_what_is_asked_and_who_answers_decide_the_answer(changed):
    texts = {write(**{**changed, "seed": changed.get("seed", 0)}).text for _ in range(2)}
    assert len(texts) == 1
    assert texts != {write().text}


def test_providers_without_a_voice_of_their_own_still_differ():
    answers = {
        write(f"Explain {matter}.", provider=p).text for matter in ("bees", "rain", "rust") for p in ("one", "two")
    }
    assert len(answers) > 3


def test_the_requests_own_seed_counts():
    asked = [GenerationRequest(prompt="Explain circuit breakers to a cook.", seed=seed) for seed in range(8)]
    texts = {SyntheticWriter().write(request, provider="openai", model="m").completion.text for request in asked}
    assert len(texts) > 3


@pytest.mark.parametrize(
    ("prompt", "mentioned"),
    [
        ("Explain circuit breakers to a cook.", "circuit breakers"),
        ("What is the capital of France?", "the capital of France"),
        ("Explain carbon accounting in 2 sentences.", "carbon accounting"),
        ("Tell me about Kubernetes operators", "Kubernetes operators"),
        ("Analyze ESG data...", "ESG"),
    ],
)
@pytest.mark.parametrize("provider", VOICES)
def test_the_answer_is_about_the_prompt(provider, prompt, mentioned):
    assert mentioned.lower() in write(prompt, provider=provider).text.lower()


def test_every_provider_has_a_voice_of_its_own():
    answers = {provider: write(provider=provider).text for provider in VOICES}
    assert len(set(answers.values())) == len(VOICES)
    sentences = [s for voice in VOICES.values() for part in voice for s in part]
    assert len(sentences) == len(set(sentences))
    assert all(len(voice.middles) == 7 for voice in VOICES.values())


@pytest.mark.parametrize(
    "prompt", ["", " ", "?!", "🙂", "お誕生日おめでとう", "{a} {0} {}", "\x00", "a" * 5000, "2 + 2", "\ud800"]
)
def test_any_prompt_is_answered(prompt):
    answer = write(prompt)
    assert answer.text.strip()
    assert "{a}" not in answer.text or "{a}" in prompt


@pytest.mark.parametrize(("asked", "count"), [("in 2 sentences", 2), ("in one sentence", 1), ("in five sentences", 5)])
def test_a_number_of_sentences_is_kept(asked, count):
    text = write(f"Explain carbon accounting {asked}.", provider="bedrock").text
    assert text.count(". ") + 1 == count


def test_a_story_is_longer_than_a_remark():
    assert write("Tell me a long story about bees").usage.output_tokens > 1.5 * write("Bees?").usage.output_tokens


@pytest.mark.parametrize("limit", [1, 5, 20])
def test_max_tokens_cuts_the_answer(limit):
    answer = write(max_tokens=limit)
    assert answer.stop == "length"
    assert answer.usage.output_tokens == limit
    assert write().text.startswith(answer.text)


def test_a_limit_that_is_not_reached_changes_nothing():
    assert write(max_tokens=10_000) == write()


def test_a_stop_sequence_ends_the_answer_before_it():
    whole = write().text
    end, later = whole.split()[4], whole.split()[9]
    answer = write(stop=["nowhere in it", later, end])
    assert answer.stop == "stop"
    assert answer.text == whole[: whole.index(end)]
    assert answer.usage.output_tokens == len(pieces_of(answer.text))


def test_usage_is_plausible_and_consistent():
    answer = write()
    assert answer.usage.input_tokens == 16
    assert 25 < answer.usage.output_tokens < 120
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert not answer.usage.estimated
    assert write("word " * 1000).usage.input_tokens == pytest.approx(1250, rel=0.1)


@given(st.text(max_size=400))
def test_pieces_join_to_the_text(text):
    assert "".join(pieces_of(text)) == text


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=400))
def test_a_text_has_about_as_many_tokens_as_pieces(text):
    assert tokens_in(text) <= 2 * len(text) + 1
    assert (tokens_in(text) == 0) == (text == "")


def test_a_conversation_costs_more_than_its_texts():
    one = prompt_tokens([{"role": "user", "content": "hello"}])
    call = {"id": "1", "function": {"name": "f", "arguments": '{"a": 1}'}}
    assert prompt_tokens([{"role": "user", "content": "hello"}, {"role": "assistant", "tool_calls": [call]}]) > one + 4


def test_long_prompts_are_not_remembered():
    import providers.mock.topic as topic

    topic._topic_of.cache_clear()
    for number in range(5):
        topic.topic_of("bees and rain " * 200 + str(number))
    assert topic._topic_of.cache_info().currsize == 1


# --- JSON ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "json_object", {"type": "json_object"}])
def test_json_mode_answers_an_object(form):
    answer = json.loads(write(response_format=form).text)
    assert answer["topic"] == "circuit breakers"
    assert "circuit breakers" in answer["answer"].lower()


def test_a_schema_is_followed():
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "steps": {"type": "array", "items": {"type": "string"}, "minItems": 3},
        },
        "required": ["title", "steps"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "plan", "schema": schema, "strict": True}}
    answer = json.loads(write(response_format=form).text)
    assert set(answer) == {"title", "steps"}
    assert len(answer["steps"]) == 3


def test_json_that_is_cut_says_so():
    answer = write(response_format="json", max_tokens=4)
    assert answer.stop == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.text)


def test_a_schema_that_is_none_is_refused_in_one_sentence():
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "array", "minItems": "many"}}}
    with pytest.raises(InvalidRequestError, match="JSON schema"):
        write(response_format=form)


# --- tools --------------------------------------------------------------------------------------------------------


def call_of(**request):
    answer = write(**request)
    assert answer.stop == "tool_calls"
    assert answer.text is None
    assert answer.usage.output_tokens > 0
    [call] = answer.tool_calls
    return call.name, json.loads(call.arguments), call.id


def test_a_prompt_about_a_tool_calls_it_with_what_the_prompt_says():
    name, arguments, ident = call_of(
        prompt="What's the weather in New York in fahrenheit for 3 days?", tools=[TIME, WEATHER]
    )
    assert (name, arguments) == ("get_weather", {"city": "New York", "days": 3, "unit": "fahrenheit"})
    assert ident.startswith("call_")


def test_a_prompt_about_something_else_is_answered_in_words():
    assert write(tools=[WEATHER]).text
    assert write("What's the weather in Paris?", tools=[WEATHER], tool_choice="none").text


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_a_forced_tool_is_called_whatever_is_asked(choice):
    name, arguments, _ = call_of(tools=[WEATHER], tool_choice=choice)
    assert name == "get_weather"
    assert 1 <= arguments["days"] <= 7
    assert arguments["unit"] in ("celsius", "fahrenheit")


def test_the_named_tool_is_the_one():
    name, _, _ = call_of(tools=[WEATHER, TIME], tool_choice={"type": "function", "function": {"name": "get_time"}})
    assert name == "get_time"


def test_a_tools_result_is_told_in_words():
    answer = write(
        messages=[
            {"role": "user", "content": "What's the weather in Paris?"},
            {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "get_weather", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "{sunny}, 21 °C"},
        ],
        tools=[WEATHER],
        tool_choice="required",
    )
    assert answer.stop == "stop"
    assert "{sunny}, 21 °C" in answer.text


def test_a_begun_answer_is_continued_without_a_new_opening():
    messages = [{"role": "user", "content": "Explain bees."}]
    begun = write(messages=[*messages, {"role": "assistant", "content": "Bees are"}])
    assert begun.text.startswith(" ")
    assert not any(
        begun.text.strip().startswith(opening.split("{")[0])
        for opening in VOICES["openai"].openings
        if opening[0] != "{"
    )


# --- the window ---------------------------------------------------------------------------------------------------


def test_a_prompt_beyond_the_window_is_refused_as_the_vendor_does():
    with pytest.raises(ContextLengthError, match="maximum context length is 100 tokens") as caught:
        write("word " * 500, window=100)
    assert (caught.value.status, caught.value.code) == (400, "context_length_exceeded")
    with pytest.raises(ContextLengthError, match=r"216 tokens \(16 in the messages, 200 in the completion\)"):
        write(window=100, max_tokens=200)
    assert write(window=100, max_tokens=84).text


# --- dice ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 50), max_size=200), st.text(alphabet=st.characters(codec="utf-8")))
@settings(max_examples=50)
def test_dice_repeat_and_stay_in_range(sides, seed):
    one, two = Dice(seed), Dice(seed)
    drawn = [one.below(side) for side in sides]
    assert drawn == [two.below(side) for side in sides]
    assert all(0 <= value < side for value, side in zip(drawn, sides, strict=True))


def test_dice_are_fair_enough_and_never_run_out():
    dice = Dice("seed")
    counts = [0] * 6
    for _ in range(6000):
        counts[dice.below(6)] += 1
    assert min(counts) > 850
    assert 0.45 < sum(dice.unit() for _ in range(1000)) / 1000 < 0.55
