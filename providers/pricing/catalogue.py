"""Which price was in force: a price list, a user's rows on top, and a memo so that asking again is cheap.

A model's rows are built when it is first asked for. Nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from providers.errors import ConfigError
from providers.pricing.layer import Entry, Layer
from providers.pricing.names import PROVIDER_ALIASES, fits, is_snapshot, plain, spellings
from providers.pricing.row import DAY_US, Price, PriceRow, midnight_us, read_row
from providers.types import TokenUsage

ANY_MODEL: Final = "*"
"""The model of a provider that serves whatever its user has loaded into it."""
LONGEST_NAME: Final = 512
"""Characters. A longer text is no model's name, and is not remembered as one."""
MEMO_LIMIT: Final = 4096
"""Names remembered before the memo starts anew: a caller that invents names must not fill the memory."""


class _Timeline:
    """The rows of one model, from the highest precedence on: the first one in force is the price."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Iterable[PriceRow]) -> None:
        self._rows = tuple(rows)

    def at(self, at_us: int) -> PriceRow | None:
        for row in self._rows:
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
        if service is None:
            row = self._memo.get((provider, model))
        else:
            row = self._service_memo.get((provider, model, service))
        if row.__class__ is not PriceRow:
            if row.__class__ is _Timeline:
                row = row.at(self._now_us if at is None else at)
            else:
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
        return list(dict.fromkeys(name for home in self._homes(_kind(provider)) for name in self.models_of(home)))

    def providers(self) -> list[str]:
        """Who has prices."""
        return list(dict.fromkeys([*self._providers, *self._layer.models]))

    def names_of(self, row: PriceRow) -> list[str]:
        """What else a row's model is called: names, patterns (`x*`), and aliases of the user's."""
        found = [
            str(pattern)
            for home in self._homes(row.provider)
            for entry in self._entries(home)
            if entry["id"] == row.model
            for pattern in entry["match"]
            if isinstance(pattern, str) and pattern[0] != "~"
        ]
        aliases = self._layer.aliases.get(row.provider, {})
        found += [alias for alias in aliases if (named := self.find(row.provider, alias)) and named.model == row.model]
        return [name for name in dict.fromkeys(found) if name != row.model]

    def history(self, provider: str, model: str) -> list[PriceRow]:
        """Every standard price of a model, known and announced, in rising precedence."""
        return self._resolve(provider, model, None) or (self._backup.history(provider, model) if self._backup else [])

    def rows(
        self, provider: str | None = None, *, at: int | None = None, service: str | None = None
    ) -> Iterator[PriceRow]:
        """The row in force for every model that has one, by provider."""
        kinds = self.providers() if provider is None else [_kind(provider)]
        for kind in kinds:
            for model in self.models_of(kind):
                row = self.find(kind, model, at=at, service=service)
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
            homes = [(kind, home) for home in self._homes(kind)]
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
            "regions": {region: Decimal(factor) for region, factor in entry.get("regions", {}).items()}
            if home == kind
            else {},
            "source": entry.get("source") or self._providers.get(home, {}).get("source", ""),
        }
        premiums = [
            premium
            for premium in self._layer.premiums.get(kind, ())
            if any(fits(p, name) or fits(p, entry["id"]) for p in premium.models)
        ]
        facts["regions"] |= {premium.region: premium.factor for premium in premiums if premium.region is not None}
        rows = [read_row(facts, data) for data in entry["rows"] if data.get("service") == service]
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

    def _homes(self, kind: str) -> tuple[str, ...]:
        """Whose price lists a provider's models are in: its own, then its models' vendors'."""
        return (kind, *self._providers.get(kind, {}).get("also", ()))

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
    return last if last.since is None and last.hours is None else _Timeline(reversed(rows))
