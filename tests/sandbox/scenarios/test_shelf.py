"""The scenarios to choose from: built-in and own ones, broken ones with their sentence, saved ones whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.errors import ScenarioError
from sandbox.scenarios.builtin import find, names, scenario
from sandbox.scenarios.loader import Scenario, load
from sandbox.scenarios.provoking import renamed, text_of
from sandbox.scenarios.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def text(name: str = "mine") -> str:
    return text_of(renamed(scenario("one-500"), name))


def test_without_a_folder_there_are_the_built_in_ones(shelf: Shelf) -> None:
    assert [one.key for one in shelf.all()] == names()
    assert all(one.scenario is not None and not one.own for one in shelf.all())


def test_a_saved_one_is_listed_found_and_the_same(shelf: Shelf, tmp_path: Path) -> None:
    saved = shelf.save(text())
    assert saved.path == tmp_path / "scenarios" / "mine.yaml"
    assert (saved.key, saved.name, saved.own) == ("own/mine", "mine", True)
    assert saved.path.read_text() == text()
    assert [one.key for one in shelf.all()][-1] == "own/mine"
    assert shelf.find("own/mine") == saved
    assert shelf.find("mine") is None
    assert sorted(path.name for path in saved.path.parent.iterdir()) == ["mine.yaml"]


def test_one_may_be_called_as_a_built_in_one(shelf: Shelf) -> None:
    shelf.save(text("one-500"))
    built, own = shelf.find("one-500"), shelf.find("own/one-500")
    assert built is not None
    assert own is not None
    assert built.path != own.path


def test_a_name_as_people_type_it_has_its_file(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "one-500"):
        shelf.save(text(name))
    own = shelf.path_of("mine")
    assert shelf.place("mine") == shelf.place("own/mine") == own
    assert shelf.place("one-500") == find("one-500")
    assert shelf.place("own/one-500") == shelf.path_of("one-500")
    assert shelf.place("mine.yaml") == Path("mine.yaml")
    assert shelf.place("own/mine.yaml") == Path("own/mine.yaml")
    assert (shelf.shadowed("one-500"), shelf.shadowed("flapping")) == ("own/one-500", None)
    with pytest.raises(ScenarioError, match="there is no scenario 'own/min': did you mean 'own/mine'"):
        shelf.place("own/min")


def test_what_is_wrong_is_not_saved(shelf: Shelf, tmp_path: Path) -> None:
    shelf.save(text())
    with pytest.raises(ScenarioError, match=r"scenario\.yaml:4: sed is no key of a scenario; did you mean 'seed'"):
        shelf.save(text().replace("seed:", "sed:"))
    assert shelf.path_of("mine").read_text() == text()


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "scenarios").write_text("a file")
    with pytest.raises(ScenarioError, match=r"cannot write .*mine\.yaml"):
        Shelf(tmp_path).save(text())
    assert len(Shelf(tmp_path).all()) == len(names())


def test_a_broken_file_has_its_sentence(shelf: Shelf) -> None:
    shelf.save(text())
    shelf.path_of("bad").write_text("version: 1\nname: bad\nduration: -3\n")
    shelf.path_of("worse").write_bytes(b"\xff\xfe")
    shelf.path_of("notes").with_suffix(".txt").write_text("not a scenario")
    own = {one.name: one for one in shelf.all() if one.own}
    assert sorted(own) == ["bad", "mine", "worse"]
    assert own["bad"].scenario is None
    assert own["bad"].problem is not None
    assert "bad.yaml:3: duration is -3" in own["bad"].problem
    assert "not UTF-8" in (own["worse"].problem or "")


def test_a_file_is_read_again_when_it_was_written(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[Path] = []

    def counted(path: Path) -> Scenario:
        loads.append(path)
        return load(path)

    monkeypatch.setattr("sandbox.scenarios.shelf.load", counted)
    shelf.save(text())
    shelf.all()
    first = len(loads)
    shelf.all()
    assert len(loads) == first
    shelf.path_of("mine").write_text(text().replace("seed:", "sed:"))
    found = shelf.find("own/mine")
    assert found is not None
    assert found.problem is not None
    assert len(loads) == first + 1


def test_a_free_name(shelf: Shelf) -> None:
    assert shelf.free_name("new") == "new"
    assert shelf.free_name("one-500") == "one-501"
    assert shelf.free_name("flapping") == "flapping-2"
    shelf.save(text("flapping-2"))
    assert shelf.free_name("flapping") == "flapping-3"
    assert shelf.free_name("flapping-2") == "flapping-3"
    assert len(shelf.free_name("a" * 64)) <= 64


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("brownout", {"bedrock-brownout", "brownout", "own/mine"}),
        ("BEDROCK two minutes", {"bedrock-brownout"}),
        ("happyos", {"bedrock-brownout", "failover-accounting"}),
        ("own", {"own/mine"}),
        ("nothing-like-this", set()),
    ],
)
def test_words_find_by_name_text_provider_and_preset(shelf: Shelf, words: str, found: set[str]) -> None:
    shelf.save(text().replace("description: ", "description: my brownout, "))
    hits = {one.key for one in shelf.all() if one.holds(words)}
    if words in ("own", "brownout"):
        assert found <= hits
    else:
        assert hits == found
