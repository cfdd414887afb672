"""Files of other tools: read as plain values, bounded, never run."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.errors import FixtureError
from providers.interchange.documents import format_of, read_document
from providers.interchange.taken import MAX_VALUES, check_size


def written(folder: Path, text: str | bytes, name: str = "tape.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("name", ["tape.yaml", "tape.YML", "tape.json"])
def test_both_languages(tmp_path: Path, name: str) -> None:
    text = '{"interactions": [], "version": 1}'
    assert read_document(written(tmp_path, text, name)) == {"interactions": [], "version": 1}


def test_a_mark_at_the_beginning_is_no_matter(tmp_path: Path) -> None:
    assert read_document(written(tmp_path, b"\xef\xbb\xbf{}", "a.json")) == {}


RUNS = [
    "a: !!python/object/apply:os.system ['touch {there}']",
    "a: !!python/object/new:os.system ['touch {there}']",
    "a: !!python/name:os.system",
    "a: !!python/module:os",
    "!!python/object/apply:subprocess.check_call [[touch, {there}]]",
    "a: !ruby/object:Gem::Installer\n  i: x",
]


@pytest.mark.parametrize("text", RUNS)
def test_a_file_that_would_run_something_is_refused(tmp_path: Path, text: str) -> None:
    there = tmp_path / "ran"
    path = written(tmp_path, text.replace("{there}", str(there)))
    with pytest.raises(FixtureError, match=r"tape\.yaml, line 1: .* only plain values are read"):
        read_document(path)
    assert not there.exists()


def test_without_the_fast_loader_the_slow_one_is_as_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert read_document(written(tmp_path, "a: [1, x]")) == {"a": [1, "x"]}
    with pytest.raises(FixtureError, match="only plain values are read"):
        read_document(written(tmp_path, RUNS[0]))


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", r"tape\.yaml, line 2 is not YAML: "),
        ("a: 1\nb: c: d", r"tape\.yaml, line 2 is not YAML: mapping values are not allowed"),
        (b"\x00", "is not YAML: unacceptable character"),
        ("[" * 100_000, "is not YAML: exceeded maximum nesting depth"),
        ("a: 2024-13-45", "is not YAML: month must be in"),
        ("a: !!int x", "is not YAML: invalid literal"),
        ("? [1]\n: 2", "found unhashable key"),
        ("--- {}\n--- {}", "line 2 is not YAML"),
        ("", "holds a NoneType; fixtures and cassettes are objects"),
        ("[1]", "holds a list; fixtures and cassettes are objects"),
        (BOMB, "stands for more than 1,000,000 values"),
        ("a: &a [*a]", "stands for more than 1,000,000 values"),
    ],
)
def test_a_file_that_is_none_is_told_in_one_sentence(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(FixtureError, match=says) as caught:
        read_document(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_json_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FixtureError, match=r"a\.json is not JSON: .*line 1 column"):
        read_document(written(tmp_path, "{", "a.json"))
    with pytest.raises(FixtureError, match=r"cannot read .*gone\.json: No such file"):
        read_document(tmp_path / "gone.json")


def test_the_most_values_that_a_file_may_have() -> None:
    check_size([0] * (MAX_VALUES - 1), "here")
    with pytest.raises(FixtureError, match="here stands for more than"):
        check_size([0] * MAX_VALUES, "here")


@pytest.mark.parametrize(
    ("document", "format"),
    [({"fixtures": []}, "aimock"), ({"interactions": []}, "vcr"), ({"http_interactions": []}, "vcr")],
)
def test_whose_a_file_is(document: dict[str, Any], format: str) -> None:
    assert format_of(document, Path("x.json")) == format


def test_nobodys_file_is_told_by_what_it_has() -> None:
    says = (
        r"x\.json has neither 'fixtures' \(aimock\) nor 'interactions' \(VCR\) at its top, but 'port', 'host'; name its"
    )
    with pytest.raises(FixtureError, match=says):
        format_of({"port": 1, "host": 2}, Path("x.json"))


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_no_bytes_raise_anything_else(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    for name in ("fuzz.yaml", "fuzz.json"):
        with suppress(FixtureError):
            assert isinstance(read_document(written(folder, data, name)), dict)
