"""Which faults meet one request: those of its own header, those set by hand, those that a scenario has now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Final

from providers.clock import Randomness
from providers.faults import INSTEAD, TERMINAL, Fault, FaultSource, parse_fault

HEADER: Final = "x-wiretap-fault"
MAX_LISTED: Final = 50
"""Faults of one request or one provider; more are a mistake."""


class Own:
    """The faults that a request brings with it. A quota among them is used up already."""

    def __init__(self, header: str) -> None:
        """Raises InputError for what is no fault."""
        self._faults = tuple(parse_fault(text) for text in header.split(",")[:MAX_LISTED] if text.strip())

    def active(self, provider: str) -> Sequence[Fault]:
        return self._faults

    def quota_wait(self, provider: str, fault: Fault) -> float | None:
        return fault.per


class Chosen:
    """The faults of one request, drawn once, so that the journal knows them: a FaultSource for that request."""

    def __init__(self, provider: str, sources: Sequence[FaultSource], draws: Randomness) -> None:
        self._drawn = [
            (replace(fault, probability=1.0), fault, source)
            for source in sources
            for fault in source.active(provider)
            if fault.probability >= 1.0 or draws.random() < fault.probability
        ]
        self._kept: list[Fault] = []
        """Quotas that this request did not exhaust."""

    def __bool__(self) -> bool:
        return bool(self._drawn)

    def active(self, provider: str) -> Sequence[Fault]:
        return [fault for fault, _, _ in self._drawn]

    def quota_wait(self, provider: str, fault: Fault) -> float | None:
        source, listed = next((source, listed) for mine, listed, source in self._drawn if mine is fault)
        wait = source.quota_wait(provider, listed)
        if wait is None:
            self._kept.append(fault)
        return wait

    @property
    def reach_the_vendor(self) -> bool:
        """Whether the vendor still answers, however late or badly."""
        return not any(fault.kind in INSTEAD for fault, _, _ in self._drawn)

    @property
    def told(self) -> str | None:
        """As the journal names them: those that had a part in the answer, and none that another one forestalled."""
        met: list[Fault] = []
        ended = False
        for fault, _, _ in self._drawn:
            if any(fault is kept for kept in self._kept) or (ended and fault.kind in TERMINAL):
                continue
            if fault.kind in INSTEAD:
                return spelled(fault)
            ended = ended or fault.kind in TERMINAL
            met.append(fault)
        return ", ".join(map(spelled, met)) or None


_DEFAULTS: Final = {field.name: field.default for field in fields(Fault) if field.name != "kind"}
_WRITTEN: Final = {"duration": "for"}
"""Fields that are written under another name."""


def as_json(fault: Fault) -> dict[str, Any]:
    """The fault as it is written: its kind, and what differs from the usual."""
    written: dict[str, Any] = {"kind": fault.kind}
    for name, usual in _DEFAULTS.items():
        value = getattr(fault, name)
        if value != usual or (fault.kind, name) == ("http_error", "status"):
            written[_WRITTEN.get(name, name)] = value
    return written


def spelled(fault: Fault) -> str:
    """The fault in a few words: `http_error status=503`."""
    written = as_json(fault)
    kind = written.pop("kind")
    return " ".join([kind, *(f"{name}={value}" for name, value in written.items() if name != "probability")])
