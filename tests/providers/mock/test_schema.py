"""Values for JSON Schemas, checked by a validator written here for the part of the standard that is promised."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.mock.schema import MAX_NODES, Sampler, matching


def sample(schema: dict[str, Any], *, prompt: str = "", number: float | None = None) -> Any:
    return Sampler(schema, lambda name: "circuit breakers", lambda name: number, prompt).value()


def problems(schema: Any, value: Any, root: Any = None, path: str = "$") -> list[str]:
    """Where a value breaks its schema."""
    root = schema if root is None else root
    if schema is True or schema == {}:
        return []
    if "$ref" in schema:
        target = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return problems(target, value, root, path)
    found: list[str] = []
    kinds = schema.get("type", [])
    names = [kinds] if isinstance(kinds, str) else kinds
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    right = {
        "object": isinstance(value, dict),
        "array": isinstance(value, list),
        "string": isinstance(value, str),
        "integer": is_number and float(value).is_integer(),
        "number": is_number,
        "boolean": isinstance(value, bool),
        "null": value is None,
    }
    if names and not any(right[name] for name in names):
        found.append(f"{path}: {value!r} is not {kinds}")
    if "const" in schema and value != schema["const"]:
        found.append(f"{path}: not the constant")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{path}: not a choice")
    if is_number:
        if value < schema.get("minimum", value) or value > schema.get("maximum", value):
            found.append(f"{path}: {value} is out of range")
        if not schema.get("exclusiveMinimum", value - 1) < value < schema.get("exclusiveMaximum", value + 1):
            found.append(f"{path}: {value} is at an open end")
        if "multipleOf" in schema and abs(value / schema["multipleOf"] - round(value / schema["multipleOf"])) > 1e-9:
            found.append(f"{path}: {value} is no multiple")
    if isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
            found.append(f"{path}: wrong length {len(value)}")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            found.append(f"{path}: {value!r} does not match")
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            found.append(f"{path}: {len(value)} items")
        if schema.get("uniqueItems") and len({repr(item) for item in value}) != len(value):
            found.append(f"{path}: not unique")
        for index, item in enumerate(value):
            found += problems(schema.get("items", True), item, root, f"{path}[{index}]")
    if isinstance(value, dict):
        found += [f"{path}: {name} is missing" for name in schema.get("required", ()) if name not in value]
        for name, item in value.items():
            if name in schema.get("properties", {}):
                found += problems(schema["properties"][name], item, root, f"{path}.{name}")
            elif schema.get("additionalProperties") is False:
                found.append(f"{path}: {name} is not allowed")
    for part in schema.get("allOf", ()):
        found += problems(part, value, root, path)
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives and all(problems(each, value, root, path) for each in alternatives):
        found.append(f"{path}: fits no alternative")
    return found


TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["name"],
        }
    },
    "$ref": "#/$defs/node",
}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "string"},
        {"type": "string", "minLength": 40},
        {"type": "string", "maxLength": 3},
        {"type": "string", "minLength": 2, "maxLength": 2},
        {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
        {"type": "string", "pattern": r"^\d{3}(abc|def)?x+$"},
        {"type": "string", "pattern": "^[^a-z]{2}$"},
        {"type": "integer", "minimum": 5, "maximum": 9},
        {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.1},
        {"type": "integer", "minimum": 10, "multipleOf": 7},
        {"type": "number", "maximum": -4},
        {"type": "boolean"},
        {"type": "null"},
        {"type": ["null", "string"]},
        {"enum": ["a", "b"]},
        {"enum": [1, None]},
        {"const": {"fixed": [1, 2]}},
        {"type": "array", "items": {"type": "integer"}, "minItems": 4},
        {"type": "array", "items": {"type": "string"}, "minItems": 3, "uniqueItems": True},
        {"type": "array", "maxItems": 0, "items": {"type": "string"}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False},
        {"type": "object", "required": ["unlisted"]},
        {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        {"oneOf": [{"type": "object", "properties": {"kind": {"const": "x"}}, "required": ["kind"]}]},
        {"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"type": "integer"}}}]},
        TREE,
    ],
    ids=str,
)
def test_a_sample_fits_its_schema(schema):
    assert problems(schema, sample(schema)) == []


@pytest.mark.parametrize(
    ("form", "shape"),
    [
        ("date", r"\d{4}-\d\d-\d\d"), ("date-time", r"\d{4}-\d\d-\d\dT.*Z"), ("email", r".+@.+\..+"), ("uri", r"https://.+"),
        ("uuid", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), ("ipv4", r"\d+(\.\d+){3}"),
    ],
)  # fmt: skip
def test_a_format_is_kept(form, shape):
    assert re.fullmatch(shape, sample({"type": "string", "format": form}))


def test_the_prompt_decides_choices_and_numbers():
    assert sample({"enum": ["celsius", "fahrenheit"]}, prompt="in Fahrenheit please") == "fahrenheit"
    assert sample({"type": "integer", "minimum": 1, "maximum": 7}, number=3) == 3
    assert sample({"type": "integer", "minimum": 1, "maximum": 7}, number=30) == 7


def test_a_recursive_schema_ends_soon():
    text = repr(sample(TREE))
    assert len(text) < 200_000


def test_a_schema_that_requires_itself_ends_too():
    endless = {"type": "object", "properties": {"self": {"$ref": "#"}}, "required": ["self"]}
    assert sample(endless)["self"]["self"]


def leaf() -> st.SearchStrategy[dict[str, Any]]:
    low = st.integers(-100, 100)
    return st.one_of(
        st.builds(lambda a, b: {"type": "integer", "minimum": min(a, b), "maximum": max(a, b)}, low, low),
        st.builds(lambda a, b: {"type": "number", "minimum": min(a, b), "maximum": max(a, b)}, low, low),
        st.builds(
            lambda a, b: {"type": "string", "minLength": min(a, b), "maxLength": max(a, b)},
            st.integers(0, 60),
            st.integers(0, 60),
        ),
        st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": "string"}]),
        st.lists(st.text(max_size=5), min_size=1, max_size=4).map(lambda choices: {"enum": choices}),
    )


def nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    names = st.dictionaries(
        st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1, max_size=5), inner, max_size=4
    )
    return st.one_of(
        names.flatmap(
            lambda properties: st.builds(
                lambda required: {
                    "type": "object",
                    "properties": properties,
                    "required": required,
                    "additionalProperties": False,
                },
                st.lists(st.sampled_from(sorted(properties)), unique=True) if properties else st.just([]),
            )
        ),
        st.builds(
            lambda items, count: {"type": "array", "items": items, "minItems": count, "maxItems": count + 2},
            inner,
            st.integers(0, 3),
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda each: {"anyOf": each}),
    )


@given(st.recursive(leaf(), nested, max_leaves=12))
@settings(max_examples=200)
def test_any_schema_of_the_supported_kind_is_followed(schema):
    assert problems(schema, sample(schema)) == []


@given(st.from_regex(r"[a-z]{1,3}(\d|[A-F]){2}|x+y?", fullmatch=True))
def test_the_checker_itself_can_fail(text):
    assert problems({"type": "integer"}, text)
    assert problems({"type": "string", "maxLength": 0}, text)


@pytest.mark.parametrize("pattern", ["a{3}", r"\w+@\w+", "[a-f0-9]{8}", "(?:ab)+c?", r"\s", ".", "^$", "[^abc]", "x|y"])
def test_a_pattern_is_matched(pattern):
    assert re.search(pattern, matching(pattern))


@pytest.mark.parametrize("pattern", ["(", r"(?=a)b", r"(a)\1{2}"])
def test_a_pattern_that_is_too_much_gives_nothing(pattern):
    assert matching(pattern) is None


def test_a_schema_that_requires_itself_many_times_over_ends() -> None:
    names = [f"p{i}" for i in range(8)]
    schema = {"type": "object", "properties": {name: {"$ref": "#"} for name in names}, "required": names}

    def size(value: Any) -> int:
        return 1 + sum(size(each) for each in value.values()) if isinstance(value, dict) else 1

    assert size(sample(schema)) <= MAX_NODES + 1


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "number", "multipleOf": 1e-320},
        {"type": "number", "multipleOf": 1e-320, "minimum": 1e299},
        {"type": "integer", "minimum": 10**400},
        {"type": "number", "exclusiveMinimum": 10**400, "multipleOf": 3},
        {"type": "number", "maximum": float("-inf")},
        {"type": "string", "minLength": float("inf")},
        {"type": "string", "pattern": "((a{1000}){1000}){1000}"},
        {"type": "array", "minItems": 1e400, "items": {"type": "integer"}},
        {"type": "array", "uniqueItems": True, "minItems": 3, "items": {"type": "number", "minimum": 1e299}},
    ],
)
def test_numbers_beyond_reckoning(schema: dict[str, Any]) -> None:
    for number in (None, 5.0, 1e308):
        value = sample(schema, number=number)
        assert len(str(value)) < 50_000
