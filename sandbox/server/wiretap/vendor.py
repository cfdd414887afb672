"""One vendor's side of the wire: its answers, and what is provoked on them, as transports around each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from providers.clock import Clock, Randomness
from providers.dialects.base import Dialect
from providers.mock.keep_alive import COMPANY, KeepAliveTransport
from providers.mock.simulated import SimulatedTransport, Simulation
from providers.mock.vendor_speech import VendorSpeech
from providers.transports.base import Transport, WireRequest, WireResponse
from providers.transports.faulty import FaultyTransport
from sandbox.server.wiretap.journal import Entry
from sandbox.server.wiretap.listings import LISTED, Listings
from sandbox.server.wiretap.provoked import Chosen

if TYPE_CHECKING:
    from providers.pricing import Catalogue

_MAIN_API: Final = {
    "anthropic": "messages",
    "bedrock": "converse",
    "gemini": "generateContent",
    "vertex": "generateContent",
    "ollama": "chat",
}
"""In whose words a vendor refuses what is in no API's; the others speak OpenAI's."""


@dataclass(slots=True)
class TappedRequest(WireRequest):
    """A request with its line in the journal."""

    entry: Entry | None = None


class Vendor:
    """A transport that answers as one vendor would."""

    def __init__(
        self,
        provider: str,
        *,
        simulation: Simulation,
        prices: Callable[[], Catalogue],
        clock: Clock,
        draws: Randomness,
    ) -> None:
        self.provider = provider
        self._main_api = _MAIN_API.get(provider, "chat.completions")
        self._speech = VendorSpeech(provider, clock)
        self._simulated = SimulatedTransport(provider=provider, simulation=simulation, clock=clock, observe=_noted)
        self._listings = Listings(provider, speech=self._speech, main_api=self._main_api, prices=prices, clock=clock)
        self.slow = simulation.pace != "instant" and provider in COMPANY
        """Answers may be waited for, in company."""
        self._clock = clock
        self._draws = draws

    def speech(self, request: WireRequest) -> Dialect:
        """The format of a request's errors."""
        return self._speech.of(self._main_api if request.api in LISTED else request.api, request.path)

    async def send(self, request: WireRequest) -> WireResponse:
        return await (self._listings if request.api in LISTED else self._simulated).send(request)

    def provoked(self, chosen: Chosen) -> Transport:
        """The vendor with faults on it, for one request."""
        transport: Transport = self
        if chosen:
            transport = FaultyTransport(
                self, provider=self.provider, faults=chosen, speech=self.speech, draws=self._draws, clock=self._clock
            )
        company = COMPANY.get(self.provider)
        if company is not None and chosen.reach_the_vendor:
            transport = KeepAliveTransport(transport, company, clock=self._clock)
        return transport

    def restart(self) -> None:
        self._simulated.restart()

    async def close(self) -> None:
        pass


def _noted(request: WireRequest, recording: str | None) -> None:
    if isinstance(request, TappedRequest) and request.entry is not None:
        request.entry.answered_by = recording or "writer"
