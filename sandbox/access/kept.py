"""The API keys of a server that runs: those of the settings file as it is now, so that one can be taken back."""

from __future__ import annotations

import logging
from pathlib import Path

from providers.errors import ConfigError
from sandbox.settings.serving import HashedKey, ServerSettings, hashed_key

logger = logging.getLogger(__name__)

_Seen = tuple[int, int, int]


class KeptKeys:
    """Where the file is not what says them, those of the settings for good: an environment does not change."""

    def __init__(self, settings: ServerSettings) -> None:
        self._keys = tuple(map(hashed_key, settings.keys))
        self._file = settings.keys_file
        self._seen: _Seen | str | None = "not yet"
        """The file as it was when it was last read; None: it was not there."""

    def now(self) -> tuple[HashedKey, ...]:
        """The keys at this moment. A file that cannot be read leaves those that were known before, and a warning."""
        if self._file is not None:
            # For each credential that somebody shows: two microseconds, against seconds for which a stolen key works.
            found: _Seen | str | None
            try:
                found = _looked_at(self._file)
            except OSError as error:
                # A folder on a network, for one, may be away for a while.
                found = f"cannot be read: {error.strerror or error}"
            if found != self._seen:
                self._seen = found
                self._read(self._file, found)
        return self._keys

    def _read(self, file: Path, found: _Seen | str | None) -> None:
        from sandbox.settings.sources import keys_in

        try:
            if isinstance(found, str):
                raise ConfigError(f"{file} {found}")
            self._keys = tuple(keys_in(file))
        except ConfigError as error:
            logger.warning("%s: the API keys that were known before still hold", error)


def _looked_at(file: Path) -> _Seen | None:
    """By what a change of the file is known. Raises OSError."""
    try:
        told = file.stat()
    except FileNotFoundError:
        return None
    return told.st_mtime_ns, told.st_size, told.st_ino
