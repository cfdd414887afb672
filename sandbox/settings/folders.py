"""Where settings and data live: the platform's own folders, unless the environment names others."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

APP_NAME = "llm-failover-sandbox"
CONFIG_FILE = "config.toml"
CONFIG_DIR_VARIABLE = "SANDBOX_CONFIG_DIR"
DATA_DIR_VARIABLE = "SANDBOX_DATA_DIR"


def config_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of `config.toml`: `SANDBOX_CONFIG_DIR`, else the platform's folder for a user's configuration."""
    named = environ.get(CONFIG_DIR_VARIABLE)
    if named:
        return Path(named).expanduser()
    from platformdirs import user_config_path

    return user_config_path(APP_NAME, appauthor=False)


def default_config_file(environ: Mapping[str, str] = os.environ) -> Path:
    """The file that is read when none is named; it need not exist."""
    return config_dir(environ) / CONFIG_FILE


def default_data_dir() -> Path:
    """The platform's folder for a user's data; the setting `data_dir` replaces it."""
    from platformdirs import user_data_path

    return user_data_path(APP_NAME, appauthor=False)
