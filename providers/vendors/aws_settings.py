"""The AWS region that a provider class finds for itself, without loading AWS's library for it.

A model's id depends on the region, so it must be known before anything is sent.
"""

from __future__ import annotations

import re
from configparser import Error as IniError
from configparser import RawConfigParser
from pathlib import Path
from typing import Final

from providers.errors import ConfigError
from providers.vendors.settings import environment

REGION_VARIABLES: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
_FILES: Final = (
    ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", ""),
    ("AWS_CONFIG_FILE", "~/.aws/config", "profile "),
)
"""Of each file: the variable that moves it, its place, and what stands before a profile's name in it."""

_REGION: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def is_region(text: str) -> bool:
    """Whether it has the form of a region: one word that can be part of an address."""
    return _REGION.fullmatch(text) is not None


def checked_region(region: str, *, source: str) -> str:
    """The region in lower case. Raises ConfigError, naming `source`, for what cannot be part of an address."""
    text = region.strip().lower()
    if not is_region(text):
        raise ConfigError(f"{source} is {region!r}; it must be a region such as us-east-1")
    return text


def region_of_environment(profile: str | None) -> str | None:
    """The region of the variables, else of the profile in AWS's own files; None where neither says any."""
    for variable in REGION_VARIABLES:
        region = environment(variable)
        if region is not None:
            return checked_region(region, source=variable)
    name = profile or environment("AWS_PROFILE") or environment("AWS_DEFAULT_PROFILE") or "default"
    for variable, place, prefix in _FILES:
        path = Path(environment(variable) or place).expanduser()
        region = _region_in(path, prefix + name) or (_region_in(path, name) if name == "default" else None)
        if region is not None:
            return checked_region(region, source=f"region of profile {name!r} in {path}")
    return None


def _region_in(path: Path, section: str) -> str | None:
    # What is wrong with these files is AWS's library to tell, when it reads them for the credentials.
    parser = RawConfigParser(default_section="")
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, IniError):
        return None
    return parser.get(section, "region", fallback="").strip() or None
