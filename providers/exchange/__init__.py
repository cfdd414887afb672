"""Recorded exchanges: their format, how a request finds its recording, and how one is kept."""

from providers.exchange.cleaning import redacted
from providers.exchange.format import Chunk, Exchange, RecordedRequest, RecordedResponse, load, parse
from providers.exchange.library import FixtureLibrary, Match, Query, packaged_folder
from providers.exchange.store import save

__all__ = [
    "Chunk",
    "Exchange",
    "FixtureLibrary",
    "Match",
    "Query",
    "RecordedRequest",
    "RecordedResponse",
    "load",
    "packaged_folder",
    "parse",
    "redacted",
    "save",
]
