"""The JSON Schema of scenario files, for editors: the document's own shapes and the faults' vocabulary."""

from __future__ import annotations

from typing import Any, Final

from providers.faults import idle_keys, takes
from sandbox.scenarios.schema import TIME_SCHEMA, Document

_TIMES: Final = frozenset({"retry_after", "per", "for", "add", "after"})


def json_schema() -> dict[str, Any]:
    """Draft 2020-12."""
    body = Document.model_json_schema(by_alias=True)
    body["properties"]["faults"] = {
        "type": "array",
        "items": {"oneOf": [_fault(kind, names) for kind, names in takes().items()]},
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **body, "title": "Scenario"}


def _fault(kind: str, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "provider": {"type": "string", "minLength": 1},
            "from": TIME_SCHEMA,
            "to": TIME_SCHEMA,
            "kind": {"const": kind},
            **{name: _value(name) | _told(kind, name) for name in names},
        },
        "required": ["provider", "kind"],
        "additionalProperties": False,
    }


def _told(kind: str, name: str) -> dict[str, Any]:
    """Editors strike out what is deprecated, and say why."""
    sentence = idle_keys({"kind": kind, name: None}).get(name)
    return {} if sentence is None else {"deprecated": True, "description": sentence}


def _value(name: str) -> dict[str, Any]:
    """A number, a duration, or a ramp from one to another over the fault's window."""
    if name == "content_type":
        return {"type": "string"}
    one: dict[str, Any] = TIME_SCHEMA if name in _TIMES else {"type": "number", "minimum": 0}
    ramp = {
        "type": "object",
        "properties": {"from": one, "to": one},
        "required": ["from", "to"],
        "additionalProperties": False,
    }
    return {"anyOf": [one, ramp]}
