"""LiteLLM's `model_list`: each deployment becomes a provider with an id of its own.

Facts of its configuration (docs.litellm.ai, "proxy/configs"): `model` is `provider/model`; entries of one `model_name`
are a group, among whose members a request is spread; `os.environ/NAME` is read from the environment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from sandbox.core.yaml_source import Place
from sandbox.settings import keys
from sandbox.settings.importing.notes import Imported

KINDS: Final = {
    "openai": "openai", "text-completion-openai": "openai", "azure": "azure_openai", "anthropic": "anthropic",
    "bedrock": "bedrock", "deepseek": "deepseek", "gemini": "gemini", "hosted_vllm": "vllm", "vllm": "vllm",
    "ollama": "ollama", "ollama_chat": "ollama",
}  # fmt: skip
"""LiteLLM's names of providers, and ours."""
_BY_MODEL: Final = (
    (re.compile(r"(gpt-|chatgpt-|o[134](-|$))"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"gemini-"), "gemini"),
    (re.compile(r"deepseek-"), "deepseek"),
)
"""Whose a model is that no provider is named with."""
_BEDROCK_ROUTES: Final = re.compile(r"(?:(?:converse|converse_like|invoke)/)?(?:[a-z]{2}(?:-[a-z]+)+-\d/)?")
ENVIRONMENT: Final = "os.environ/"
_SECRET: Final = re.compile(r"key|secret|token|password|credential|_ad_|dsn", re.IGNORECASE)
_COUNTS: Final = {"rpm": "requests_per_minute", "tpm": "tokens_per_minute", "weight": "weight", "order": "priority"}
_TEXTS: Final = {"organization": "organization", "api_version": "api_version", "aws_region_name": "region"}
_AWS: Final = {
    "aws_access_key_id": "AWS_ACCESS_KEY_ID",
    "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "aws_session_token": "AWS_SESSION_TOKEN",
}


@dataclass(frozen=True, slots=True)
class Deployment:
    """One entry of the list that is taken over."""

    group: str
    id: str
    model: str | None
    """None: whichever is asked for."""
    place: Place

    @property
    def name(self) -> str:
        """What a route calls it."""
        return f"{self.id}/{self.model}"


def deployments(found: Imported) -> list[Deployment]:
    """The deployments, whose providers are put into the settings. Raises ConfigError for a list that is none."""
    source = found.source
    listed = source.data.get("model_list")
    if not isinstance(listed, list) or not listed:
        raise source.error("is no list of models: is this a configuration of LiteLLM's proxy?", "model_list")
    taken: list[Deployment] = []
    for index, entry in enumerate(listed):
        place: Place = ("model_list", index)
        params = entry.get("litellm_params") if isinstance(entry, dict) else None
        if not isinstance(params, dict) or not isinstance(entry.get("model_name"), str):
            raise source.error("needs model_name and litellm_params", *place)
        if not isinstance(params.get("model"), str):
            raise source.error("needs a model", *place, "litellm_params")
        deployment = _deployment(found, entry, params, place)
        if deployment is not None:
            taken.append(deployment)
    return taken


def _deployment(found: Imported, entry: dict[str, Any], params: dict[str, Any], place: Place) -> Deployment | None:
    given = entry.get("model_info")
    info: dict[Any, Any] = given if isinstance(given, dict) else {}
    where = (*place, "litellm_params", "model")
    mode = info.get("mode", "chat")
    if mode not in ("chat", "completion", "responses"):
        found.note("none", (*place, "model_info", "mode"), f"only chat is answered here, so no {mode} model is asked")
        return None
    kind, model = _split(params)
    if kind is None:
        found.note("none", where, f"the provider of {model} is none that can be asked here")
        return None
    pattern = "*" in model
    group: str = entry["model_name"]
    id = _new_id(found, kind, group)
    base = ("providers", id)
    if id != kind:
        found.put((*base, "kind"), kind, where)
    if kind == "azure_openai" and not pattern:
        # The name after the slash is the deployment's, which says nothing of the model.
        found.put((*base, "deployment"), model, where)
        of = info.get("base_model")
        model = of.rpartition("/")[2] if isinstance(of, str) and of else group
    if pattern:
        found.settings.setdefault("providers", {}).setdefault(id, {})
        found.note("near", where, "a provider takes every model of its vendor, so a pattern needs no route", base)
    else:
        found.put((*base, "model"), model, where)
    if kind == "openai" and str(params["model"]).startswith("text-completion-openai/"):
        found.put((*base, "api"), "completions", where)
    for name, value in params.items():
        if name not in ("model", "custom_llm_provider"):
            _parameter(found, kind, id, str(name), value, (*place, "litellm_params", str(name)))
    for name, value in entry.items():
        if name in ("rpm", "tpm"):
            _parameter(found, kind, id, str(name), value, (*place, str(name)))
        elif name == "model_info":
            for inner in info:
                if inner not in ("mode", "base_model", "id"):
                    found.note(
                        "none", (*place, "model_info", str(inner)), "what is known of models is in the catalogue"
                    )
        elif name not in ("model_name", "litellm_params"):
            found.note("none", (*place, str(name)), "there is no such setting of a provider")
    return Deployment(group, id, None if pattern else model, place)


def _split(params: dict[str, Any]) -> tuple[str | None, str]:
    """Our kind of provider, None for one that there is not here, and the model as the provider calls it."""
    model = str(params["model"])
    given = params.get("custom_llm_provider")
    prefix, slash, rest = model.partition("/")
    if isinstance(given, str):
        prefix, slash, rest = given, "/", model.removeprefix(f"{given}/")
    if not slash:
        return next((kind for pattern, kind in _BY_MODEL if pattern.match(model)), None), model
    kind = KINDS.get(prefix)
    base = params.get("api_base") or params.get("base_url")
    if kind == "openai" and isinstance(base, str) and base.startswith("http://"):
        # The way to name any server that speaks OpenAI's format; without TLS it is one's own.
        kind = "vllm"
    if kind == "bedrock":
        rest = _BEDROCK_ROUTES.sub("", rest, count=1)
    return kind, rest if kind else model


def _new_id(found: Imported, kind: str, group: str) -> str:
    """The provider's own name for the first of a kind, so that faults on that name hit it; then one with its group."""
    taken = found.settings.get("providers", {})
    if kind not in taken:
        return kind
    base = f"{kind}_{re.sub(r'[^a-z0-9]+', '_', group.lower()).strip('_')}"[:60].rstrip("_")
    number, id = 1, base
    while id in taken:
        number += 1
        id = f"{base}_{number}"
    return id


def _parameter(found: Imported, kind: str, id: str, name: str, value: Any, place: Place) -> None:
    base = ("providers", id)
    if name == "api_key":
        _credential(found, id, value, place)
    elif name in _AWS:
        found.note("by_hand", place, f"set {_AWS[name]} in the environment; it is for all of AWS")
    elif name in ("api_base", "base_url"):
        _address(found, id, value, place)
    elif name in _COUNTS:
        found.put((*base, _COUNTS[name]), value, place)
    elif name in _TEXTS and not _from_environment(value):
        found.put((*base, _TEXTS[name]), value, place)
    elif _SECRET.search(name):
        found.note("by_hand", place, "a credential of a kind that there is not here; it was not read")
    elif _from_environment(value):
        found.note("by_hand", place, f"set {keys.variable('.'.join((*base, _TEXTS.get(name, name))))} from it")
    elif name in ("timeout", "stream_timeout", "max_retries", "num_retries"):
        found.note("none", place, "time limits and retries are the same for all providers here")
    elif name.endswith("_cost_per_token") or "cost_per" in name:
        found.note("none", place, "prices of one's own go into a file that the setting prices_file names")
    else:
        found.note("none", place, "what a request leaves open is not filled in here")


def _credential(found: Imported, id: str, value: Any, place: Place) -> None:
    """Credentials are never copied: from a file that is passed around into one that is, least of all."""
    key = f"providers.{id}.api_key"
    variable = next((name for name, known in keys.FOREIGN_VARIABLES.items() if known == key), keys.variable(key))
    named = _from_environment(value)
    if named is None:
        found.note("by_hand", place, f"the key stands in the file and was not taken over: set {variable}")
    elif named == variable:
        found.note("taken", place, f"read from {variable} here too", (*key.split("."),))
    else:
        found.note("by_hand", place, f"set {variable} to what {named} is", (*key.split("."),))


def _address(found: Imported, id: str, value: Any, place: Place) -> None:
    key = f"providers.{id}.base_url"
    variable = next((name for name, known in keys.FOREIGN_VARIABLES.items() if known == key), keys.variable(key))
    named = _from_environment(value)
    if named == variable:
        found.note("taken", place, f"read from {variable} here too", (*key.split("."),))
    elif named is not None:
        found.note("by_hand", place, f"set {variable} to what {named} is", (*key.split("."),))
    elif "@" in str(value) or "?" in str(value):
        found.note("by_hand", place, f"the address may hold a credential and was not taken over: set {variable}")
    else:
        found.put((*key.split("."),), value, place)


def _from_environment(value: Any) -> str | None:
    """The variable's name of `os.environ/NAME`."""
    return value.removeprefix(ENVIRONMENT) if isinstance(value, str) and value.startswith(ENVIRONMENT) else None
