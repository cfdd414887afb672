"""What a test or a person tells the wiretap itself, under `/__wiretap`: journal, faults, reset, health."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import orjson

from providers.errors import InputError
from providers.faults import Fault, fault_from, idle_keys
from providers.hints import did_you_mean
from sandbox import __version__
from sandbox.server.wiretap.provoked import MAX_LISTED, as_json
from sandbox.server.wiretap.routes import PREFIXES

if TYPE_CHECKING:
    from sandbox.server.wiretap.tap import Wiretap

PREFIX: Final = "/__wiretap"
_PROVIDERS: Final = tuple(dict.fromkeys(PREFIXES.values()))


class Refused(Exception):
    """A request to the wiretap that cannot be carried out; the message is one sentence."""

    def __init__(self, status: int, message: str, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.allowed = allowed


def carry_out(tap: Wiretap, method: str, path: str, query: str, body: bytes) -> Any:
    """The JSON answer to one request. Raises Refused."""
    actions = _ACTIONS.get(path.removeprefix(PREFIX))
    if actions is None:
        known = [f"{PREFIX}{name}" for name in _ACTIONS]
        raise Refused(404, f"there is no {path[:100]!r}: {did_you_mean(path, known)}there are {', '.join(known)}")
    action = actions.get(method)
    if action is None:
        raise Refused(405, f"{path} takes {' or '.join(actions)}, not {method}", tuple(actions))
    try:
        return action(tap, query, body)
    except InputError as error:
        raise Refused(400, str(error)) from None


def _health(tap: Wiretap, query: str, body: bytes) -> Any:
    return {
        "status": "ok",
        "version": __version__,
        "fixtures": tap.fixtures,
        "left_out": list(tap.problems.values()),
        "requests": tap.journal.count,
    }


def _journal(tap: Wiretap, query: str, body: bytes) -> Any:
    given = parse_qs(query, keep_blank_values=True)
    unknown = next((name for name in given if name != "limit"), None)
    if unknown is not None:
        raise InputError(f"the journal takes limit, not {unknown[:40]!r}")
    text = given.get("limit", [""])[-1]
    if text and not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise InputError(f"limit is {text[:40]!r}; it must be a whole number from 0 on")
    entries = tap.journal.entries(int(text) if text else None)
    return {"items": [entry.shown() for entry in entries], "requests": tap.journal.count}


def _faults(tap: Wiretap, query: str, body: bytes) -> Any:
    return {"faults": {provider: [as_json(fault) for fault in found] for provider, found in tap.faults.all().items()}}


def _set_faults(tap: Wiretap, query: str, body: bytes) -> Any:
    try:
        asked = orjson.loads(body)
    except ValueError:
        raise InputError('the body is not JSON; it must be such as {"provider": "openai", "faults": ["503"]}') from None
    if not isinstance(asked, dict):
        raise InputError('the body must be an object such as {"provider": "openai", "faults": ["503"]}')
    for name in asked:
        if name not in ("provider", "faults"):
            raise InputError(f"there is no {name[:40]!r}; the body takes provider and faults")
    provider, listed = asked.get("provider"), asked.get("faults")
    if not isinstance(provider, str) or provider not in _PROVIDERS:
        hint = did_you_mean(str(provider), _PROVIDERS)
        raise InputError(f"provider is {str(provider)[:40]!r}: {hint}it must be one of {', '.join(_PROVIDERS)}")
    if not isinstance(listed, list) or len(listed) > MAX_LISTED:
        raise InputError(f"faults must be a list of at most {MAX_LISTED}; an empty one heals the provider")
    faults: list[Fault] = [fault_from(raw, f"faults[{index}]") for index, raw in enumerate(listed)]
    tap.faults.set(provider, faults)
    notes = [f"faults[{at}].{name}: {told}" for at, raw in enumerate(listed) for name, told in idle_keys(raw).items()]
    return _faults(tap, query, body) | ({"notes": notes} if notes else {})


def _reset(tap: Wiretap, query: str, body: bytes) -> Any:
    tap.reset()
    return {"status": "ok"}


_ACTIONS: Final[Mapping[str, Mapping[str, Callable[[Wiretap, str, bytes], Any]]]] = {
    "/journal": {"GET": _journal},
    "/faults": {"GET": _faults, "POST": _set_faults},
    "/reset": {"POST": _reset},
    "/health": {"GET": _health},
}
