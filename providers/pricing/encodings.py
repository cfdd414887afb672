"""OpenAI's two tokenizers, built from rank files that are shipped here, so that nothing is ever downloaded.

tiktoken's own registry fetches the same files over the network; only its Encoding class is used. Loading takes some
tenths of a second and 100 MB, so it happens at the first count, once, under a lock.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from providers.errors import ConfigError

if TYPE_CHECKING:
    from tiktoken import Encoding

EncodingName = Literal["cl100k_base", "o200k_base"]

RANKS: Final = Path(__file__).with_name("ranks")


class _Source(NamedTuple):
    sha256: str
    """Of the uncompressed rank file, as OpenAI publishes it."""
    pattern: str
    """How text is split before merging; from tiktoken's definition of the encoding."""


_SUFFIX: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_SOURCES: Final[dict[EncodingName, _Source]] = {
    "cl100k_base": _Source(
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
        r"|\s+(?!\S)|\s",
    ),
    "o200k_base": _Source(
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + _SUFFIX + "|"
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + _SUFFIX + "|"
        r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
}

_lock = Lock()
_loaded: dict[EncodingName, Encoding] = {}


def encoding(name: EncodingName) -> Encoding:
    """The encoding, loaded when first asked for. Raises ConfigError for a missing or damaged rank file."""
    known = _loaded.get(name)
    if known is None:
        with _lock:
            known = _loaded.get(name)
            if known is None:
                known = _loaded[name] = _load(name, RANKS / f"{name}.tiktoken.gz")
    return known


def _load(name: EncodingName, path: Path) -> Encoding:
    import gzip
    import hashlib
    import zlib
    from base64 import b64decode

    from tiktoken import Encoding

    source = _SOURCES[name]
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"the token ranks {path} cannot be read ({error}); install the package again") from None
    if hashlib.sha256(data).hexdigest() != source.sha256:
        raise ConfigError(f"the token ranks {path} are damaged (wrong sha256); install the package again")
    fields = data.split()
    ranks = dict(zip(map(b64decode, fields[::2]), map(int, fields[1::2]), strict=True))
    return Encoding(name, pat_str=source.pattern, mergeable_ranks=ranks, special_tokens={})
