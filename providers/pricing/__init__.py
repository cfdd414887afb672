"""Dated prices, the one cost formula, and token counting without a network."""

from providers.pricing.catalogue import Catalogue
from providers.pricing.row import Price, PriceRow
from providers.pricing.shipped import NAMES, catalogue, seed_prices
from providers.pricing.tokens import count_tokens, estimate_tokens

__all__ = ["NAMES", "Catalogue", "Price", "PriceRow", "catalogue", "count_tokens", "estimate_tokens", "seed_prices"]
