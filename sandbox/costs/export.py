"""Usage records as a CSV or JSON file, one after the other, so that a million of them need no more memory than a few.

The file appears whole or not at all. Times are ISO 8601 in UTC, money is a decimal string, empty or null where
unpriced. In CSV no text of others can be run as a formula; its summary is a file of its own beside it, so that each is
one table.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, Protocol

import orjson

from sandbox.core.spreadsheet import harmless_cell
from sandbox.core.whole_file import whole_file
from sandbox.costs import summary
from sandbox.costs.spans import Span
from sandbox.usage.base import DIMENSIONS, Breakdowns, UsageRecord, UsageTotals
from sandbox.usage.records import as_json, mended

Form = Literal["csv", "json"]
FIELDS: Final = (
    "timestamp", "mode", "tenant_id", "agent_id", "provider", "model", "requested_model",
    "prompt_tokens", "completion_tokens", "tokens_used", "cached_tokens", "cache_write_tokens", "reasoning_tokens",
    "estimated_tokens", "estimated_cost", "waste_cost", "saved_cost", "premium_cost", "catalogue_version",
    "latency_ms", "ttft_ms", "cached", "success", "error_type", "attempts", "failovers",
    "request_id", "log_id", "trace_id", "prompt_hash",
    "cache_write_1h_tokens", "service_tier", "region", "priced_as",
)  # fmt: skip
"""Of a record, in the order of the columns: new ones come last, where older readers do not look."""
_FLAGS: Final = ("estimated_tokens", "cached", "success")
"""1 or 0 in CSV, which has no word for true and false."""
_TEXTS: Final = (
    "tenant_id", "agent_id", "provider", "model", "requested_model", "catalogue_version", "error_type",
     "request_id", "log_id", "trace_id", "prompt_hash", "service_tier", "region", "priced_as",
)  # fmt: skip


class Export(Protocol):
    """A file that takes records."""

    written: int
    """Records so far."""

    def add(self, record: UsageRecord) -> None: ...


def summary_file(path: Path) -> Path:
    """Where the summary of a CSV file goes: `costs.summary.csv` beside `costs.csv`."""
    return path.with_name(f"{path.stem}.summary{path.suffix or '.csv'}")


@contextmanager
def export(
    path: Path,
    form: Form,
    *,
    mode: str | None,
    span: Span,
    totals: UsageTotals | None = None,
    parts: Breakdowns | None = None,
    overwrite: bool = True,
    option: str = "path",
    otherwise: str = "",
) -> Iterator[Export]:
    """A file to add records to; with `totals` and `parts` it gets a summary. Raises InputError naming the option."""
    with ExitStack() as files:
        file = files.enter_context(whole_file(path, overwrite=overwrite, option=option, otherwise=otherwise))
        if form == "json":
            head = summary.head(mode, span)
            if totals is not None and parts is not None:
                head["summary"] = summary.document(totals, parts)
            writer: CsvExport | JsonExport = JsonExport(file, head)
        else:
            if totals is not None and parts is not None:
                beside = whole_file(summary_file(path), overwrite=overwrite, option=option, otherwise=otherwise)
                _write_summary(files.enter_context(beside), totals, parts)
            writer = CsvExport(file)
        yield writer
        writer.finish()


class JsonExport:
    """One document: the head, and `items` with one record a line."""

    def __init__(self, file: BinaryIO, head: dict[str, Any]) -> None:
        self.written = 0
        self._file = file
        file.write(orjson.dumps(head, default=_plain)[:-1] + b',"items":[')

    def add(self, record: UsageRecord) -> None:
        try:
            line = orjson.dumps(_items(record))
        except TypeError:
            line = orjson.dumps(_items(mended(record)))
        self._file.write(b",\n" + line if self.written else b"\n" + line)
        self.written += 1

    def finish(self) -> None:
        self._file.write(b"\n]}\n")


class CsvExport:
    """A header and one line for each record, UTF-8, comma-separated as RFC 4180 has it."""

    def __init__(self, file: BinaryIO) -> None:
        self.written = 0
        self._text, self._writer = _table(file, FIELDS)

    def add(self, record: UsageRecord) -> None:
        values = _items(record)
        for name in _TEXTS:
            if text := values[name]:
                values[name] = harmless_cell(text)
        for name in _FLAGS:
            values[name] = int(values[name])
        self._writer.writerow(values.values())
        self.written += 1

    def finish(self) -> None:
        self._text.detach()


def _items(record: UsageRecord) -> dict[str, Any]:
    values = as_json(record)
    return {name: values[name] for name in FIELDS}


def _write_summary(file: BinaryIO, totals: UsageTotals, parts: Breakdowns) -> None:
    rows: Iterable[tuple[str, str, UsageTotals]] = [
        ("total", "", totals),
        *((by, key, sums) for by in DIMENSIONS for key, sums in parts[by]),
    ]
    text, writer = _table(file, ("dimension", "value", *summary.as_json(totals)))
    for by, key, sums in rows:
        figures = summary.as_json(sums).values()
        writer.writerow([by, harmless_cell(key), *(_plain(f) if isinstance(f, Decimal) else f for f in figures)])
    text.detach()


def _table(file: BinaryIO, columns: Iterable[str]) -> tuple[io.TextIOWrapper, Any]:
    import csv

    text = io.TextIOWrapper(file, "utf-8", errors="backslashreplace", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(columns)
    return text, writer


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} has no place in JSON")
