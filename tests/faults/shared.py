"""The settings of a program whose every shared part is on Redis."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from sandbox.settings.model import Settings


def settings_of(folder: Path, table: str, url: str, redis: str) -> Settings:
    """By each of them, in whichever process, the same parts are used."""
    return Settings.model_validate(
        {
            "data_dir": folder,
            "chain": ["openai"],
            "backend": "aws",
            "budget_limit": Decimal(1000),
            "aws": {"region": "eu-north-1"},
            "cache": {"endpoint_url": redis},
            "shared": {"state": "redis"},
            "usage": {"endpoint_url": url, "table": table},
        }
    )
