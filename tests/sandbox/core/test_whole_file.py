"""Files that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.errors import InputError
from sandbox.core.whole_file import whole_file


def test_a_file_has_its_name_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with whole_file(path, overwrite=False) as file:
        file.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_breaks_off_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "out.csv"
    path.write_bytes(b"old")
    with pytest.raises(error), whole_file(path, overwrite=True) as file:
        file.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["out.csv"]


def test_a_file_that_is_there_stays_and_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_bytes(b"old")
    with (
        pytest.raises(InputError, match=r"--export .*out.csv: there is such a file; name another one, or try harder"),
        whole_file(path, overwrite=False, option="--export", otherwise=", or try harder"),
    ):
        raise AssertionError("it must not come to this")
    assert path.read_bytes() == b"old"


def test_a_name_that_another_takes_meanwhile_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with pytest.raises(InputError, match="somebody else"), whole_file(path, overwrite=False) as file:
        file.write(b"mine")
        path.write_bytes(b"theirs")
    assert path.read_bytes() == b"theirs"
    assert [one.name for one in tmp_path.iterdir()] == ["out.csv"]


def test_the_file_behind_a_link_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    with whole_file(link, overwrite=True) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o640


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path, words in ((tmp_path, "that is a folder"), (Path("/dev/null"), "no ordinary file")):
        with pytest.raises(InputError, match=words), whole_file(path, overwrite=True):
            raise AssertionError("it must not come to this")
