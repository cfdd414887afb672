"""A comparison as one web page: no script, no file beside it, nothing of the answers taken for markup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from html import escape

from sandbox.comparison import telling
from sandbox.comparison.export import answer_text, table
from sandbox.comparison.standings import Outcome

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #888; --bar: #3b82c4; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .6rem; text-align: left; vertical-align: top; }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
blockquote { border-left: 3px solid var(--line); margin: 1rem 0; padding-left: 1rem; white-space: pre-wrap; }
.answers { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); }
.answer { border: 1px solid var(--line); border-radius: 6px; padding: .6rem 1rem; overflow-wrap: anywhere; }
.answer p { white-space: pre-wrap; }
.bar { background: var(--bar); border-radius: 2px; height: .7rem; min-width: 1px; }
.notes { color: var(--soft); }
"""


def page(outcome: Outcome, volumes: Sequence[int]) -> str:
    return "\n".join(_lines(outcome, volumes)) + "\n"


def _lines(outcome: Outcome, volumes: Sequence[int]) -> Iterator[str]:
    prompts = outcome.question.prompts
    title = f"{len(outcome.overall)} models compared"
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    # Nothing is fetched and nothing runs, whatever an answer holds.
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>"
    if len(prompts) == 1:
        yield f"<blockquote>{escape(prompts[0])}</blockquote>"
    else:
        yield f"<p>{len(prompts):,} prompts; each figure is the mean of their medians.</p>"
    yield from _table(*table(outcome, volumes[0]), left=3)
    yield f'<p class="notes">{telling.LEGEND}</p>'
    if outcome.question.repeat > 1:
        yield f"<h2>Spread over {outcome.question.repeat} turns</h2>"
        rows = [(one.contestant.name, *telling.ranges(one)) for one in outcome.overall]
        yield from _table(("model", *telling.RANGES), rows, left=1)
    yield from _month(outcome, volumes)
    if len(prompts) > 1:
        yield "<h2>By prompt</h2>"
        names = [one.contestant.name for one in outcome.overall]
        matrix = [
            (str(number), prompt, *(telling.cell(one) for one in row))
            for number, (prompt, row) in enumerate(zip(prompts, outcome.by_prompt, strict=True), 1)
        ]
        yield from _table(("", "prompt", *names), matrix, left=2)
    yield '<ul class="notes">'
    yield from (f"<li>{escape(note)}</li>" for note in (*telling.troubles(outcome), *telling.notes(outcome)))
    yield "</ul>"
    yield from _answers(outcome)
    yield "</body>\n</html>"


def _month(outcome: Outcome, volumes: Sequence[int]) -> Iterator[str]:
    """A bar for each model at the first volume, and a table for all."""
    yield f"<h2>30 days at {volumes[0]:,} requests a day</h2>"
    costs = [one.monthly(volumes[0]) for one in outcome.overall]
    most = max((cost for cost in costs if cost is not None), default=Decimal(0))
    yield "<table>"
    for one, cost in zip(outcome.overall, costs, strict=True):
        share = 0 if cost is None or not most else round(float(cost / most) * 100, 2)
        bar = f'<div class="bar" style="width: {share}%"></div>' if cost is not None else ""
        (told,) = telling.month_row(one, volumes[:1])
        yield (
            f'<tr><th scope="row">{escape(one.contestant.name)}</th><td class="n">{escape(told)}</td>'
            f'<td style="width: 60%">{bar}</td></tr>'
        )
    yield "</table>"
    at = telling.volumes(volumes)
    yield "<h2>30 days, by requests a day</h2>"
    rows = [(one.contestant.name, *telling.month_row(one, at)) for one in outcome.overall]
    yield from _table(("model", *(f"{volume:,}" for volume in at)), rows, left=1)


def _answers(outcome: Outcome) -> Iterator[str]:
    prompts = outcome.question.prompts
    for number, (prompt, row) in enumerate(zip(prompts, outcome.by_prompt, strict=True), 1):
        if len(prompts) > 1:
            yield f"<h2>Prompt {number}</h2>\n<blockquote>{escape(prompt)}</blockquote>"
        else:
            yield "<h2>Answers</h2>"
        yield '<div class="answers">'
        for one in row:
            yield f'<div class="answer"><h3>{escape(one.contestant.name)}</h3><p>{escape(answer_text(one))}</p></div>'
        yield "</div>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> Iterator[str]:
    """The columns after the first `left` are numbers."""
    yield (
        "<table>\n<thead><tr>"
        + "".join(_cell("th", text, at >= left) for at, text in enumerate(head))
        + "</tr></thead>"
    )
    yield "<tbody>"
    for row in rows:
        yield "<tr>" + "".join(_cell("td", text, at >= left) for at, text in enumerate(row)) + "</tr>"
    yield "</tbody>\n</table>"


def _cell(tag: str, text: str, number: bool) -> str:
    kind = ' class="n"' if number else ""
    return f"<{tag}{kind}>{escape(text)}</{tag}>"
