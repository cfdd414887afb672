"""The user's own recordings: which file a new one belongs in, so that a repeated request does not fill the disk.

A request's newest answer takes the place of the last one. A failure is kept beside the answer, as the reply to that
turn of the run (`sequence`): replayed, the request fails as often as it did and then is answered. Whatever is newer for
the same turn takes its place. Files written by hand are left alone.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

from providers.errors import FixtureError
from providers.exchange.canonical import canonical, key
from providers.exchange.format import Exchange, load
from providers.exchange.library import packaged_folder
from providers.exchange.store import save

MAX_TURNS: Final = 20
"""Failures of one request beyond this many turns of a run are not kept."""


class _File(NamedTuple):
    stamp: tuple[int, int]
    """When it was written (ns) and its bytes."""
    request: bytes
    """Empty for a file that no recording takes the place of."""
    sequence: int | None


class Recordings:
    """A folder of exchanges that grows. One instance counts the turns of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._turns: dict[bytes, int] = {}
        self._files: dict[Path, _File] = {}

    def keep(self, exchange: Exchange, *, case: str | None = None) -> Path:
        """Write a redacted exchange; returns its file.

        `case` names the file; a file of that name must be a recording of the same request, or there must be none.
        Raises FixtureError, also for a failure of a request that has failed `MAX_TURNS` times.
        """
        if self.folder.resolve() == packaged_folder():
            raise FixtureError(f"{self.folder} is the packaged library; recordings go to a folder of their own")
        request = _request(exchange)
        turn = self._turns[request] = self._turns.get(request, 0) + 1
        if failed(exchange):
            if turn > MAX_TURNS:
                raise FixtureError(
                    f"a request to {exchange.provider} was asked more than {MAX_TURNS} times; its further failures "
                    "are not kept"
                )
            exchange = replace(exchange, sequence=turn)
        shelf = self.folder / exchange.provider
        try:
            return self._put(exchange, shelf, request, turn, case)
        except OSError as error:
            raise FixtureError(f"cannot write a fixture to {shelf}: {error.strerror}") from None

    def _put(self, exchange: Exchange, shelf: Path, request: bytes, turn: int, case: str | None) -> Path:
        """Write it, and take away what it takes the place of."""
        old = {path: file for path, file in self._look(shelf).items() if _gives_way(file, request, exchange, turn)}
        if case is not None:
            if shelf / f"{case}.json" not in old:
                self._check_free(shelf, case)
        else:
            # A name tells what kind of exchange the file holds, so that an answer takes no failure's.
            case = next((path.stem for path, file in old.items() if file.sequence == exchange.sequence), None)
        path = save(exchange, self.folder, case=case)
        for other in old:
            if other != path:
                other.unlink(missing_ok=True)
        return path

    def _check_free(self, shelf: Path, case: str) -> None:
        for folder, whose in ((shelf, "already"), (packaged_folder() / shelf.name, "in the packaged library")):
            if (folder / f"{case}.json").exists():
                raise FixtureError(f"there is {whose} a fixture {shelf.name}/{case}; choose another name")

    def _look(self, shelf: Path) -> dict[Path, _File]:
        """The files of a provider as they are now: another process may write there too."""
        found: dict[Path, _File] = {}
        for path in sorted(shelf.glob("*.json")) if shelf.is_dir() else ():
            try:
                status = path.stat()
            except OSError:
                continue
            stamp = status.st_mtime_ns, status.st_size
            known = self._files.get(path)
            found[path] = known if known is not None and known.stamp == stamp else _read(path, stamp)
        self._files = {path: file for path, file in self._files.items() if path.parent != shelf} | found
        return found


def failed(exchange: Exchange) -> bool:
    """Whether what was recorded is a failure and not an answer."""
    return exchange.response is None or exchange.response.status >= 400 or exchange.error is not None


def _request(exchange: Exchange) -> bytes:
    """A short word for the request, the same for all spellings of it."""
    text = key(canonical(exchange.request.body, exchange.api, exchange.request.path))
    return blake2b(b"\0".join((exchange.provider.encode(), exchange.api.encode(), text)), digest_size=16).digest()


def _read(path: Path, stamp: tuple[int, int]) -> _File:
    try:
        exchange = load(path)
    except FixtureError:
        return _File(stamp, b"", None)
    own = exchange.recorded_from != "authored" and exchange.match == "exact" and not exchange.ignore
    # An answer with a turn of its own was given it by hand.
    own = own and (exchange.sequence is None or failed(exchange))
    return _File(stamp, _request(exchange) if own else b"", exchange.sequence)


def _gives_way(file: _File, request: bytes, exchange: Exchange, turn: int) -> bool:
    if file.request != request:
        return False
    return file.sequence == turn or (file.sequence is None and exchange.sequence is None)
