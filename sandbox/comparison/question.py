"""What is asked of every model: one prompt or several, once or several times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from providers.errors import InputError, InvalidRequestError
from providers.types import GenerationRequest

MOST_PROMPTS = 1_000
MOST_REPEATS = 100
MOST_BYTES = 64 * 2**20
SEPARATOR = "---"
"""A line of a text file that ends one prompt and begins the next."""
CONCURRENCY = 8
"""Requests under way at a time."""


class Cell(NamedTuple):
    """One request of a comparison, by the numbers of its prompt, its model and its turn."""

    prompt: int
    contestant: int
    turn: int


@dataclass(frozen=True, slots=True)
class Question:
    prompts: tuple[str, ...]
    repeat: int = 1
    """How often each model is asked each prompt."""
    system: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    tenant: str = "default"
    agent: str = "default"
    concurrency: int = CONCURRENCY

    def check(self) -> None:
        """Raise InputError for what no model could be asked."""
        if not self.prompts:
            raise InputError("there is no prompt to compare models by")
        for name, value, most in (
            ("repeat", self.repeat, MOST_REPEATS),
            ("concurrency", self.concurrency, 64),
            ("the number of prompts", len(self.prompts), MOST_PROMPTS),
        ):
            if not 1 <= value <= most:
                raise InputError(f"{name} is {value:,}; it must be 1 to {most:,}")
        for number in range(len(self.prompts)):
            try:
                self.request(number, None).check()
            except InvalidRequestError as error:
                which = f"prompt {number + 1}: " if len(self.prompts) > 1 else ""
                raise InputError(f"{which}{error.message}") from None

    def request(self, prompt: int, model: str | None) -> GenerationRequest:
        return GenerationRequest(
            prompt=self.prompts[prompt],
            system=self.system,
            model=model,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            tenant_id=self.tenant,
            agent_id=self.agent,
        )

    def cells(self, contestants: int) -> Iterator[Cell]:
        """Every request, in the order in which they are begun: all models side by side, prompt after prompt."""
        for prompt in range(len(self.prompts)):
            for turn in range(self.repeat):
                for contestant in range(contestants):
                    yield Cell(prompt, contestant, turn)


def read_prompts(path: Path) -> tuple[str, ...]:
    """The prompts of a file. Raises InputError naming the file, and the line where one is wrong.

    `.jsonl`: each line is a JSON string, or an object with a `prompt`. Any other: each line that is not blank is a
    prompt; where a line holds `---` alone, such lines separate prompts of several lines.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read the prompts in {path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: byte {error.start + 1} does not belong") from None
    if len(data) > MOST_BYTES:
        raise InputError(f"{path} is larger than {MOST_BYTES // 2**20} MiB, too much for a file of prompts")
    prompts = tuple(_from_jsonl(path, text) if path.suffix.lower() == ".jsonl" else _from_text(text))
    if not prompts:
        raise InputError(f"{path} holds no prompt")
    if len(prompts) > MOST_PROMPTS:
        raise InputError(f"{path} holds {len(prompts):,} prompts; {MOST_PROMPTS:,} can be compared at once")
    return prompts


def _from_text(text: str) -> Iterator[str]:
    lines = text.splitlines()
    if not any(line.strip() == SEPARATOR for line in lines):
        yield from (line.strip() for line in lines if line.strip())
        return
    block: list[str] = []
    for line in [*lines, SEPARATOR]:
        if line.strip() != SEPARATOR:
            block.append(line)
            continue
        prompt = "\n".join(block).strip()
        if prompt:
            yield prompt
        block = []


def _from_jsonl(path: Path, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value: Any = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InputError(f"{path}, line {number} is not JSON: {error}") from None
        prompt = value.get("prompt") if isinstance(value, dict) else value
        if not isinstance(prompt, str) or not prompt.strip():
            raise InputError(f'{path}, line {number}: write a text, or an object such as {{"prompt": "Hi"}}')
        yield prompt
