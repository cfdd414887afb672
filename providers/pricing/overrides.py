"""A user's own prices: a TOML file, checked whole before any of it is used.

[[price]]
provider = "openai"
model = "gpt-4o"
from = 2026-12-01          # optional: before that day the shipped price stays
input = 2.25               # USD per million tokens, or per thousand with unit = "per_thousand"
output = 9
cached_input = 1.1         # also cache_write, cache_write_1h, reasoning, batch = true, hours = "00:30-16:30"
tiers = [{above = 200000, input = 4.5, output = 14}]
names = ["gpt-4o-eu"]      # further names of the model; x*, *x and *x* are patterns

[[price]]
provider = "vllm"
model = "*"
hourly_usd = 0.20

[aliases.azure_openai]
my-deployment = "gpt-4o"
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from providers.errors import ConfigError
from providers.pricing.names import PROVIDER_ALIASES
from providers.pricing.row import RATE_DECIMALS, RATE_NAMES

if TYPE_CHECKING:
    from providers.pricing.catalogue import Catalogue, Layer

MAX_RATE = Decimal(10_000)
"""USD per million tokens. Ten times the dearest model ever listed: more is a slip of units."""
MAX_HOURLY = Decimal(1_000)
"""USD an hour. Ten times the dearest machine with eight accelerators."""
UNITS = {"per_million": Decimal(1), "per_thousand": Decimal(1000)}
_FACTS = {"context_window": "window", "max_output": "max_output"}
_KEYS = (
    *("provider", "model", "names", "from", "hours", "batch", "unit", "tiers", "hourly_usd", "local", "source"),
    *_FACTS,
    *RATE_NAMES,
)
_TIER_KEYS = ("above", *RATE_NAMES)


def read_layer(path: Path, under: Catalogue) -> Layer:
    """The layer that a TOML file describes, to be laid on `under`. Raises ConfigError naming file, row and key."""
    from providers.pricing.catalogue import Layer

    try:
        raw = path.read_bytes()
        document = tomllib.loads(raw.decode("utf-8"), parse_float=Decimal)
    except OSError as error:
        raise ConfigError(f"cannot read the price file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: a price file is TOML in UTF-8, and this is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    _known_keys(str(path), document, ("price", "aliases"))
    tables = document.get("price", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{path}: prices are written as [[price]] tables")
    models: dict[str, dict[str, dict[str, Any]]] = {}
    taken: dict[tuple[object, ...], int] = {}
    newest: date | None = None
    for number, table in enumerate(tables, 1):
        where = f"{path}: price {number}"
        row = _Row(where, table)
        model = under.own_name(row.provider, row.model) or row.model
        key = (row.provider, model, row.since, row.data.get("hours"), row.batch)
        if key in taken:
            when = "for all dates" if row.since is None else f"from {row.since}"
            raise ConfigError(f"{where}: {row.provider}/{model} already has a price {when}, in price {taken[key]}")
        taken[key] = number
        if row.since is not None:
            newest = max(newest or row.since, row.since)
        entry = models.setdefault(row.provider, {}).setdefault(model, {"id": model, "match": [], "rows": []})
        entry["match"] += [row.model, *row.names]
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
    return layer


class _Row:
    """One [[price]] table, checked."""

    def __init__(self, where: str, table: Mapping[str, Any]) -> None:
        _known_keys(where, table, _KEYS)
        provider = _text(where, table, "provider")
        self.provider = PROVIDER_ALIASES.get(provider, provider)
        self.model = _pattern(where, "model", _text(where, table, "model"))
        where = f"{where} ({self.provider}/{self.model})"
        self.names = _patterns(where, table.get("names", []))
        self.since = _day(where, table)
        self.batch = _flag(where, table, "batch")
        self.facts: dict[str, Any] = {ours: _count(where, table, key) for key, ours in _FACTS.items() if key in table}
        if _flag(where, table, "local"):
            self.facts["local"] = True
        if "source" in table:
            _text(where, table, "source")
        unit = table.get("unit", "per_million")
        if not isinstance(unit, str) or unit not in UNITS:
            raise ConfigError(f"{where}: unit is {unit!r}; it must be {' or '.join(UNITS)}")
        data: dict[str, Any] = _rates(where, table, UNITS[unit])
        if "hourly_usd" in table:
            if data or "tiers" in table:
                raise ConfigError(f"{where}: a row has either hourly_usd or prices per token, not both")
            data["hourly_usd"] = str(_money(where, "hourly_usd", table["hourly_usd"], MAX_HOURLY))
        elif "input" not in data:
            raise ConfigError(f"{where}: there is no price; give input and output, or hourly_usd")
        if self.since is not None:
            data["from"] = self.since.isoformat()
        if "hours" in table:
            data["hours"] = _hours(where, table["hours"])
        if self.batch:
            data["batch"] = True
        if "tiers" in table:
            data["tiers"] = _tiers(where, table["tiers"], UNITS[unit], data)
        self.data = data


def _tiers(where: str, value: object, unit: Decimal, base: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value or not all(isinstance(tier, dict) for tier in value):
        raise ConfigError(
            f"{where}: tiers is {value!r}; it must be a list such as [{{above = 200000, input = 4.5, output = 14}}]"
        )
    tiers: list[dict[str, Any]] = []
    for tier in value:
        _known_keys(f"{where}, tiers", tier, _TIER_KEYS)
        above = _count(f"{where}, tiers", tier, "above")
        if tiers and above <= tiers[-1]["above"]:
            raise ConfigError(f"{where}, tiers: above is {above} after {tiers[-1]['above']}; tiers must rise")
        inherited = {name: base[name] for name in RATE_NAMES if name in base}
        tiers.append({"above": above, **inherited, **_rates(f"{where}, tiers", tier, unit)})
    return tiers


def _rates(where: str, table: Mapping[str, Any], unit: Decimal) -> dict[str, str]:
    return {name: str(_money(where, name, table[name], MAX_RATE, unit)) for name in RATE_NAMES if name in table}


def _money(where: str, key: str, value: object, most: Decimal, unit: Decimal = Decimal(1)) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise ConfigError(f"{where}: {key} is {value!r}; it must be a number of USD")
    try:
        amount = Decimal(value) * unit
    except ArithmeticError:
        raise ConfigError(f"{where}: {key} is {value!r}; it must be a number of USD") from None
    if not amount.is_finite() or not 0 <= amount <= most:
        raise ConfigError(f"{where}: {key} is {value}; it must be between 0 and {most / unit:f} USD")
    # At most six decimals per million tokens: a picodollar for each token, which is what the records can hold.
    amount = amount.normalize()
    if -int(amount.as_tuple().exponent) > RATE_DECIMALS:
        raise ConfigError(f"{where}: {key} is {value}; a price per million tokens has at most {RATE_DECIMALS} decimals")
    return Decimal(format(amount, "f"))


def _known_keys(where: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            import difflib

            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise ConfigError(f"{where}: there is no key {key!r}; {hint}")


def _text(where: str, table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(
            f"{where}: {key} is {'missing' if value is None else repr(value)}; it must be a name in quotes"
        )
    return value.strip()


def _patterns(where: str, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ConfigError(f"{where}: names is {value!r}; it must be a list of names in quotes")
    return [_pattern(where, "names", name) for name in value]


def _pattern(where: str, key: str, name: str) -> str:
    """A name in lower case that may begin or end with a star."""
    name = name.strip().lower()
    if not name or name[0] == "~" or "*" in name[1:-1]:
        raise ConfigError(f"{where}: {key} has {name!r}; it must be a name, which may begin or end with *")
    return name


def _flag(where: str, table: Mapping[str, Any], key: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise ConfigError(f"{where}: {key} is {value!r}; it must be true or false")
    return value


def _count(where: str, table: Mapping[str, Any], key: str) -> int:
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{where}: {key} is {value!r}; it must be a whole number of tokens, at least 1")
    return value


def _day(where: str, table: Mapping[str, Any]) -> date | None:
    value = table.get("from")
    if isinstance(value, str):
        with suppress(ValueError):
            value = date.fromisoformat(value)
    if value is not None and (isinstance(value, datetime) or not isinstance(value, date)):
        raise ConfigError(f"{where}: from is {str(value)!r}; it must be a day such as 2026-12-01")
    return value


def _hours(where: str, value: object) -> str:
    from providers.pricing.catalogue import parse_hours

    with suppress(ValueError):
        begin, end = parse_hours(value if isinstance(value, str) else "")
        if begin != end and begin.tzinfo is end.tzinfo is None:
            return f"{begin:%H:%M}-{end:%H:%M}"
    raise ConfigError(f"{where}: hours is {value!r}; it must be two times of day in UTC, such as '00:30-16:30'")


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
                raise ConfigError(f"{path}: aliases.{provider}.{name} is {model!r}, which has no price at {provider}")
