"""What a user lays on top of a shipped price list: rows, aliases and premiums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

from providers.pricing.names import Pattern

Entry = Mapping[str, Any]
"""One model as the data files have it: id, match, rows, window, max_output, local, source."""


class Premium(NamedTuple):
    """What a user pays more, or less, than the list price: for a region, a kind of deployment, by agreement."""

    models: tuple[Pattern, ...]
    factor: Decimal
    """What every rate is multiplied by."""
    region: str | None = None
    """Only where the vendor says that the answer was bound to this region."""


class Layer(NamedTuple):
    """What a user lays on top of a shipped catalogue."""

    models: Mapping[str, Sequence[Entry]] = MappingProxyType({})
    """Entries by provider. Their rows win over the shipped rows of the same model, from their own date on."""
    aliases: Mapping[str, Mapping[str, str]] = MappingProxyType({})
    """Names of the user's own, such as Azure deployments, by provider."""
    marks: tuple[str, ...] = ()
    """What tells this layer from another in the version."""
    newest: date | None = None
    """The day of the newest row."""
    premiums: Mapping[str, Sequence[Premium]] = MappingProxyType({})
    """By provider."""
