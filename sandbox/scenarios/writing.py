"""Scenarios as text: the form in which the library's own are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def to_yaml(data: Mapping[str, Any]) -> str:
    """A scenario's data as YAML: its keys one a line, each provider, stream, fault and expectation on a line too."""
    return "".join(_lines(data))


def _lines(data: Mapping[str, Any]) -> Iterator[str]:
    for key, value in data.items():
        if isinstance(value, list) and value:
            yield f"{key}:\n"
            for one in value:
                yield f"  - {_flow(one)}\n"
        else:
            yield f"{key}: {_flow(value)}\n"


def _flow(value: Any) -> str:
    import yaml

    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=float("inf"))
    # A plain value by itself is a document, which ends in three dots.
    return text.removesuffix("\n").removesuffix("\n...")


def in_seconds(at_us: int) -> str:
    """A time as scenarios write it, exact to the microsecond: `92.05s`."""
    whole, rest = divmod(at_us, 1_000_000)
    fraction = f"{rest:06d}".rstrip("0")
    return f"{whole}.{fraction}s" if fraction else f"{whole}s"
