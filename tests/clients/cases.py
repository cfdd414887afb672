"""Client × API × case, as data: what each client must make of a good answer and of every fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from tests.clients.outcome import Ask, Form, Outcome

GOOD: Final[tuple[tuple[Form, str | None], ...]] = (
    ("plain", None),
    ("stream", None),
    ("tool", None),
    ("tool_stream", None),
)

FAULTS: Final[dict[str, tuple[Form, str]]] = {
    "invalid": ("plain", "http_error:400"),
    "key": ("plain", "auth"),
    "permission": ("plain", "http_error:403"),
    "not found": ("plain", "http_error:404"),
    "too large": ("plain", "http_error:413"),
    "unprocessable": ("plain", "http_error:422"),
    "rate limit": ("plain", "rate_limit:1"),
    "quota": ("plain", "quota:0"),
    "server error": ("plain", "http_error:500"),
    "unavailable": ("plain", "http_error:503"),
    "overloaded": ("plain", "http_error:529"),
    "content filter": ("plain", "content_filter"),
    "reset": ("plain", "connection_reset"),
    "malformed": ("plain", "malformed_body"),
    "truncated": ("plain", "truncated_body"),
    "refused stream": ("stream", "http_error:503"),
    "error event": ("stream", "error_event:529"),
    "cut": ("stream", "stream_cut:3"),
    "malformed event": ("stream", "malformed_event:4"),
}
"""Name, form and what is provoked."""


@dataclass(frozen=True)
class Speaker:
    """One client on one API."""

    client: str
    api: str
    open: Callable[[str, ExitStack], Ask] | str
    """What asks, from the wiretap's address, and what to close after it; of a JavaScript client its name there."""
    errors: dict[str, str | tuple[str, ...] | None]
    """The class that each fault must raise; None: this client does not notice, because its API cannot tell."""
    forms: tuple[Form, ...] = ("plain", "stream", "tool", "tool_stream")
    finish: tuple[str, str] = ("stop", "tool_calls")
    """The API's words for an answer that is complete and for one that calls a tool."""

    @property
    def name(self) -> str:
        return f"{self.client} · {self.api}"


def cases(speaker: Speaker) -> Iterator[tuple[str, Form, str | None]]:
    """Name, form and fault of everything that this client is put through."""
    for form, fault in GOOD:
        if form in speaker.forms:
            yield form, form, fault
    for name, (form, fault) in FAULTS.items():
        if form in speaker.forms and name in speaker.errors:
            yield name, form, fault


def judge(speaker: Speaker, case: str, told: Outcome) -> str | None:
    """What is wrong with an outcome, in a sentence; None where nothing is."""
    if case in FAULTS:
        wanted = speaker.errors[case]
        if wanted is None:
            return None if told.error is None else f"raised {told.error}: {told.message}"
        classes = (wanted,) if isinstance(wanted, str) else wanted
        return None if told.error in classes else f"raised {told.error} ({told.message!r}), not {' or '.join(classes)}"
    if told.error is not None:
        return f"raised {told.error}: {told.message}"
    if not told.input_tokens or not told.output_tokens:
        return f"has {told.input_tokens} tokens in and {told.output_tokens} out"
    complete, calls = speaker.finish
    if "tool" in case:
        return _judge_tool(told) or (None if told.finish == calls else f"finished with {told.finish!r}, not {calls!r}")
    if not told.text or told.tools:
        return f"answered {told.text!r} with {len(told.tools)} tool calls"
    return None if told.finish == complete else f"finished with {told.finish!r}, not {complete!r}"


def _judge_tool(told: Outcome) -> str | None:
    if [call["name"] for call in told.tools] != ["get_weather"]:
        return f"called {told.tools}"
    arguments: Any = told.tools[0].get("arguments")
    if not isinstance(arguments, dict) or not isinstance(arguments.get("city"), str):
        return f"called with {arguments!r}"
    return None
