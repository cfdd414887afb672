"""A usage record as an item of the table, and back; the small item that finds it by its request id.

From rows and to rows as SQLite has them, so that both stores know the same to the digit. Money is a Number of USD,
written out in full: boto3's own conversion goes through a context of 38 digits that raises for what does not fit.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from providers.clock import iso
from sandbox.usage.base import UsageRecord
from sandbox.usage.dynamodb import names
from sandbox.usage.records import COLUMNS, from_row, parse_time, to_pico, to_row, to_usd

logger = logging.getLogger(__name__)

Item = dict[str, dict[str, Any]]
"""An item as DynamoDB's JSON has it: `{"name": {"S": "text"}}`."""

LARGEST: Final = 380_000
"""Bytes of the texts of an item with its story: 400 KB is the most it may have in all."""

_NULL: Final = {"NULL": True}
_SEED = frozenset(
    ("model", "provider", "tokens_used", "prompt_tokens", "completion_tokens", "estimated_cost", "latency_ms",
     "cached", "success")
)  # fmt: skip
"""Beside the keys: what every record shows, be it empty. Of the rest, what is as usual is left out."""

_TEXTS = (
    "request_id", "mode", "model", "requested_model", "provider", "catalogue_version", "error_type", "trace_id",
    "story", "prompt_hash", "service_tier", "region", "priced_as",
)  # fmt: skip
_COUNTS = (
    "tokens_used", "prompt_tokens", "completion_tokens", "cached_tokens", "attempts", "failovers",
    "cache_write_tokens", "reasoning_tokens", "cache_write_1h_tokens",
)  # fmt: skip
_FLAGS = ("cached", "success", "estimated_tokens")
_FLOATS = ("latency_ms", "ttft_ms")
_MONEY = ("estimated_cost", "waste_cost", "saved_cost", "premium_cost")
_OPTIONAL = frozenset(("requested_model", "error_type", "story", "ttft_ms", "saved_cost", "service_tier", "region"))
"""Left out where they are None; any other None is written."""

_AT = {column.removesuffix("_pico"): number for number, column in enumerate(COLUMNS)}
_CUT: Final = tuple(_AT[name] for name in (names.TENANT, names.AGENT, *_TEXTS) if name != "story")


def record_item(row: Sequence[Any], *, kept_s: float | None) -> Item:
    """The item of a row of COLUMNS; `kept_s`: seconds after which it may be deleted."""
    time_us = row[_AT["timestamp_us"]]
    item: Item = {
        names.KEY: {"S": record_key(row)},
        names.TENANT: {"S": names.indexed(row[_AT[names.TENANT]])},
        names.AGENT: {"S": names.indexed(row[_AT[names.AGENT]])},
        names.TIME: {"S": iso(time_us)},
    }
    for name in _TEXTS:
        text = row[_AT[name]]
        if text:
            item[name] = {"S": text}
        elif name in _SEED:
            item[name] = _NULL
    for name in _COUNTS:
        count = row[_AT[name]]
        if count or name in _SEED:
            item[name] = {"N": str(count)}
    for name in _FLAGS:
        flag = bool(row[_AT[name]])
        if flag or name in _SEED:
            item[name] = {"BOOL": flag}
    for name in _FLOATS:
        number = row[_AT[name]]
        # A Number ends at 1e126, and has no infinity.
        if number is not None and math.isfinite(number) and number < 1e100:
            item[name] = {"N": repr(number) if number > 1e-100 else "0"}
    for name in _MONEY:
        pico = row[_AT[name]]
        if pico is None:
            if name not in _OPTIONAL:
                item[name] = _NULL
        elif pico or name in _SEED or name in _OPTIONAL:
            item[name] = {"N": format(to_usd(pico), "f")}
    if "story" in item and _size(item) > LARGEST:
        logger.warning("the story of usage record %s is too long for DynamoDB and left out", ascii(row[_AT["log_id"]]))
        del item["story"]
    if kept_s is not None:
        item[names.EXPIRY] = expiry(time_us, kept_s)
    return item


def shortened(row: Sequence[Any]) -> Sequence[Any]:
    """The row with every text as long as the table may have it."""
    if all(row[place] is None or len(row[place]) <= names.LONGEST_TEXT // 4 for place in _CUT):
        return row
    cut = list(row)
    for place in _CUT:
        if row[place] is not None:
            cut[place] = names.shortened(row[place])
    return cut


def record_of(item: Mapping[str, Mapping[str, Any]]) -> UsageRecord:
    """The record of an item of `record_item`, or of one that another program wrote with the seed's attributes."""
    row: list[Any] = [None] * len(COLUMNS)
    row[0] = 0
    row[_AT["log_id"]] = item[names.KEY]["S"]
    row[_AT["timestamp_us"]] = parse_time(item[names.TIME]["S"])
    for name in (names.TENANT, names.AGENT):
        text = item.get(name, {}).get("S", "")
        row[_AT[name]] = "" if text == names.NOBODY else text
    for name in _TEXTS:
        row[_AT[name]] = item.get(name, {}).get("S", None if name in _OPTIONAL else "")
    for name in _COUNTS:
        row[_AT[name]] = int(item.get(name, {}).get("N", "0"))
    for name in _FLAGS:
        row[_AT[name]] = item.get(name, {}).get("BOOL", False)
    for name in _FLOATS:
        text = item.get(name, {}).get("N", None if name in _OPTIONAL else "0")
        row[_AT[name]] = None if text is None else float(text)
    for name in _MONEY:
        value = item.get(name, {})
        text = value.get("N", None if value or name in _OPTIONAL else "0")
        row[_AT[name]] = None if text is None else to_pico(Decimal(text))
    return from_row(row)


def row_of(item: Mapping[str, Mapping[str, Any]]) -> tuple[Any, ...]:
    """The row of COLUMNS of an item, for sums over single records."""
    return to_row(0, record_of(item))


def request_item(row: Sequence[Any], *, kept_s: float | None) -> Item | None:
    """What finds the record by its request id; None for a record without one."""
    request_id = row[_AT["request_id"]]
    if not request_id:
        return None
    item: Item = {
        names.KEY: {"S": names.request_key(request_id)},
        names.TENANT: {"S": names.request_shelf(request_id)},
        names.TIME: {"S": names.fitting(request_id, names.LONGEST_RANGE)},
        names.KIND: {"S": "request"},
        "record": {"S": record_key(row)},
    }
    if kept_s is not None:
        item[names.EXPIRY] = expiry(row[_AT["timestamp_us"]], kept_s)
    return item


def expiry(time_us: int, kept_s: float) -> dict[str, Any]:
    return {"N": str(time_us // 1_000_000 + round(kept_s))}


def record_key(row: Sequence[Any]) -> str:
    return names.fitting(row[_AT["log_id"]], names.LONGEST_KEY)


def _size(item: Item) -> int:
    """Bytes of its texts, of which the story is nearly all."""
    return sum(len(value["S"].encode()) for value in item.values() if "S" in value)
