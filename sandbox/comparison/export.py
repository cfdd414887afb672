"""A comparison as a file: CSV with one row for each answer, JSON, Markdown, or a web page that needs nothing else."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import orjson

from providers.errors import InputError
from sandbox.comparison import telling
from sandbox.comparison.document import as_dict, sample_dict
from sandbox.comparison.standings import Outcome, Standing
from sandbox.core.figures import decimal
from sandbox.core.spreadsheet import harmless_cell
from sandbox.core.tables import markdown_table
from sandbox.core.whole_file import whole_file

Form = Literal["csv", "json", "markdown", "html"]
FORMS: tuple[Form, ...] = get_args(Form)
ENDINGS: dict[Form, str] = {"csv": ".csv", "json": ".json", "markdown": ".md", "html": ".html"}

_COLUMNS = (
    "prompt_number", "prompt", "name", "turn", "status", "provider", "model", "model_id", "input_tokens",
    "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens", "cost_usd", "waste_usd",
    "latency_ms", "ttft_ms", "tokens_per_second", "attempts", "failovers", "finish_reason", "error_type",
    "error_message", "mode", "simulated", "catalogue", "request_id", "text",
)  # fmt: skip


def write(path: Path, form: Form, outcome: Outcome, volumes: Sequence[int]) -> None:
    """One file, where there is none yet. Raises InputError for a place that cannot be written to."""
    with exports([(form, path)]) as written:
        written(outcome, volumes)


@contextmanager
def exports(
    wanted: Sequence[tuple[Form, Path]], *, overwrite: bool = False, option: str = "path", otherwise: str = ""
) -> Iterator[Callable[[Outcome, Sequence[int]], None]]:
    """What writes a comparison into files, to be called once. They are opened before anybody is asked, so that no
    answer is paid for in vain, and appear whole when they are written.

    Raises InputError, naming the option, for a place that cannot be written to, is taken, or is named twice.
    """
    with ExitStack() as files:
        opened: dict[Path, tuple[Form, BinaryIO]] = {}
        for form, path in wanted:
            if path.resolve() in map(Path.resolve, opened):
                raise InputError(f"{option} {path}: that file is named twice")
            file = whole_file(path, overwrite=overwrite, option=option, otherwise=otherwise)
            opened[path] = form, files.enter_context(file)

        def written(outcome: Outcome, volumes: Sequence[int]) -> None:
            for path, (form, file) in opened.items():
                try:
                    file.write(rendered(form, outcome, volumes))
                    file.flush()
                except OSError as error:
                    raise InputError(f"{option} {path}: {(error.strerror or str(error)).lower()}") from None
            files.close()

        yield written


def rendered(form: Form, outcome: Outcome, volumes: Sequence[int]) -> bytes:
    """The content of the file. `volumes`: requests a day; the tables tell a month at the first."""
    if form == "csv":
        return _csv(outcome).encode()
    if form == "json":
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        return orjson.dumps(as_dict(outcome, volumes), default=_plain, option=options)
    if form == "markdown":
        return ("\n".join(_markdown(outcome, volumes)) + "\n").encode()
    from sandbox.comparison.page import page

    return page(outcome, volumes).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return decimal(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON")


# --- CSV ------------------------------------------------------------------------------------------------------------


def _csv(outcome: Outcome) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for number, row in enumerate(outcome.by_prompt, 1):
        for one in row:
            for turn, sample in enumerate(one.samples, 1):
                writer.writerow(
                    _safe(
                        sample_dict(sample)
                        | {
                            "prompt_number": number,
                            "prompt": outcome.question.prompts[number - 1],
                            "name": one.contestant.name,
                            "turn": turn,
                            "error_type": sample.problem.type if sample.problem is not None else None,
                            "error_message": sample.problem.message if sample.problem is not None else None,
                            "mode": outcome.mode,
                            "simulated": sample.simulated.cost,
                            "catalogue": outcome.catalogue,
                        }
                    )
                )
    return text.getvalue()


def _safe(row: dict[str, Any]) -> dict[str, str]:
    return {name: _cell(row[name]) for name in _COLUMNS}


def _cell(value: Any) -> str:
    """Nothing for what is unknown; numbers as they are, texts so that no spreadsheet runs them."""
    if value is None:
        return ""
    if isinstance(value, str):
        return harmless_cell(value)
    if isinstance(value, Decimal):
        return decimal(value) or ""
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- Markdown -------------------------------------------------------------------------------------------------------


def _markdown(outcome: Outcome, volumes: Sequence[int]) -> Iterator[str]:
    prompts = outcome.question.prompts
    yield f"# {len(outcome.overall)} models compared"
    if len(prompts) == 1:
        yield from ("", *_quoted(prompts[0]))
    else:
        yield from ("", f"{len(prompts):,} prompts; each figure is the mean of their medians.")
    head, rows = table(outcome, volumes[0])
    yield from ("", *markdown_table(head, rows, range(3, len(head))), "", telling.LEGEND)
    if outcome.question.repeat > 1:
        yield from ("", f"## Spread over {outcome.question.repeat} turns", "")
        yield from markdown_table(
            ("model", *telling.RANGES), [(one.contestant.name, *telling.ranges(one)) for one in outcome.overall],
            range(1, 1 + len(telling.RANGES)),
        )  # fmt: skip
    at = telling.volumes(volumes)
    yield from ("", "## 30 days, by requests a day", "")
    yield from markdown_table(
        ("model", *(f"{volume:,}" for volume in at)),
        [(one.contestant.name, *telling.month_row(one, at)) for one in outcome.overall],
        range(1, 1 + len(at)),
    )
    if len(prompts) > 1:
        yield from ("", "## By prompt", "")
        names = [one.contestant.name for one in outcome.overall]
        yield from markdown_table(
            ("", "prompt", *names),
            [
                (str(number), prompt, *(telling.cell(one) for one in row))
                for number, (prompt, row) in enumerate(zip(prompts, outcome.by_prompt, strict=True), 1)
            ],
            (0,),
        )
    yield ""
    yield from (f"- {' '.join(note.split())}" for note in (*telling.troubles(outcome), *telling.notes(outcome)))
    for number, (prompt, row) in enumerate(zip(prompts, outcome.by_prompt, strict=True), 1):
        if len(prompts) > 1:
            yield from ("", f"## Prompt {number}", "", *_quoted(prompt))
        for one in row:
            yield from ("", f"{'###' if len(prompts) > 1 else '##'} {one.contestant.name}", "", answer_text(one))


def _quoted(text: str) -> Iterator[str]:
    yield from (f"> {line}" for line in text.splitlines())


def table(outcome: Outcome, volume: int) -> tuple[Sequence[str], list[Sequence[str]]]:
    """The head and the rows of the main table."""
    return telling.head(volume), [telling.figures(one, volume) for one in outcome.overall]


def answer_text(one: Standing) -> str:
    """What a reader sees of an answer: its text, or why there is none."""
    shown = one.shown
    if shown is None:
        return "Not asked."
    if shown.problem is None:
        return shown.text
    told = f"{shown.problem.type}: {shown.problem.message}"
    return f"{shown.text}\n\n{told}" if shown.text else told
