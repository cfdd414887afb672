"""`python -m tests.clients`: the table of every client, API and case against a wiretap, and what is wrong in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack

from tests.clients import node
from tests.clients.cases import FAULTS, GOOD, Speaker, cases, judge
from tests.clients.harness import running
from tests.clients.outcome import outcome_of
from tests.clients.speakers import node_speakers, python_speakers

Verdict = tuple[Speaker, str, str | None]


def verdicts(url: str) -> Iterator[Verdict]:
    for speaker in python_speakers():
        assert not isinstance(speaker.open, str)
        with ExitStack() as stack:
            ask = speaker.open(url, stack)
            for case, form, fault in cases(speaker):
                yield speaker, case, judge(speaker, case, outcome_of(ask, form, fault))
    if reason := node.absent():
        print(f"JavaScript clients left out: {reason}", file=sys.stderr)
        return
    work = [(s, case, (str(s.open), form, fault)) for s in node_speakers() for case, form, fault in cases(s)]
    for (speaker, case, _), told in zip(work, node.outcomes(url, [job for *_, job in work]), strict=True):
        yield speaker, case, judge(speaker, case, told)


def main() -> int:
    columns = [*(form for form, _ in GOOD), *FAULTS]
    wrong: list[str] = []
    rows: dict[str, dict[str, str]] = {}
    with running() as url:
        for speaker, case, problem in verdicts(url):
            rows.setdefault(speaker.name, {})[case] = "✗" if problem else "✓"
            if problem:
                wrong.append(f"{speaker.name} · {case}: {problem}")
    width = max(map(len, rows))
    for number, column in enumerate(columns, 1):
        print(f"{number:>2} {column}")
    print(f"\n{'':<{width}}  " + " ".join(f"{number:>2}" for number in range(1, len(columns) + 1)))
    for name, row in rows.items():
        print(f"{name:<{width}}  " + " ".join(f"{row.get(column, '·'):>2}" for column in columns))
    print("\n✓ as the client's documentation says   ✗ not   · not part of this API")
    print(f"{sum(mark == '✓' for row in rows.values() for mark in row.values())} passed, {len(wrong)} failed")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
