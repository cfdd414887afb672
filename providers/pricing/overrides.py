"""A user's own prices: a TOML file, checked whole before any of it is used.

[[price]]
provider = "openai"
model = "gpt-4o"           # or gpt-4o*, *-mini, *nano*: every listed model that it fits
from = 2026-12-01          # optional: before that day the shipped price stays
input = 2.25               # USD per million tokens, or per thousand with unit = "per_thousand"
output = 9
cached_input = 1.1         # also cache_write, cache_write_1h, reasoning, hours = "00:30-16:30"
tiers = [{above = 200000, input = 4.5, output = 14}]
service = "batch"          # optional: the rates of that class of service (batch, flex, priority, fast)
names = ["gpt-4o-eu"]      # further names of the model; x*, *x and *x* are patterns

[[price]]
provider = "vllm"
model = "*"
hourly_usd = 0.20

[[premium]]
provider = "azure_openai"  # a tenth more for data-zone and regional deployments; -15 is a discount
percent = 10
model = "gpt-4o*"          # optional: else all models of the provider
region = "eu"              # optional: only answers that the vendor says are bound to this region

[aliases.azure_openai]
my-deployment = "gpt-4o"
"""

from __future__ import annotations

import hashlib
import logging
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from providers.errors import ConfigError
from providers.hints import did_you_mean
from providers.pricing import checks
from providers.pricing.layer import Layer, Premium
from providers.pricing.names import PROVIDER_ALIASES, fits
from providers.pricing.row import RATE_NAMES, SERVICES

if TYPE_CHECKING:
    from providers.pricing.catalogue import Catalogue
    from providers.pricing.row import PriceRow

logger = logging.getLogger(__name__)

UNITS = {"per_million": Decimal(1), "per_thousand": Decimal(1000)}
_FACTS = {"context_window": "window", "max_output": "max_output"}
_KEYS = (
    *("provider", "model", "names", "from", "hours", "service", "batch", "unit", "tiers", "hourly_usd", "local"),
    *("source", *_FACTS, *RATE_NAMES),
)
_TIER_KEYS = ("above", *RATE_NAMES)
_PREMIUM_KEYS = ("provider", "model", "percent", "region")


def read_layer(path: Path, under: Catalogue) -> Layer:
    """The layer that a TOML file describes, to be laid on `under`. Raises ConfigError naming file, row and key."""
    try:
        raw = path.read_bytes()
        source = raw.decode("utf-8")
        document = tomllib.loads(source, parse_float=Decimal)
    except OSError as error:
        raise ConfigError(f"cannot read the price file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: a price file is TOML in UTF-8, and this is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    checks.known_keys(str(path), document, ("price", "premium", "aliases"))
    models: dict[str, dict[str, dict[str, Any]]] = {}
    taken: dict[tuple[object, ...], int] = {}
    newest: date | None = None
    for number, (where, table) in enumerate(_tables(path, source, document, "price"), 1):
        row = _Row(where, table)
        _look_at_provider(row, under)
        if row.since is not None:
            newest = max(newest or row.since, row.since)
        for model in _meant(row.where, row.provider, row.model, under):
            _complete(row, under.find(row.provider, model, service=row.service))
            key = (row.provider, model, row.since, row.data.get("hours"), row.service)
            if key in taken:
                when = "for all dates" if row.since is None else f"from {row.since}"
                raise ConfigError(
                    f"{where}: {row.provider}/{model} already has a price {when}, in price {taken[key]}; "
                    "keep one of the two, or give them different days"
                )
            taken[key] = number
            entry = models.setdefault(row.provider, {}).setdefault(model, {"id": model, "match": [], "rows": []})
            entry["match"] += [model if "*" in row.model else row.model, *row.names]
            entry["source"] = table.get("source", str(path))
            entry.update(row.facts)
            entry["rows"].append(row.data)
    for entries in models.values():
        for entry in entries.values():
            # The last row in force wins, so later days come later.
            entry["rows"].sort(key=lambda data: data.get("from", ""))
    layer = Layer(
        {provider: list(entries.values()) for provider, entries in models.items()},
        _aliases(path, document.get("aliases", {})),
        (hashlib.sha256(raw).hexdigest()[:8],),
        newest,
    )
    _resolvable(path, layer, under)
    return layer._replace(premiums=_premiums(_tables(path, source, document, "premium"), under.with_layer(layer)))


def _tables(path: Path, source: str, document: Mapping[str, Any], kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The tables of one kind, each with where it stands: file, line and number."""
    tables = document.get(kind, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{path}: {kind}s are written as [[{kind}]] tables")
    heads = [source.count("\n", 0, m.end()) + 1 for m in re.finditer(rf"(?m)^[ \t]*\[\[[ \t]*{kind}[ \t]*\]\]", source)]
    for number, table in enumerate(tables, 1):
        # A head can also stand within a text of several lines, or be written otherwise: then no line is better.
        line = f":{heads[number - 1]}" if len(heads) == len(tables) else ""
        yield f"{path}{line}: {kind} {number}", table


def _look_at_provider(row: _Row, under: Catalogue) -> None:
    """Warn of a provider that nobody knows and that looks like a known one: its prices would be for nobody."""
    known = under.providers()
    if row.provider not in known and (near := did_you_mean(row.provider, known, cutoff=0.75)):
        logger.warning(
            "%s: no price list has a provider %r: %selse it is one of your own", row.where, row.provider, near
        )


def _complete(row: _Row, listed: PriceRow | None) -> None:
    """Refuse a row without a rate for answers in place of one with it: every answer would be unpriced."""
    if listed is not None and listed.output is not None and "input" in row.data and "output" not in row.data:
        raise ConfigError(f"{row.where}: output is missing; the listed price is {listed.output} USD per million tokens")


def _meant(where: str, provider: str, model: str, under: Catalogue) -> list[str]:
    """The models that a row is about, by the catalogue's names. A pattern means the listed ones that it fits."""
    listed = under.listed(provider)
    if "*" not in model or not listed or listed == ["*"]:
        # Whoever serves models that no catalogue lists may name them as they like.
        return [under.own_name(provider, model) or model]
    fitting = [name for name in listed if fits(model, name)]
    if not fitting:
        raise ConfigError(
            f"{where}: model is {model!r}, which fits no model of {provider}; {_nearest(model, listed)}"
            "write the name of one that is not listed in full"
        )
    return fitting


def _nearest(pattern: str, listed: list[str]) -> str:
    return did_you_mean(pattern.strip("*"), listed)


class _Row:
    """One [[price]] table, checked."""

    def __init__(self, where: str, table: Mapping[str, Any]) -> None:
        checks.known_keys(where, table, _KEYS)
        self.provider, self.model = _subject(where, table)
        self.where = where = f"{where} ({self.provider}/{self.model})"
        self.names = checks.patterns(where, table.get("names", []))
        self.since = checks.day(where, table)
        self.service = _service(where, table)
        self.facts: dict[str, Any] = {
            ours: checks.count(where, table, key) for key, ours in _FACTS.items() if key in table
        }
        if checks.flag(where, table, "local"):
            self.facts["local"] = True
        if "source" in table:
            checks.text(where, table, "source")
        unit = UNITS[checks.choice(where, "unit", table.get("unit", "per_million"), tuple(UNITS))]
        data: dict[str, Any] = _rates(where, table, unit)
        if "hourly_usd" in table:
            if data or "tiers" in table:
                raise ConfigError(f"{where}: a row has either hourly_usd or prices per token, not both")
            data["hourly_usd"] = str(checks.hourly(where, table["hourly_usd"]))
        elif "input" not in data:
            raise ConfigError(f"{where}: there is no price; give input and output, or hourly_usd")
        if self.since is not None:
            data["from"] = self.since.isoformat()
        if "hours" in table:
            data["hours"] = checks.hours(where, table["hours"])
        if self.service is not None:
            data["service"] = self.service
        if "tiers" in table:
            data["tiers"] = _tiers(where, table["tiers"], unit, data)
        self.data = data


def _subject(where: str, table: Mapping[str, Any]) -> tuple[str, str]:
    """Whose price it is: provider and model, or a pattern of models."""
    provider = checks.text(where, table, "provider")
    return PROVIDER_ALIASES.get(provider, provider), checks.pattern(where, "model", checks.text(where, table, "model"))


def _service(where: str, table: Mapping[str, Any]) -> str | None:
    """The class of service of a row; `batch = true` is short for one of them."""
    batch = checks.flag(where, table, "batch")
    if "service" not in table:
        return "batch" if batch else None
    service = checks.choice(where, "service", table["service"], SERVICES)
    if batch and service != "batch":
        raise ConfigError(f"{where}: service is {service!r}, but batch is true; give one of the two")
    return service


def _tiers(where: str, value: object, unit: Decimal, base: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value or not all(isinstance(tier, dict) for tier in value):
        raise ConfigError(
            f"{where}: tiers is {value!r}; it must be a list such as [{{above = 200000, input = 4.5, output = 14}}]"
        )
    tiers: list[dict[str, Any]] = []
    for tier in value:
        checks.known_keys(f"{where}, tiers", tier, _TIER_KEYS)
        above = checks.count(f"{where}, tiers", tier, "above")
        if tiers and above <= tiers[-1]["above"]:
            raise ConfigError(f"{where}, tiers: above is {above} after {tiers[-1]['above']}; tiers must rise")
        inherited = {name: base[name] for name in RATE_NAMES if name in base}
        tiers.append({"above": above, **inherited, **_rates(f"{where}, tiers", tier, unit)})
    return tiers


def _rates(where: str, table: Mapping[str, Any], unit: Decimal) -> dict[str, str]:
    return {name: str(checks.rate(where, name, table[name], unit)) for name in RATE_NAMES if name in table}


def _premiums(tables: Iterator[tuple[str, dict[str, Any]]], prices: Catalogue) -> dict[str, list[Premium]]:
    premiums: dict[str, list[Premium]] = {}
    taken: dict[tuple[str, str, str | None], int] = {}
    for number, (where, table) in enumerate(tables, 1):
        checks.known_keys(where, table, _PREMIUM_KEYS)
        provider, model = _subject(where, {"model": "*", **table})
        where = f"{where} ({provider}/{model})"
        region = checks.text(where, table, "region").lower() if "region" in table else None
        premium = Premium((model,), checks.factor(where, table), region)
        listed = prices.listed(provider)
        if not any(fits(model, name) for name in listed):
            if not listed:
                hint = did_you_mean(provider, prices.providers()) or f"there are {', '.join(prices.providers())}"
                raise ConfigError(f"{where}: provider is {provider!r}, which has no prices; {hint.strip()}")
            hint = _nearest(model, listed).strip() or f"{provider} has {listed[0]} and {len(listed) - 1} more"
            raise ConfigError(f"{where}: model is {model!r}, which fits no model of {provider}; {hint}")
        if (provider, model, region) in taken:
            place = f"in region {region}" if region else "everywhere"
            raise ConfigError(
                f"{where}: {provider}/{model} already has a premium {place}, "
                f"in premium {taken[provider, model, region]}; keep one of the two"
            )
        taken[provider, model, region] = number
        premiums.setdefault(provider, []).append(premium)
    return premiums


def _aliases(path: Path, value: object) -> dict[str, dict[str, str]]:
    if not isinstance(value, dict) or not all(isinstance(of, dict) for of in value.values()):
        raise ConfigError(f"{path}: aliases are written as [aliases.PROVIDER] tables of name = 'model'")
    aliases: dict[str, dict[str, str]] = {}
    for provider, of in value.items():
        for name, model in of.items():
            if not isinstance(model, str) or not model.strip():
                raise ConfigError(
                    f"{path}: aliases.{provider}.{name} is {model!r}; it must be the name of a model in quotes"
                )
            kind = PROVIDER_ALIASES.get(str(provider), str(provider))
            aliases.setdefault(kind, {})[name.lower()] = model.strip()
    return aliases


def _resolvable(path: Path, layer: Layer, under: Catalogue) -> None:
    with_layer = under.with_layer(layer)
    for provider, of in layer.aliases.items():
        for name, model in of.items():
            if with_layer.find(provider, model) is None:
                hint = did_you_mean(model, with_layer.listed(provider)).strip()
                raise ConfigError(
                    f"{path}: aliases.{provider}.{name} is {model!r}, which has no price at {provider}"
                    f"{f'; {hint}' if hint else ''}"
                )
