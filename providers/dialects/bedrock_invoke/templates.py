"""Conversations as one prompt, for models that take only text: each template as its vendor documents it.

Written prompts read back to the same turns, but for a system prompt that a template can only put before the first
question. A prompt without any of the template's marks is one question.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Turn = tuple[str, str]
"""Role (system, user or assistant) and text."""


@dataclass(frozen=True, slots=True)
class Template:
    system: tuple[str, str]
    """What stands before and after such a turn; likewise for the others."""
    user: tuple[str, str]
    assistant: tuple[str, str]
    reply: str
    """What ends the prompt, so that the model answers."""
    marks: Mapping[str, str]
    """What begins a turn, and its role: by these a prompt is read."""
    begin: str = ""
    noise: tuple[str, ...] = ()
    """What is no text of a turn."""
    system_inside: bool = False
    """The system prompt stands within the first question."""
    labels: bool = False
    """Marks count only at the beginning of a line."""
    bare: bool = False
    """A single question is sent as it is."""

    def write(self, turns: Sequence[Turn]) -> str:
        if self.bare and [role for role, _ in turns] == ["user"]:
            return turns[0][1]
        written, inside = [self.begin], ""
        for index, (role, text) in enumerate(turns):
            if role == "assistant" and index == len(turns) - 1:
                # The beginning of the answer, from which the model goes on.
                return "".join([*written, self.assistant[0], text])
            before, after = self.system if role == "system" else self.user if role == "user" else self.assistant
            if role == "system" and self.system_inside:
                inside += before + text + after
                continue
            if role == "user":
                before, inside = before + inside, ""
            written += [before, text, after]
        if inside:
            written += [self.user[0], inside, self.user[1]]
        return "".join([*written, self.reply])

    def read(self, prompt: str) -> list[Turn]:
        marks = "|".join(re.escape(mark) for mark in self.marks)
        first, *rest = re.split(f"(?m)^({marks})" if self.labels else f"({marks})", prompt)
        if not rest:
            return [("user", prompt)]
        turns = [("system", self._text(first))]
        turns += [(self.marks[mark], self._text(text)) for mark, text in zip(rest[::2], rest[1::2], strict=True)]
        return [turn for turn in turns if turn[1]]

    def _text(self, text: str) -> str:
        for word in self.noise:
            text = text.replace(word, "")
        return text.strip()


def _headed(begin: str, end: str, close: str) -> Template:
    def head(role: str) -> str:
        return f"{begin}{role}{end}"

    return Template(
        system=(head("system") + "\n\n", close),
        user=(head("user") + "\n\n", close),
        assistant=(head("assistant") + "\n\n", close),
        reply=head("assistant") + "\n\n",
        marks={head(role): role for role in ("system", "user", "assistant")},
        begin="<|begin_of_text|>",
        noise=("<|begin_of_text|>", close),
    )


def _labelled(user: str, assistant: str, *, bare: bool) -> Template:
    return Template(
        system=("", "\n"),
        user=(f"{user} ", "\n"),
        assistant=(f"{assistant} ", "\n"),
        reply=assistant,
        marks={user: "user", assistant: "assistant"},
        labels=True,
        bare=bare,
    )


# llama.com/docs/model-cards-and-prompt-formats
LLAMA_4: Final = _headed("<|header_start|>", "<|header_end|>", "<|eot|>")
LLAMA_3: Final = _headed("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
LLAMA_2: Final = Template(
    system=("<<SYS>>\n", "\n<</SYS>>\n\n"),
    user=("[INST] ", " [/INST]"),
    assistant=(" ", " </s><s>"),
    reply="",
    marks={"[INST]": "user", "<<SYS>>": "system", "<</SYS>>": "user", "[/INST]": "assistant"},
    begin="<s>",
    noise=("<s>", "</s>"),
    system_inside=True,
)
# docs.mistral.ai/cookbooks/concept-deep-dive-tokenization-chat_templates
MISTRAL: Final = Template(
    system=("", "\n\n"),
    user=("[INST] ", " [/INST]"),
    assistant=(" ", "</s>"),
    reply="",
    marks={"[INST]": "user", "[/INST]": "assistant"},
    begin="<s>",
    noise=("<s>", "</s>"),
    system_inside=True,
)
# docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-text.html
TITAN: Final = _labelled("User:", "Bot:", bare=False)
# These two complete any text; a conversation is told by labels.
COMMAND: Final = _labelled("User:", "Chatbot:", bare=True)
JURASSIC: Final = _labelled("User:", "Assistant:", bare=True)
# docs.claude.com/en/api/complete
CLAUDE: Final = Template(
    system=("", ""),
    user=("\n\nHuman: ", ""),
    assistant=("\n\nAssistant: ", ""),
    reply="\n\nAssistant:",
    marks={"Human:": "user", "Assistant:": "assistant"},
    labels=True,
)
