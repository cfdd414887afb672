"""Why a recording does not answer a request: where the request departs from it, by the recording's own rule."""

from __future__ import annotations

import re

from providers.exchange.canonical import Difference, canonical, differences, key, last_user_text
from providers.exchange.cleaning import redacted_value
from providers.exchange.format import Exchange
from providers.exchange.library import Query, parsed
from providers.redaction import MASK, redact


def departures(exchange: Exchange, query: Query) -> list[Difference]:
    """What would have to be alike; empty where the recording answers such a request, be it that another comes first.

    Provider and API are not compared: requests of others are not looked up among these recordings.
    """
    body, request = parsed(query.body), exchange.request
    if exchange.match == "any":
        return []
    if exchange.match == "exact":
        there = canonical(request.body, exchange.api, request.path, exchange.ignore)
        if MASK.encode() in key(there):
            body = redacted_value(body)
        return list(differences(there, canonical(body, query.api, query.path, exchange.ignore)))
    recorded, asked = last_user_text(request.body), last_user_text(body)
    if exchange.match == "regex":
        pattern = exchange.pattern or recorded
        if asked and re.search(pattern, asked) is not None:
            return []
        return [Difference("the pattern is not in the last user message", pattern, asked)]
    same = asked and recorded in (asked, redact(asked))
    return [] if same else [Difference("the last user message", recorded, asked)]
