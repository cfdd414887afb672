"""One typed model of everything a user can set, with where each value came from.

`load()` merges defaults, the TOML file, `.env`, the environment and flags; the later source wins. Names are exported
lazily, so that asking for a folder does not import pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.settings.folders import config_dir, default_config_file, default_data_dir
    from sandbox.settings.loading import Loaded, load
    from sandbox.settings.model import PROVIDER_IDS, ProviderSettings, Settings
    from sandbox.settings.sources import Origin

_EXPORTS = {
    "Loaded": "sandbox.settings.loading",
    "Origin": "sandbox.settings.sources",
    "PROVIDER_IDS": "sandbox.settings.model",
    "ProviderSettings": "sandbox.settings.model",
    "Settings": "sandbox.settings.model",
    "config_dir": "sandbox.settings.folders",
    "default_config_file": "sandbox.settings.folders",
    "default_data_dir": "sandbox.settings.folders",
    "load": "sandbox.settings.loading",
}

__all__ = [
    "PROVIDER_IDS",
    "Loaded",
    "Origin",
    "ProviderSettings",
    "Settings",
    "config_dir",
    "default_config_file",
    "default_data_dir",
    "load",
]


def __getattr__(name: str) -> Any:
    module = _EXPORTS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return __all__
