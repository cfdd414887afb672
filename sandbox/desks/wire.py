"""What works tell as JSON, and back: for a screen that is attached to the gateway from elsewhere.

Money is text, exact to the last digit; an event is a line of a trace. Reading checks everything: whoever answers may be
another version. pydantic, which that takes, is loaded by the first answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from functools import cache
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from providers.errors import InputError
from sandbox.core.events import Event
from sandbox.core.trace import decode, encode

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")


def written(value: Any) -> bytes:
    """Dataclasses and named tuples as objects."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def read(kind: type[T], data: bytes) -> T:
    """What `written` made of one of that kind. Raises InputError for anything else."""
    from pydantic import ValidationError

    try:
        return _reader(kind).validate_json(data)  # type: ignore[no-any-return, arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(map(str, first["loc"])) or "all of it"
        raise InputError(f"this is no {kind.__name__}, at {field}: {first['msg'].lower()}") from None


@cache
def _reader(kind: type[Any]) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Event):
        return orjson.Fragment(encode(value))
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, PathLike):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


class AnyEvent:
    """Marks a field that may hold events of several kinds: they are told apart by their names."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(_event)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "object", "properties": {"event": {"type": "string"}}, "required": ["event"]}


def _event(value: Any) -> Event:
    try:
        return decode(orjson.dumps(value))
    except InputError as error:
        raise ValueError(str(error)) from None
