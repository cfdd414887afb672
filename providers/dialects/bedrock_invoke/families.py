"""Which body format each model has, in one table, and which one a request, an answer or a chunk is written in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from providers.dialects import forms
from providers.dialects.bedrock import is_opaque
from providers.dialects.bedrock_invoke import templates
from providers.dialects.bedrock_invoke.chat import Chat, Claude, Nova
from providers.dialects.bedrock_invoke.family import Family
from providers.dialects.bedrock_invoke.templates import Turn
from providers.dialects.bedrock_invoke.text import Shape, TextFamily
from providers.errors import InvalidRequestError, MalformedResponseError
from providers.types import StopReason

_LOWER: Final[Mapping[str, StopReason]] = {"stop": "stop", "length": "length"}
_UPPER: Final[Mapping[str, StopReason]] = {
    "COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length", "ERROR_TOXIC": "content_filter",
    "ERROR_LIMIT": "length", "ERROR": "other",
}  # fmt: skip


class CommandR(TextFamily):
    """docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-cohere-command-r-plus.html"""

    __slots__ = ()

    def ask(self, turns: list[Turn]) -> dict[str, Any]:
        preamble = [text for role, text in turns if role == "system"]
        said = [(role, text) for role, text in turns if role != "system"]
        body: dict[str, Any] = {"message": said[-1][1] if said else ""}
        if preamble:
            body["preamble"] = preamble[0]
        if len(said) > 1:
            names = {"user": "USER", "assistant": "CHATBOT"}
            body["chat_history"] = [{"role": names[role], "message": text} for role, text in said[:-1]]
        return body

    def turns(self, data: Mapping[str, Any]) -> list[Turn]:
        preamble, message = forms.text_field(data, "preamble"), forms.text_field(data, "message")
        if not message:
            raise InvalidRequestError("message is missing; this model needs one")
        turns = [("system", preamble)] if preamble else []
        for turn in forms.objects_field(data, "chat_history"):
            role = "assistant" if turn.get("role") == "CHATBOT" else "user"
            turns.append((role, forms.text_field(turn, "message") or ""))
        return [*turns, ("user", message)]

    def _read(self) -> set[str]:
        return {"message", "preamble", "chat_history", "stream", "max_tokens", "temperature", "p", "stop_sequences"}


def _llama(name: str, models: tuple[str, ...], template: templates.Template, *marks: str) -> TextFamily:
    shape = Shape("generation", "stop_reason", "prompt_token_count", "generation_token_count")
    return TextFamily(
        name=name,
        models=models,
        template=template,
        prompt="prompt",
        limit="max_gen_len",
        temperature="temperature",
        top_p="top_p",
        stop=None,
        stops=_LOWER,
        answer=shape,
        chunks=(shape,),
        marks=frozenset(marks),
    )


CLAUDE: Final = Claude()
CHAT: Final = Chat()
# Each by the vendor's page under docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html.
COMPLETION: Final = TextFamily(
    name="claude_completion",
    models=(),
    template=templates.CLAUDE,
    prompt="prompt",
    limit="max_tokens_to_sample",
    temperature="temperature",
    top_p="top_p",
    stop="stop_sequences",
    stops={"stop_sequence": "stop", "max_tokens": "length"},
    answer=Shape("completion", "stop_reason"),
    chunks=(Shape("completion", "stop_reason"),),
    marks=frozenset({"max_tokens_to_sample"}),
)
TITAN: Final = TextFamily(
    name="titan",
    models=("titan-text", "titan-tg1"),
    template=templates.TITAN,
    prompt="inputText",
    limit="textGenerationConfig.maxTokenCount",
    temperature="textGenerationConfig.temperature",
    top_p="textGenerationConfig.topP",
    stop="textGenerationConfig.stopSequences",
    stops={
        "FINISH": "stop", "FINISHED": "stop", "STOP_CRITERIA_MET": "stop", "LENGTH": "length",
        "CONTENT_FILTERED": "content_filter", "RAG_QUERY_WHEN_RAG_DISABLED": "other",
    },
    answer=Shape("results.0.outputText", "results.0.completionReason", "inputTextTokenCount", "results.0.tokenCount"),
    chunks=(Shape("outputText", "completionReason", "inputTextTokenCount", "totalOutputTextTokenCount"),),
    marks=frozenset({"inputText"}),
)  # fmt: skip
JURASSIC: Final = TextFamily(
    name="jurassic",
    models=("ai21.j2",),
    template=templates.JURASSIC,
    prompt="prompt",
    limit="maxTokens",
    temperature="temperature",
    top_p="topP",
    stop="stopSequences",
    stops={"endoftext": "stop", "stop": "stop", "length": "length"},
    answer=Shape("completions.0.data.text", "completions.0.finishReason.reason"),
    marks=frozenset({"maxTokens", "numResults"}),
)
LLAMA_2: Final = _llama("llama2", ("llama2",), templates.LLAMA_2)
LLAMA_4: Final = _llama("llama4", ("llama4",), templates.LLAMA_4)
LLAMA_3: Final = _llama("llama3", ("llama",), templates.LLAMA_3, "max_gen_len")
MISTRAL: Final = TextFamily(
    name="mistral",
    # The later ones speak chat completions.
    models=("mistral-7b-instruct", "mixtral-8x7b", "mistral-small-2402", "mistral-large-2402"),
    template=templates.MISTRAL,
    prompt="prompt",
    limit="max_tokens",
    temperature="temperature",
    top_p="top_p",
    stop="stop",
    stops=_LOWER,
    answer=Shape("outputs.0.text", "outputs.0.stop_reason"),
    chunks=(Shape("outputs.0.text", "outputs.0.stop_reason"),),
)
COMMAND: Final = TextFamily(
    name="command",
    models=("cohere.command-text", "cohere.command-light"),
    template=templates.COMMAND,
    prompt="prompt",
    limit="max_tokens",
    temperature="temperature",
    top_p="p",
    stop="stop_sequences",
    stops=_UPPER,
    answer=Shape("generations.0.text", "generations.0.finish_reason"),
    chunks=(Shape("generations.0.text", "generations.0.finish_reason"), Shape("text", "finish_reason")),
    done="is_finished",
    asks_for_stream=True,
)
COMMAND_R: Final = CommandR(
    name="command_r",
    models=("cohere.command-r",),
    template=templates.COMMAND,
    prompt="message",
    limit="max_tokens",
    temperature="temperature",
    top_p="p",
    stop="stop_sequences",
    stops=_UPPER,
    answer=Shape("text", "finish_reason"),
    chunks=(Shape("text", "finish_reason"),),
    done="is_finished",
    marks=frozenset({"message", "chat_history"}),
)
# Text completions come first, because their answers and chunks have the mark of Claude's messages too.
FAMILIES: Final[tuple[Family, ...]] = (
    COMPLETION, CLAUDE, Nova(), TITAN, JURASSIC, LLAMA_2, LLAMA_4, LLAMA_3, MISTRAL, COMMAND, COMMAND_R, CHAT,
)  # fmt: skip


def of_model(model: str) -> Family:
    """The family of a model's id or ARN. Raises InvalidRequestError for an ARN that does not say which model it is."""
    found = _named(model)
    if found is not None:
        return found
    if is_opaque(model):
        raise InvalidRequestError(
            f"model is {model!r}, which does not say in whose format its body is; "
            "use Converse, or the id of a model such as 'anthropic.claude-3-haiku-20240307-v1:0'"
        )
    return CHAT


def of_request(model: str | None, data: Mapping[str, Any]) -> Family:
    """By the model, but where that is unknown, or has two formats, by the fields of the body."""
    found = _named(model or "")
    if found is CLAUDE and not COMPLETION.marks.isdisjoint(data):
        return COMPLETION
    return found or next((family for family in FAMILIES if not family.marks.isdisjoint(data)), CHAT)


def writing(model: str) -> Family:
    """The family in whose form answers of this model are written; for a model that is unknown, chat completions."""
    return _named(model) or CHAT


def of_answer(answer: Mapping[str, Any]) -> Family | None:
    return next((family for family in FAMILIES if family.owns(answer)), None)


def of_chunk(chunk: Mapping[str, Any]) -> Family:
    """Raises MalformedResponseError for a chunk of no known form."""
    found = next((family for family in FAMILIES if family.owns_chunk(chunk)), None)
    if found is None:
        raise MalformedResponseError(
            f"the stream has a chunk of no known form, with the fields {', '.join(chunk)[:80]}"
        )
    return found


def _named(model: str) -> Family | None:
    return next((family for family in FAMILIES if any(name in model for name in family.models)), None)
