"""What every client is asked, and what came of it, in one form for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

PROMPT = "What is the weather in Paris? Answer in two sentences."
SYSTEM = "You are a helpful cook."
TOOL_NAME = "get_weather"
TOOL_ABOUT = "The weather of a city"
TOOL_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Name of the city"}},
    "required": ["city"],
}
FAULT_HEADER = "x-wiretap-fault"

Form = Literal["plain", "stream", "tool", "tool_stream"]
Ask = Callable[[Form, dict[str, str]], "Outcome"]
"""Asks in one form, with further request headers. Whatever the client raises is let through."""


@dataclass
class Outcome:
    text: str = ""
    tools: list[dict[str, Any]] = field(default_factory=list)
    """Name and arguments (parsed) of each call."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    finish: str | None = None
    error: str | None = None
    """The class that the client raised, by its name."""
    status: int | None = None
    message: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def outcome_of(ask: Ask, form: Form, fault: str | None) -> Outcome:
    """Ask, and tell a failure by its class. One that no client raises itself is told by its module too."""
    try:
        return ask(form, {FAULT_HEADER: fault} if fault else {})
    except Exception as error:
        return Outcome(error=named(error), status=status_of(error), message=str(error)[:300])


def named(error: Exception) -> str:
    name, module = type(error).__name__, type(error).__module__
    if module.startswith("botocore.errorfactory"):
        return name
    return f"{module.partition('.')[0]}.{name}"


def status_of(error: Exception) -> int | None:
    for name in ("status_code", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int):
            return value
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status if isinstance(status, int) else None
    return None
