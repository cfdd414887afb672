"""No fault loses a usage record or counts one twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.runs import Row
from tests.faults.table import ROWS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_answer_has_one_record_whatever_happens(row: Row, tmp_path: Path) -> None:
    found = row.play(tmp_path)
    assert found.answered > 0
    assert (found.recorded, found.lost, found.duplicated, found.wrong) == (found.answered, 0, 0, [])
