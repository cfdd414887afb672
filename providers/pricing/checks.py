"""What a value in a user's price file must be: each check returns it, or raises ConfigError in one sentence that names
the place, the key, the value, and what would be right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal

from providers.errors import ConfigError
from providers.hints import did_you_mean
from providers.pricing.row import RATE_DECIMALS, parse_hours

MIN_RATE = Decimal("0.0001")
"""USD per million tokens. A tenth of the cheapest rate ever listed: less, and not 0, is a price for each token."""
MAX_RATE = Decimal(10_000)
"""USD per million tokens. Ten times the dearest model ever listed: more is a slip of units."""
MAX_HOURLY = Decimal(1_000)
"""USD an hour. Ten times the dearest machine with eight accelerators."""
MAX_PREMIUM = Decimal(1_000)
"""Per cent. More is a factor that was taken for a percentage, or a slip."""


def known_keys(where: str, table: Mapping[str, object], known: Sequence[str]) -> None:
    for key in table:
        if key not in known:
            hint = did_you_mean(key, known).strip() or f"there are {', '.join(known)}"
            raise ConfigError(f"{where}: there is no key {key!r}; {hint}")


def text(where: str, table: Mapping[str, object], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(
            f"{where}: {key} is {'missing' if value is None else repr(value)}; it must be a name in quotes"
        )
    return value.strip()


def pattern(where: str, key: str, name: str) -> str:
    """A name in lower case that may begin or end with a star."""
    name = name.strip().lower()
    if not name or name[0] == "~" or "*" in name[1:-1]:
        raise ConfigError(f"{where}: {key} has {name!r}; it must be a name, which may begin or end with *")
    return name


def patterns(where: str, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ConfigError(f"{where}: names is {value!r}; it must be a list of names in quotes")
    return [pattern(where, "names", name) for name in value]


def choice(where: str, key: str, value: object, known: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in known:
        raise ConfigError(f"{where}: {key} is {value!r}; it must be {', '.join(known[:-1])} or {known[-1]}")
    return value


def flag(where: str, table: Mapping[str, object], key: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise ConfigError(f"{where}: {key} is {value!r}; it must be true or false")
    return value


def count(where: str, table: Mapping[str, object], key: str) -> int:
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{where}: {key} is {value!r}; it must be a whole number of tokens, at least 1")
    return value


def day(where: str, table: Mapping[str, object]) -> date | None:
    value = table.get("from")
    if isinstance(value, str):
        with suppress(ValueError):
            day = date.fromisoformat(value)
            # Python reads other forms of ISO 8601 too, such as weeks.
            value = day if day.isoformat() == value else value
    if value is not None and (isinstance(value, datetime) or not isinstance(value, date)):
        raise ConfigError(f"{where}: from is {str(value)!r}; it must be a day such as 2026-12-01")
    return value


def hours(where: str, value: object) -> str:
    with suppress(ValueError):
        begin, end = parse_hours(value if isinstance(value, str) else "")
        if begin != end and begin.tzinfo is end.tzinfo is None:
            return f"{begin:%H:%M}-{end:%H:%M}"
    raise ConfigError(f"{where}: hours is {value!r}; it must be two times of day in UTC, such as '00:30-16:30'")


def rate(where: str, key: str, value: object, unit: Decimal) -> Decimal:
    """USD per million tokens, from a number of USD per million divided by `unit`."""
    amount = _number(where, key, value, "a number of USD") * unit
    if not amount.is_finite() or not 0 <= amount <= MAX_RATE:
        raise ConfigError(f"{where}: {key} is {value}; it must be between 0 and {MAX_RATE / unit:f} USD")
    # At most six decimals per million tokens: a picodollar for each token, which is what the records can hold.
    amount = amount.normalize()
    if -int(amount.as_tuple().exponent) > RATE_DECIMALS:
        raise ConfigError(f"{where}: {key} is {value}; a price per million tokens has at most {RATE_DECIMALS} decimals")
    if 0 < amount < MIN_RATE:
        per = "million" if unit == 1 else "thousand"
        raise ConfigError(
            f"{where}: {key} is {value}; it must be 0, or at least {(MIN_RATE / unit).normalize():f} USD per {per} "
            "tokens: is it the price of one token?"
        )
    return Decimal(format(amount, "f"))


def hourly(where: str, value: object) -> Decimal:
    amount = _number(where, "hourly_usd", value, "a number of USD")
    if not amount.is_finite() or not 0 <= amount <= MAX_HOURLY:
        raise ConfigError(f"{where}: hourly_usd is {value}; it must be between 0 and {MAX_HOURLY:f} USD")
    return Decimal(format(amount, "f"))


def factor(where: str, table: Mapping[str, object]) -> Decimal:
    """What rates are multiplied by, from a percentage of premium or, below zero, of discount."""
    value = table.get("percent")
    if value is None:
        raise ConfigError(f"{where}: percent is missing; it must be a number such as 10, or -15 for a discount")
    amount = _number(where, "percent", value, "a number such as 10, or -15 for a discount")
    if not amount.is_finite() or not -100 < amount <= MAX_PREMIUM or amount == 0:
        raise ConfigError(
            f"{where}: percent is {value}; it must be above -100 and at most {MAX_PREMIUM:f}, and not 0: "
            "10 is a tenth more than the list price"
        )
    return 1 + amount / 100


def _number(where: str, key: str, value: object, right: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise ConfigError(f"{where}: {key} is {value!r}; it must be {right}")
    try:
        return Decimal(value)
    except ArithmeticError:
        raise ConfigError(f"{where}: {key} is {value!r}; it must be {right}") from None
