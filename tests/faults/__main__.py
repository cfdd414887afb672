"""`python -m tests.faults [WORD…]`: the table of faults, or of those whose names have a word; exits with 1 when a
record was lost or doubled."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults import table


def main(words: list[str]) -> int:
    rows = [row for row in table.ROWS if not words or any(word in row.name for word in words)]
    width = max(len(row.name) for row in rows)
    print(f"{'fault':<{width}}  {'sent':>5}  {'answered':>8}  {'recorded':>8}  {'duplicated':>10}  {'lost':>4}")
    failed = False
    for row in rows:
        try:
            with TemporaryDirectory() as folder:
                found = row.play(Path(folder))
        except pytest.skip.Exception as reason:
            print(f"{row.name:<{width}}  not played: {reason}")
            continue
        failed = failed or bool(found.duplicated or found.lost or found.wrong)
        print(
            f"{row.name:<{width}}  {found.sent:>5}  {found.answered:>8}  {found.recorded:>8}  "
            f"{found.duplicated:>10}  {found.lost:>4}",
            flush=True,
        )
        for sentence in found.wrong:
            print(f"  {sentence}")
    print("\nanswered: the requests whose answer was at least 100 ms old when the process was killed, if it was")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
