"""Which prices are in force under some settings: the price list, the user's file, and the hourly rates of machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from providers.pricing import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from providers.pricing import Catalogue
    from sandbox.settings.model import Settings


def prices_of(settings: Settings) -> Catalogue:
    """Raises ConfigError for a price file that cannot be used."""
    return with_machines(listed_prices(settings), settings)


def listed_prices(settings: Settings) -> Catalogue:
    """The price list and the user's file alone."""
    return catalogue(settings.catalogue, overrides=settings.prices_file)


def with_machines(prices: Catalogue, settings: Settings) -> Catalogue:
    """The same prices with what the settings say that an hour of a provider's machine costs."""
    for id, one in settings.providers.items():
        if one.hourly_rate is not None:
            prices = prices.with_hourly_rate(one.hourly_rate, one.kind or id)
    return prices


def kinds_of(settings: Settings) -> Mapping[str, str]:
    """Which vendor stands behind each configured provider."""
    return {id: one.kind or id for id, one in settings.providers.items()}
