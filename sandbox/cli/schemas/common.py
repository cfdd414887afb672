"""What the shapes have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

STRICT = ConfigDict(extra="forbid")

Dollars = Annotated[str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="USD as a decimal string.")]
Milliseconds = Annotated[float, Field(ge=0, description="Milliseconds.")]
Tokens = Annotated[int, Field(ge=0)]
Mode = Literal["mock", "replay", "record", "live"]
Timestamp = Annotated[str, Field(description="ISO 8601, UTC.")]
