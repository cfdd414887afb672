"""The names of all settings, read off the model: dotted keys, their variables, and the nearest valid one."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from sandbox.settings.model import PROVIDER_IDS, ProviderSettings, Settings

PREFIX = "SANDBOX_"
NESTING = "__"

SHORTHAND = {"cache": "cache.backend", "usage": "usage.backend", "shared": "shared.state"}
"""Sections that may be given as one word: `cache = "off"`."""

FOREIGN_VARIABLES = {
    "OPENAI_API_KEY": "providers.openai.api_key",
    "OPENAI_ORG_ID": "providers.openai.organization",
    "OPENAI_BASE_URL": "providers.openai.base_url",
    "ANTHROPIC_API_KEY": "providers.anthropic.api_key",
    "ANTHROPIC_BASE_URL": "providers.anthropic.base_url",
    "AZURE_OPENAI_API_KEY": "providers.azure_openai.api_key",
    "AZURE_OPENAI_ENDPOINT": "providers.azure_openai.base_url",
    "AZURE_OPENAI_DEPLOYMENT": "providers.azure_openai.deployment",
    "DEEPSEEK_API_KEY": "providers.deepseek.api_key",
    "GEMINI_API_KEY": "providers.gemini.api_key",
    "GOOGLE_GEMINI_BASE_URL": "providers.gemini.base_url",
    "OLLAMA_BASE_URL": "providers.ollama.base_url",
    "VLLM_ENDPOINT": "providers.vllm.base_url",
    "VLLM_HOURLY_RATE": "providers.vllm.hourly_rate",
    "AWS_BEARER_TOKEN_BEDROCK": "providers.bedrock.api_key",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "providers.bedrock.base_url",
    "AWS_ENDPOINT_URL_DYNAMODB": "usage.endpoint_url",
    "AWS_REGION": "aws.region",
    "AWS_PROFILE": "aws.profile",
    "AWS_ACCESS_KEY_ID": "aws.access_key_id",
    "AWS_SECRET_ACCESS_KEY": "aws.secret_access_key",
    "AWS_SESSION_TOKEN": "aws.session_token",
    "BUDGET_LIMIT": "budget_limit",
    "LOG_LEVEL": "log_level",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "telemetry.endpoint",
}
"""Variables that other programs use too; the program's own name for a key wins over them."""


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a field that is a section, else None."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def field_of(key: str) -> FieldInfo | None:
    """The model's field of a dotted key; None for a section, a provider's id or an unknown key."""
    head, _, rest = key.partition(".")
    field = Settings.model_fields.get(head)
    if field is None or not rest:
        return None if field is None or section_of(field) else field
    if head == "providers":
        return ProviderSettings.model_fields.get(rest.partition(".")[2])
    if head == "equivalents":
        return field
    section = section_of(field)
    return section.model_fields.get(rest) if section else None


def _plain_types(annotation: Any) -> Iterator[Any]:
    """The types an annotation allows, unwrapped from Annotated and unions."""
    if get_origin(annotation) is Annotated:
        yield from _plain_types(get_args(annotation)[0])
    elif get_origin(annotation) not in (Literal, list, dict) and get_args(annotation):
        for part in get_args(annotation):
            yield from _plain_types(part)
    elif annotation is not NoneType:
        yield annotation


def is_secret(key: str) -> bool:
    field = field_of(key)
    return field is not None and SecretStr in _plain_types(field.annotation)


def is_path(key: str) -> bool:
    field = field_of(key)
    return field is not None and Path in _plain_types(field.annotation)


def choices(key: str) -> list[str]:
    """The words that a key accepts, where it accepts only some."""
    field = field_of(key)
    if field is None:
        return []
    return [
        str(word) for kind in _plain_types(field.annotation) if get_origin(kind) is Literal for word in get_args(kind)
    ]


def all_keys() -> list[str]:
    """Every key with the standard providers spelled out."""
    keys: list[str] = []
    for name, field in Settings.model_fields.items():
        section = section_of(field)
        if name == "providers":
            keys += [
                f"providers.{provider}.{part}" for provider in PROVIDER_IDS for part in ProviderSettings.model_fields
            ]
        elif section:
            keys += [f"{name}.{part}" for part in section.model_fields]
        else:
            keys.append(name)
    return keys


def variable(key: str) -> str:
    """The environment variable of a key: `cache.ttl` is SANDBOX_CACHE__TTL."""
    return PREFIX + NESTING.join(key.split(".")).upper()


def key_of_variable(name: str) -> str:
    """The key that a SANDBOX_ variable names, whether or not there is such a key."""
    return ".".join(name.removeprefix(PREFIX).lower().split(NESTING))


def nearest(word: str, candidates: list[str]) -> str | None:
    """The candidate most like a misspelt word, or None when none is near."""
    spelling = {candidate.lower(): candidate for candidate in candidates}
    found = get_close_matches(word.lower(), list(spelling), 1, 0.6)
    return spelling[found[0]] if found else None


def nearest_key(key: str) -> str | None:
    """The key most like a misspelt one, looking at its own section first, then everywhere for its last part."""
    parent, _, last = key.rpartition(".")
    keys = all_keys()
    beside = [k for k in keys if k.rpartition(".")[0] == parent]
    if parent.startswith("providers."):
        beside = [f"{parent}.{name}" for name in ProviderSettings.model_fields]
    elif not parent:
        beside += list(Settings.model_fields)
    near = nearest(key, beside)
    if near:
        return near
    elsewhere = [k for k in keys if k.rpartition(".")[2] == last and not k.startswith("providers.")]
    return elsewhere[0] if elsewhere else nearest(key, keys)
