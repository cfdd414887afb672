"""A scenario's text with the line of everything in it. Every complaint is a ScenarioError."""

from __future__ import annotations

from pathlib import Path

from providers.errors import ScenarioError
from sandbox.core import yaml_source
from sandbox.core.yaml_source import MAX_SIZE, Place, Source

__all__ = ["MAX_SIZE", "Place", "Source", "parse", "read", "read_text"]


def read(path: Path) -> Source:
    """The file's contents. Raises ScenarioError for a file that cannot be read, is no YAML or is too large."""
    return parse(read_text(path), path)


def read_text(path: Path) -> str:
    """The file's text. Raises ScenarioError."""
    return yaml_source.read_text(path, what="a scenario", complaint=ScenarioError)


def parse(text: str, path: Path) -> Source:
    """As `read`, from text that is at hand; `path` is only named."""
    return yaml_source.parse(text, path, complaint=ScenarioError)
