"""The price lists that are shipped, each parsed once, with a user's price file on top where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from providers.errors import ConfigError
from providers.pricing.catalogue import Catalogue

HERE: Final = Path(__file__).parent
NAMES: Final = ("current", "seeds-2024")
"""The catalogues that are shipped."""

_shipped: dict[str, Mapping[str, Any]] = {}
_catalogues: dict[tuple[object, ...], Catalogue] = {}


def catalogue(name: str = "current", *, overrides: Path | None = None) -> Catalogue:
    """A shipped catalogue, with a user's TOML rows on top. The same one each time, until the file changes.

    Raises ConfigError for an unknown name and, naming file, row and key, for an unusable file.
    """
    if overrides is None:
        known = _catalogues.get((name,))
        if known is None:
            known = _catalogues[name,] = Catalogue(_load(name))
        return known
    try:
        state = overrides.stat()
    except OSError as error:
        raise ConfigError(f"cannot read the price file {overrides}: {error.strerror}") from None
    key = (name, overrides.resolve(), state.st_mtime_ns, state.st_size)
    known = _catalogues.get(key)
    if known is None:
        from providers.pricing.overrides import read_layer

        data = _load(name)
        shipped = Catalogue(data)
        known = _catalogues[key] = shipped.with_layer(read_layer(overrides, shipped))
    return known


def seed_prices() -> Catalogue:
    """The list of 2024, with today's prices for the models that it does not have."""
    known = _catalogues.get(("seeds-2024", "current"))
    if known is None:
        known = _catalogues["seeds-2024", "current"] = catalogue("seeds-2024").backed_by(catalogue("current"))
    return known


def _load(name: str) -> Mapping[str, Any]:
    if name not in NAMES:
        raise ConfigError(f"there is no price catalogue {name!r}; there are {' and '.join(NAMES)}")
    data = _shipped.get(name)
    if data is None:
        data = _shipped[name] = orjson.loads((HERE / f"{name}.json").read_bytes())
    return data
