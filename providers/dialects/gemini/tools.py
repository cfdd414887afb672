"""Function declarations, how they may be called, and Google's dialect of JSON Schema, against the common forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from providers.dialects import forms
from providers.dialects.gemini.spelling import camel, camel_field, listed
from providers.errors import InvalidRequestError
from providers.types import MAX_NESTING

_MODES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY", "function": "ANY"}
_CHOICES: Final = {"AUTO": "auto", "NONE": "none", "ANY": "required", "VALIDATED": "auto"}
_COUNTS: Final = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
"""Keywords that Google's JSON may carry as text, being 64-bit integers there."""


# --- out ------------------------------------------------------------------------------------------------------------


def write_tools(tools: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """All functions in one declaration list, then Google's own tools as they came."""
    functions: list[dict[str, Any]] = []
    others: list[Mapping[str, Any]] = []
    for tool in tools:
        view = forms.tool_view(tool)
        if view is None:
            others.append(tool)
            continue
        declared: dict[str, Any] = {"name": view.name}
        if view.description is not None:
            declared["description"] = view.description
        if view.parameters:
            declared["parametersJsonSchema"] = view.parameters
        functions.append(declared)
    return [{"functionDeclarations": functions}, *others] if functions else others


def calling_config(choice: str | Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The `toolConfig` of a tool choice. Raises InvalidRequestError for a choice that is none."""
    mode, name = forms.chosen_tool(choice)
    if mode is None:
        return None
    config: dict[str, Any] = {"mode": _MODES[mode]}
    if name is not None:
        config["allowedFunctionNames"] = [name]
    return {"functionCallingConfig": config}


# --- in -------------------------------------------------------------------------------------------------------------


def read_tools(tools: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The declared functions in the common form; any other tool as it came, for Google alone can run it."""
    read: list[Mapping[str, Any]] = []
    for raw in tools:
        tool = camel(raw)
        read += [_read_function(camel(function)) for function in listed(tool, "functionDeclarations")]
        others = {k: v for k, v in tool.items() if k != "functionDeclarations"}
        if others:
            read.append(others)
    return read


def _read_function(declared: Mapping[str, Any]) -> dict[str, Any]:
    name = forms.text_field(declared, "name")
    if not name:
        raise InvalidRequestError("a function declaration has no name")
    function: dict[str, Any] = {"name": name}
    if declared.get("description") is not None:
        function["description"] = forms.text_field(declared, "description")
    parameters = forms.object_field(declared, "parametersJsonSchema")
    if not parameters:
        parameters = json_schema_of(forms.object_field(declared, "parameters"))
    if parameters:
        function["parameters"] = parameters
    return {"type": "function", "function": function}


def read_calling(config: Mapping[str, Any]) -> tuple[str | Mapping[str, Any] | None, dict[str, Any] | None]:
    """The tool choice, and the whole `toolConfig` where it says more than a choice can."""
    if not config:
        return None, None
    calling = camel_field(config, "functionCallingConfig")
    mode = (forms.text_field(calling, "mode") or "").upper().removeprefix("MODE_")
    names = calling.get("allowedFunctionNames") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidRequestError("allowedFunctionNames must be a list of strings")
    if mode not in (*_CHOICES, "", "UNSPECIFIED"):
        raise InvalidRequestError(f"functionCallingConfig.mode is {mode[:60]!r}; use AUTO, ANY, NONE or VALIDATED")
    choice: str | Mapping[str, Any] | None = _CHOICES.get(mode)
    if mode == "ANY" and len(names) == 1:
        choice, names = forms.named_tool(names[0]), []
    more = names or mode == "VALIDATED" or config.keys() - {"functionCallingConfig"}
    return choice, dict(config) if more else None


def json_schema_of(schema: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """A schema in Google's form of OpenAPI (`type: STRING`, `nullable`) as plain JSON Schema."""
    if depth > MAX_NESTING:
        # The check of the whole request refuses it, with its place.
        return dict(schema)
    plain: dict[str, Any] = {}
    for key, value in camel(schema).items():
        if key == "type" and isinstance(value, str):
            if value != "TYPE_UNSPECIFIED":
                plain["type"] = value.lower()
        elif key in ("properties", "$defs", "defs") and isinstance(value, dict):
            plain[key] = {name: _deeper(inner, depth) for name, inner in value.items()}
        elif key in ("items", "additionalProperties"):
            plain[key] = _deeper(value, depth)
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
            plain[key] = [_deeper(inner, depth) for inner in value]
        elif key in _COUNTS and isinstance(value, str) and value.isdecimal() and len(value) < 20:
            plain[key] = int(value)
        elif key != "nullable":
            plain[key] = value
    if schema.get("nullable") is True and isinstance(plain.get("type"), str):
        plain["type"] = [plain["type"], "null"]
    return plain


def _deeper(value: Any, depth: int) -> Any:
    return json_schema_of(value, depth + 1) if isinstance(value, dict) else value
