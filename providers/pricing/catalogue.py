"""Which price was in force: the shipped catalogues, a user's rows on top, and a memo so that asking again is cheap.

Loading parses one JSON file; a model's rows are built when it is first asked for. Nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson

from providers.errors import ConfigError
from providers.pricing.names import PROVIDER_ALIASES, Pattern, fits, is_snapshot, plain, spellings
from providers.pricing.row import DAY_US, RATE_NAMES, Price, PriceRow, Tier, midnight_us
from providers.types import TokenUsage

HERE: Final = Path(__file__).parent
NAMES: Final = ("current", "seeds-2024")
"""The catalogues that are shipped."""
ANY_MODEL: Final = "*"
"""The model of a provider that serves whatever its user has loaded into it."""
LONGEST_NAME: Final = 512
"""Characters. A longer text is no model's name, and is not remembered as one."""
MEMO_LIMIT: Final = 4096
"""Names remembered before the memo starts anew: a caller that invents names must not fill the memory."""

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


class _Timeline:
    """The rows of one model in rising precedence: the last one in force is the price."""

    __slots__ = ("rows",)

    def __init__(self, rows: tuple[PriceRow, ...]) -> None:
        self.rows = rows

    def at(self, at_us: int) -> PriceRow | None:
        for row in reversed(self.rows):
            if row.active(at_us):
                return row
        return None


_Found = _Timeline | PriceRow | None
_UNSEEN: Final = _Timeline(())


class Catalogue:
    """Dated prices in USD. Look-ups never raise: what is not known is None, which means unpriced, not free."""

    def __init__(self, data: Mapping[str, Any], layer: Layer | None = None, backup: Catalogue | None = None) -> None:
        self._data = data
        self._backup = backup
        self._layer = layer = layer or Layer()
        self.name: str = data["name"]
        self.date = max(date.fromisoformat(data["date"]), layer.newest or date.min)
        """The day of the data: what a look-up without a time asks for."""
        backed = () if backup is None else (backup.version,)
        self.version: str = "+".join([f"{self.name}-{data['date']}", *layer.marks, *backed])
        """What every usage record keeps, so that its cost can be told again."""
        self._providers: Mapping[str, Mapping[str, Any]] = data["providers"]
        self._now_us = midnight_us(self.date) + DAY_US // 2
        self._memo: dict[tuple[str | None, str], _Found] = {}
        self._service_memo: dict[tuple[str | None, str, str], _Found] = {}
        self._by_id: dict[str, dict[str, Entry]] = {}
        self._by_family: dict[str, dict[str, Entry]] = {}

    def __repr__(self) -> str:
        return f"Catalogue({self.version})"

    # --- asking ---------------------------------------------------------------------------------------------------

    def price(
        self,
        provider: str | None,
        model: str,
        usage: TokenUsage,
        at: int | None = None,
        *,
        busy_seconds: float | None = None,
    ) -> Price | None:
        """What `usage` costs at `at` (UTC microseconds; None: on the catalogue's own day). None is unpriced.

        A class of service without rates of its own is unpriced: to charge the standard ones would be a guess. A
        self-hosted model (vllm) is priced by `busy_seconds` of its machine, and unpriced without them.
        """
        service = usage.service_tier
        row = self._memo.get((provider, model)) if service is None else None
        if not isinstance(row, PriceRow):
            row = self.find(provider, model, at=at, service=service)
            if row is None:
                return None
        return row.cost(usage, busy_seconds)

    def find(
        self, provider: str | None, model: str, *, at: int | None = None, service: str | None = None
    ) -> PriceRow | None:
        """The row in force for a model by any of its names; None where there is none.

        Without a provider the first one that knows the name answers: openai, anthropic, gemini, deepseek, bedrock,
        azure_openai; never a self-hosted one, which would know every name. `at` is UTC microseconds; None: noon of the
        catalogue's day. `service`: the rates of that class of service, not the standard ones.
        """
        if service is None:
            found = self._memo.get((provider, model), _UNSEEN)
        else:
            found = self._service_memo.get((provider, model, service), _UNSEEN)
        if found is _UNSEEN:
            if len(model) > LONGEST_NAME or (service is not None and len(service) > LONGEST_NAME):
                return None
            found = self._remember(provider, model, service)
        if found is None and self._backup is not None:
            return self._backup.find(provider, model, at=at, service=service)
        if isinstance(found, _Timeline):
            return found.at(self._now_us if at is None else at)
        return found

    def _remember(self, provider: str | None, model: str, service: str | None) -> _Found:
        found = _collapse(self._resolve(provider, model, service))
        memo: dict[Any, _Found] = self._memo if service is None else self._service_memo
        if len(memo) >= MEMO_LIMIT:
            memo.clear()
        memo[(provider, model) if service is None else (provider, model, service)] = found
        return found

    def context_window(self, provider: str | None, model: str) -> int | None:
        """Most tokens of prompt and answer together; None where unknown."""
        row = self.find(provider, model)
        return None if row is None else row.context_window

    def own_name(self, provider: str, model: str) -> str | None:
        """The catalogue's name of a model; None where it has none, or only a guess from the family of a snapshot."""
        row = self.find(provider, model)
        if row is None:
            return None
        listed = any(self._fitting(_kind(provider), name) for name in spellings(model))
        return row.model if listed or not is_snapshot(model) else None

    def models_of(self, provider: str) -> list[str]:
        """The catalogue's names of a provider's own models, in the catalogue's order."""
        return list(dict.fromkeys(entry["id"] for entry in self._entries(_kind(provider))))

    def listed(self, provider: str) -> list[str]:
        """The names of all models that a provider is known to serve, those with another's prices too."""
        kind = _kind(provider)
        homes = (kind, *self._providers.get(kind, {}).get("also", ()))
        return list(dict.fromkeys(name for home in homes for name in self.models_of(home)))

    def providers(self) -> list[str]:
        """Who has prices."""
        return list(dict.fromkeys([*self._providers, *self._layer.models]))

    def names_of(self, row: PriceRow) -> list[str]:
        """What else a row's model is called: names, patterns (`x*`), and aliases of the user's."""
        found = [
            str(pattern)
            for entry in self._entries(row.provider)
            if entry["id"] == row.model
            for pattern in entry["match"]
            if isinstance(pattern, str)
        ]
        aliases = self._layer.aliases.get(row.provider, {})
        found += [alias for alias in aliases if (named := self.find(row.provider, alias)) and named.model == row.model]
        return [name for name in dict.fromkeys(found) if name != row.model]

    def rows(self, provider: str | None = None, *, at: int | None = None) -> Iterator[PriceRow]:
        """The row in force for every model that has one, by provider."""
        kinds = self.providers() if provider is None else [_kind(provider)]
        for kind in kinds:
            for model in self.models_of(kind):
                row = self.find(kind, model, at=at)
                if row is not None:
                    yield row

    def with_hourly_rate(self, usd: Decimal | float, provider: str = "vllm") -> Catalogue:
        """The same catalogue with another hourly rate for a self-hosted provider. Raises ConfigError below zero."""
        rate = usd if isinstance(usd, Decimal) else Decimal(str(usd))
        if not rate.is_finite() or rate < 0:
            raise ConfigError(f"the hourly rate of {provider} is {usd}; it must be 0 or more USD")
        entry = {"id": ANY_MODEL, "match": ["*"], "source": "settings", "rows": [{"hourly_usd": format(rate, "f")}]}
        layer = self._layer
        marks = tuple(mark for mark in layer.marks if not mark.startswith(f"{provider}="))
        models = {**layer.models, provider: [*layer.models.get(provider, ()), entry]}
        return self.with_layer(layer._replace(models=models, marks=(*marks, f"{provider}={rate:f}/h")))

    def with_layer(self, layer: Layer) -> Catalogue:
        """The same shipped data under another layer of the user's."""
        return Catalogue(self._data, layer, self._backup)

    def backed_by(self, other: Catalogue) -> Catalogue:
        """The same catalogue that asks another for the models it does not price itself."""
        return Catalogue(self._data, self._layer, other)

    # --- resolving ------------------------------------------------------------------------------------------------

    def _resolve(self, provider: str | None, model: str, service: str | None) -> list[PriceRow]:
        if provider is None:
            homes = [(kind, kind) for kind in self._providers if ANY_MODEL not in self._ids(kind)]
        else:
            kind = _kind(provider)
            homes = [(kind, home) for home in (kind, *self._providers.get(kind, {}).get("also", ()))]
            model = self._layer.aliases.get(kind, {}).get(model.strip().lower(), model)
        # The first entry that knows the name decides, even without such a price: the next one is another vendor's.
        for name in spellings(model):
            for kind, home in homes:
                entry = self._fitting(home, name)
                rows = self._rows(kind, home, entry, name, service)
                if rows or entry is not None:
                    return rows
        family = plain(model)
        for kind, home in homes:
            if (entry := self._families(home).get(family)) is not None:
                return self._rows(kind, home, entry, family, service)
        return []

    def _rows(self, kind: str, home: str, entry: Entry | None, name: str, service: str | None) -> list[PriceRow]:
        """Rows of a shipped entry with what the user laid on top, for `kind` from the price list of `home`."""
        rows = [] if entry is None else self._built(kind, home, entry, name, service)
        for added in self._layer.models.get(kind, ()):
            if any(fits(p, name) for p in added["match"]) or (entry is not None and added["id"] == entry["id"]):
                rows += self._built(kind, home, {**(entry or {}), **added}, name, service)
        return rows

    def _built(self, kind: str, home: str, entry: Entry, name: str, service: str | None) -> list[PriceRow]:
        facts: dict[str, Any] = {
            "provider": kind,
            "model": name if "*" in entry["id"] else entry["id"],
            "local": entry.get("local", False),
            "context_window": entry.get("window"),
            "max_output": entry.get("max_output"),
            "regions": {region: Decimal(factor) for region, factor in entry.get("regions", {}).items()},
            "source": entry.get("source") or self._providers.get(home, {}).get("source", ""),
        }
        premiums = [
            premium
            for premium in self._layer.premiums.get(kind, ())
            if any(fits(p, name) or fits(p, entry["id"]) for p in premium.models)
        ]
        facts["regions"] |= {premium.region: premium.factor for premium in premiums if premium.region is not None}
        rows = [_row(facts, data) for data in entry["rows"] if data.get("service") == service]
        for premium in premiums:
            if premium.region is None:
                rows = [row.times(premium.factor) for row in rows]
        return rows

    def _fitting(self, kind: str, name: str) -> Entry | None:
        """The shipped entry that a name in lower case means: by its id, else the first whose pattern fits."""
        entries = self._ids(kind)
        if (entry := entries.get(name)) is not None:
            return entry
        return next((entry for entry in entries.values() if any(fits(p, name) for p in entry["match"])), None)

    def _ids(self, kind: str) -> dict[str, Entry]:
        known = self._by_id.get(kind)
        if known is None:
            models = self._providers.get(kind, {}).get("models", ())
            known = self._by_id[kind] = {entry["id"]: entry for entry in models}
        return known

    def _families(self, kind: str) -> dict[str, Entry]:
        """The shipped entries of a provider by plain name: needed only for names that no entry fits."""
        known = self._by_family.get(kind)
        if known is None:
            families: dict[str, Entry] = {}
            for entry in self._ids(kind).values():
                family = plain(entry["id"])
                # A bare name means the model in its own region, not the cheaper worldwide routing.
                if family not in families or families[family]["id"].startswith("global."):
                    families[family] = entry
            # Published whole: another thread must not see half of it.
            known = self._by_family[kind] = families
        return known

    def _entries(self, kind: str) -> Iterator[Entry]:
        yield from self._providers.get(kind, {}).get("models", ())
        yield from self._layer.models.get(kind, ())


def _kind(provider: str) -> str:
    return PROVIDER_ALIASES.get(provider, provider)


def _collapse(rows: list[PriceRow]) -> _Found:
    """A row that is always in force stands for itself, which spares the look at the date."""
    if not rows:
        return None
    last = rows[-1]
    return last if last.since is None and last.hours is None else _Timeline(tuple(rows))


def _row(facts: dict[str, Any], data: Mapping[str, Any]) -> PriceRow:
    since = data.get("from")
    hours = data.get("hours")
    hourly = data.get("hourly_usd")
    facts = {**facts, **_rates(data)}
    return PriceRow(
        **facts,
        since=None if since is None else date.fromisoformat(since),
        hours=None if hours is None else parse_hours(hours),
        tiers=tuple(Tier(above=tier["above"], **_rates(tier)) for tier in data.get("tiers", ())),
        service=data.get("service"),
        hourly_usd=None if hourly is None else Decimal(hourly),
    )


def _rates(data: Mapping[str, Any]) -> dict[str, Decimal]:
    return {name: Decimal(data[name]) for name in RATE_NAMES if name in data}


def parse_hours(text: str) -> tuple[time, time]:
    """Two times of day from `HH:MM-HH:MM`. Raises ValueError."""
    begin, _, end = text.partition("-")
    return time.fromisoformat(begin), time.fromisoformat(end)


# --- loading ------------------------------------------------------------------------------------------------------

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


__all__ = ["Catalogue", "Layer", "Price", "PriceRow", "catalogue"]
