"""A plausible value for a JSON Schema: what a simulated provider puts into tool arguments and structured answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from re import _parser as sre  # type: ignore[attr-defined]
from typing import Any

MAX_DEPTH = 5
"""Levels of nesting; below them optional parts are left out, so that recursive schemas end."""
HARD_DEPTH = 40
"""A schema that requires itself has no finite value; here it gets null."""
MAX_NODES = 2_000
"""Values in one answer, the small ones too: one that requires itself several times over doubles with every level."""
MAX_REPEATED = 10_000
"""Characters that a length or a pattern can ask for."""
MAX_NUMBER = 1e300
"""Bounds beyond it are passed over: reckoning with them would leave the range of floats."""
MAX_ITEMS = 50
"""A schema that demands more items than this gets this many: an answer should not fill the memory."""

_FORMATS = {
    "date": "2025-01-01",
    "time": "12:00:00Z",
    "date-time": "2025-01-01T12:00:00Z",
    "duration": "PT1H",
    "email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "0f8fad5b-d9cb-469f-a165-70867728950e",
}

Words = Callable[[str], str]
"""Text for a string property, by the property's name."""
Numbers = Callable[[str], float | None]
"""A number for a numeric property, by its name; None: no opinion."""


class Sampler:
    """Writes values for one schema; `text` and `number` supply what the values talk about, `prompt` decides choices."""

    def __init__(self, schema: Mapping[str, Any], text: Words, number: Numbers, prompt: str = "") -> None:
        self._root = schema
        self._text = text
        self._number = number
        self._prompt = prompt.lower()
        self._left = MAX_NODES

    def value(self) -> Any:
        self._left = MAX_NODES
        return self._value(self._root, "value", 0)

    def _value(self, schema: Any, name: str, depth: int) -> Any:
        self._left -= 1
        if depth > HARD_DEPTH or self._left < 0:
            return None
        if not isinstance(schema, Mapping):
            return self._text(name)
        schema = self._resolved(schema, depth)
        if "const" in schema:
            return schema["const"]
        choices = schema.get("enum")
        if isinstance(choices, Sequence) and choices:
            return self._choice(choices)
        kind = self._kind(schema, depth)
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer" | "number":
                return self._numeric(schema, name, whole=kind == "integer")
            case "boolean":
                return True
            case "null":
                return None
        return self._string(schema, name)

    def _resolved(self, schema: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
        """The schema with its references followed, its parts merged and one of its alternatives chosen."""
        for _ in range(HARD_DEPTH):
            reference = schema.get("$ref")
            alternatives = _schemas(schema.get("anyOf") or schema.get("oneOf"))
            parts = _schemas(schema.get("allOf"))
            if isinstance(reference, str):
                rest = {k: v for k, v in schema.items() if k != "$ref"}
                schema = {**self._lookup(reference), **rest}
            elif alternatives:
                chosen = alternatives[0]
                if depth >= MAX_DEPTH:
                    chosen = min(alternatives, key=_nests)
                schema = _merged(schema, chosen, without=("anyOf", "oneOf"))
            elif parts:
                schema = {k: v for k, v in schema.items() if k != "allOf"}
                for part in parts:
                    known = part.get("$ref")
                    schema = _merged(schema, self._lookup(known) if isinstance(known, str) else part)
            else:
                break
        return schema

    def _lookup(self, reference: str) -> Mapping[str, Any]:
        found: Any = self._root
        for step in reference.lstrip("#").strip("/").split("/"):
            if step:
                found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    def _kind(self, schema: Mapping[str, Any], depth: int) -> str:
        kind = schema.get("type")
        if isinstance(kind, str):
            return kind
        if isinstance(kind, Sequence) and kind:
            if depth >= MAX_DEPTH and "null" in kind:
                return "null"
            return str(next((each for each in kind if each != "null"), "null"))
        if "properties" in schema:
            return "object"
        if "items" in schema or "prefixItems" in schema:
            return "array"
        if "minimum" in schema or "maximum" in schema or "multipleOf" in schema:
            return "number"
        return "string"

    def _choice(self, choices: Sequence[Any]) -> Any:
        """The choice that the prompt names, else the first."""
        named = (each for each in choices if isinstance(each, str) and each and each.lower() in self._prompt)
        return next(named, choices[0])

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = _mapping(schema.get("properties"))
        required = dict.fromkeys(each for each in _sequence(schema.get("required")) if isinstance(each, str))
        wanted = properties if depth < MAX_DEPTH else [name for name in properties if name in required]
        result: dict[str, Any] = {}
        for name in wanted:
            if self._left <= 0:
                break
            result[name] = self._value(properties[name], name, depth + 1)
        for name in required:
            if self._left <= 0:
                break
            if name not in result:
                result[name] = self._value(True, name, depth)
        return result

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        first = [self._value(each, name, depth + 1) for each in _sequence(schema.get("prefixItems"))]
        least, most = _count(schema.get("minItems"), 0), _count(schema.get("maxItems"), MAX_ITEMS)
        usual = 2 if depth < 2 else 1 if depth < MAX_DEPTH else 0
        count = min(max(least, min(usual, most)), MAX_ITEMS)
        items = schema.get("items", {})
        result = first[:most]
        if items is not False:
            result += [self._value(items, name, depth + 1) for _ in range(count - len(result))]
        return _unique(result) if schema.get("uniqueItems") else result

    def _numeric(self, schema: Mapping[str, Any], name: str, *, whole: bool) -> int | float:
        low, high = _real(schema.get("minimum")), _real(schema.get("maximum"))
        above, below = _real(schema.get("exclusiveMinimum")), _real(schema.get("exclusiveMaximum"))
        step = 1 if whole else 0.5
        if above is not None:
            low = max(low, above + step) if low is not None else above + step
        if below is not None:
            high = min(high, below - step) if high is not None else below - step
            if low is not None and high < low:
                # Too narrow for whole steps: the middle of the open interval.
                low = high = ((above if above is not None else low) + below) / 2
        said = _real(self._number(name))
        number: float = said if said is not None else (low if low is not None else 1)
        if low is not None:
            number = max(number, low)
        if high is not None:
            number = min(number, high)
        multiple = _real(schema.get("multipleOf"))
        # Of a step so small that a float cannot count it, every number is as good as a multiple.
        if multiple is not None and multiple > 0 and abs(number) / MAX_NUMBER < multiple:
            number = round(number / multiple) * multiple
            if low is not None and number < low:
                number += multiple
            if high is not None and number > high:
                number -= multiple
        if whole:
            number = int(number) if low is None or int(number) >= low else int(number) + 1
        return int(number) if float(number).is_integer() else number

    def _string(self, schema: Mapping[str, Any], name: str) -> str:
        pattern = schema.get("pattern")
        if isinstance(pattern, str):
            sample = matching(pattern)
            if sample is not None:
                return sample
        text = _FORMATS.get(str(schema.get("format")), "") or self._text(name)
        least, most = _count(schema.get("minLength"), 0), _count(schema.get("maxLength"), None)
        if len(text) < least:
            text = (text + " " if text else "…") * (min(least, MAX_REPEATED) // (len(text) + 1) + 1)
            text = text[: max(least, 1)]
        return text[:most]


def _schemas(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in _sequence(value) if isinstance(each, Mapping)]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()


def _real(value: Any) -> int | float | None:
    """A bound that can be reckoned with, or None. Raises TypeError for what is no number."""
    if value is None or isinstance(value, bool):
        return None
    if not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is not a number")
    return value if -MAX_NUMBER <= value <= MAX_NUMBER else None


def _count(value: Any, default: int | None) -> Any:
    known = _real(value)
    return default if known is None or known < 0 else int(known)


def _nests(schema: Mapping[str, Any]) -> bool:
    return "$ref" in schema or schema.get("type") in ("object", "array")


def _merged(schema: Mapping[str, Any], part: Mapping[str, Any], without: Sequence[str] = ()) -> dict[str, Any]:
    result = {k: v for k, v in schema.items() if k not in without}
    for key, value in part.items():
        if key == "properties":
            result[key] = {**_mapping(result.get(key)), **_mapping(value)}
        elif key == "required":
            result[key] = [*_sequence(result.get(key)), *_sequence(value)]
        else:
            result[key] = value
    return result


def _unique(items: list[Any]) -> list[Any]:
    """The items made different where a suffix or an increment can do it."""
    result: list[Any] = []
    for item in items:
        for _ in items:
            if item not in result:
                break
            if isinstance(item, str):
                item += f" {len(result) + 1}"
            elif isinstance(item, (int, float)) and not isinstance(item, bool):
                item += 1
            else:
                break
        if item not in result:
            result.append(item)
    return result


def matching(pattern: str) -> str | None:
    """A short string that a regular expression matches, or None where none was found."""
    try:
        sample = "".join(_sampled(sre.parse(pattern)))
        return sample if re.search(pattern, sample) else None
    except (re.error, NotImplementedError, RecursionError, OverflowError):
        return None


def _sampled(parsed: Any) -> list[str]:
    return [_sample(operator, argument) for operator, argument in parsed]


_CATEGORIES = {"CATEGORY_DIGIT": "7", "CATEGORY_WORD": "a", "CATEGORY_SPACE": " ", "CATEGORY_NOT_DIGIT": "x"}


def _covers(member: tuple[Any, Any], character: str) -> bool:
    """Whether one member of a character class stands for the character."""
    operator, argument = member
    match str(operator):
        case "LITERAL":
            return bool(argument == ord(character))
        case "RANGE":
            return bool(argument[0] <= ord(character) <= argument[1])
        case "CATEGORY":
            letter = str(argument).removeprefix("CATEGORY_").removeprefix("NOT_")[0].lower()
            return (re.match(f"\\{letter}", character) is not None) is not str(argument).startswith("CATEGORY_NOT_")
    return True


def _sample(operator: Any, argument: Any) -> str:
    match str(operator):
        case "LITERAL":
            return chr(argument)
        case "ANY":
            return "x"
        case "AT" | "ASSERT" | "ASSERT_NOT":
            return ""
        case "CATEGORY":
            return _CATEGORIES.get(str(argument), "-")
        case "NOT_LITERAL":
            return "x" if argument != ord("x") else "y"
        case "IN":
            if str(argument[0][0]) == "NEGATE":
                return next((c for c in "xX7-_ .é§" if not any(_covers(each, c) for each in argument[1:])), "\0")
            return _sample(*argument[0])
        case "RANGE":
            return chr(argument[0])
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, most, inner = argument
            usual = max(int(least), min(int(most), 1))
            once = "".join(_sampled(inner))
            return once * min(usual, MAX_REPEATED // max(len(once), 1))
        case "SUBPATTERN":
            return "".join(_sampled(argument[-1]))
        case "ATOMIC_GROUP":
            return "".join(_sampled(argument))
        case "BRANCH":
            return "".join(_sampled(argument[1][0]))
    raise NotImplementedError(operator)
