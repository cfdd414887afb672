"""A request as something to paste elsewhere: a curl command, a Python program. A key is a variable, never a value.

Bodies are written by the provider's own dialect, so they are what the provider would be sent.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from providers.errors import InputError

if TYPE_CHECKING:
    from providers.types import GenerationRequest
    from providers.vendors.wire import WireProvider
    from sandbox.tui.reports import ProviderInfo


_OPENAI: Final = {
    "openai_chat": ("chat.completions.create", "answer.choices[0].message.content"),
    "openai_responses": ("responses.create", "answer.output_text"),
    "openai_completions": ("completions.create", "answer.choices[0].text"),
}
"""By dialect: the method of OpenAI's client, and where the text is in what it returns."""
_COMPATIBLE: Final = {"gemini": "/v1beta/openai/", "ollama": "/v1"}
"""Where vendors whose own formats have no client here speak OpenAI's."""


def write(form: str, info: ProviderInfo, prompt: str, asked: str | None, answered: str | None) -> str:
    """The question in the form `curl` or `python`, for the model that answered, else the provider's own.

    Raises InputError where that form is impossible.
    """
    from providers.types import GenerationRequest

    request = GenerationRequest(prompt=prompt, model=asked)
    return (curl if form == "curl" else python)(info, request, answered or info.model)


def curl(info: ProviderInfo, request: GenerationRequest, model: str) -> str:
    """The request as a curl command for a POSIX shell. Raises InputError for a provider without an address."""
    provider = _wire(info)
    model_id = provider.resolve_model(model) or provider.model_id
    body = provider.dialect_of(model_id).encode_request(
        request, model=provider.asked_as(model_id), stream=False, quirks=provider.quirks_of(model_id)
    )
    headers = {"content-type": "application/json"}
    if _variable(provider):
        headers |= provider.auth_headers(f"${_variable(provider)}")
    lines = [f'curl "{_address(provider, or_variable=True)}{provider.path_of(model_id)}"']
    lines += [f'-H "{name}: {value}"' for name, value in headers.items()]
    pretty = json.dumps(json.loads(body), ensure_ascii=False, indent=2).replace("'", "'\\''")
    lines.append(f"-d '{pretty}'")
    return " \\\n  ".join(lines) + "\n"


def python(info: ProviderInfo, request: GenerationRequest, model: str) -> str:
    """The request as a Python program on the vendor's SDK. Raises InputError where there is none for it."""
    provider = _wire(info)
    model_id = provider.resolve_model(model) or provider.model_id
    variable = _variable(provider)
    key = f"os.environ[{variable!r}]" if variable else "'not-needed'"
    if provider.kind == "bedrock":
        return _boto3(provider, request, model_id)
    if provider.dialect_name == "anthropic_messages":
        arguments = _body(provider.dialect_name, provider, request, model_id)
        return _program(
            "anthropic", "Anthropic", {"base_url": repr(_address(provider)), "api_key": key},
            "messages.create", arguments, "answer.content[0].text",
        )  # fmt: skip
    spoken = "openai_chat" if provider.dialect_name in _COMPATIBLE else provider.dialect_name
    if spoken not in _OPENAI:
        raise InputError(f"there is no Python client for {info.id} here: copy it as curl")
    arguments = _body(spoken, provider, request, model_id)
    client, where = "OpenAI", {"base_url": repr(_address(provider)), "api_key": key}
    if provider.kind == "azure_openai":
        address = _address(provider)
        endpoint = repr(address) if address else f"os.environ[{provider.url_variable!r}]"
        if getattr(provider, "unversioned", False):
            where["base_url"] = repr(f"{address}/openai/v1") if address else f"{endpoint} + '/openai/v1'"
        else:
            client, version = "AzureOpenAI", repr(getattr(provider, "api_version", ""))
            where = {"azure_endpoint": endpoint, "api_version": version, "api_key": key}
        arguments["model"] = getattr(provider, "deployment", None) or model_id
    elif provider.dialect_name in _COMPATIBLE:
        where["base_url"] = repr(_address(provider) + _COMPATIBLE[provider.dialect_name])
    method, result = _OPENAI[spoken]
    return _program("openai", client, where, method, arguments, result)


def _boto3(provider: WireProvider, request: GenerationRequest, model_id: str) -> str:
    """On AWS's SDK, which finds credentials itself and takes the same body as parameters."""
    from providers.vendors.bedrock_models import endpoint

    region = getattr(provider, "region", "")
    where = f"'bedrock-runtime', region_name={region!r}"
    if _address(provider) != endpoint(region):
        where += f", endpoint_url={_address(provider)!r}"
    spoken = provider.dialect_of(model_id).name
    body = _body(spoken, provider, request, model_id)
    if spoken == "bedrock_converse":
        method, arguments = "converse", body
        result = "answer['output']['message']['content'][0]['text']"
    else:
        method, arguments = "invoke_model", {"contentType": "application/json", "body": json.dumps(body)}
        result = "answer['body'].read().decode()"
    given = "".join(f"    {name}={_literal(value)},\n" for name, value in {"modelId": model_id, **arguments}.items())
    return f"import boto3\n\nclient = boto3.client({where})\nanswer = client.{method}(\n{given})\nprint({result})\n"


def _program(
    package: str, client: str, where: dict[str, str], method: str, arguments: dict[str, Any], result: str
) -> str:
    head = ["import os", ""] if "os.environ" in "".join(where.values()) else []
    options = ", ".join(f"{name}={value}" for name, value in where.items())
    given = "".join(f"    {name}={_literal(value)},\n" for name, value in arguments.items())
    return (
        "\n".join(
            [
                *head,
                f"from {package} import {client}",
                "",
                f"client = {client}({options})",
                f"answer = client.{method}(",
            ]
        )
        + f"\n{given})\nprint({result})\n"
    )


def _literal(value: Any) -> str:
    """A Python literal; a list of messages on a line each."""
    if isinstance(value, list) and value:
        return "[\n" + "".join(f"        {one!r},\n" for one in value) + "    ]"
    return repr(value)


def _body(dialect_name: str, provider: WireProvider, request: GenerationRequest, model_id: str) -> dict[str, Any]:
    from providers.dialects import dialect

    encoded = dialect(dialect_name).encode_request(
        request, model=provider.asked_as(model_id), stream=False, quirks=provider.quirks_of(model_id)
    )
    body: dict[str, Any] = json.loads(encoded)
    if not body.get("stream"):
        body.pop("stream", None)
    return body


def _wire(info: ProviderInfo) -> WireProvider:
    provider = info.provider
    if info.kind == "mock" or not hasattr(provider, "dialect_name"):
        raise InputError(f"{info.id} has no address outside this program: send the prompt to another provider first")
    found: WireProvider = provider
    return found


def _variable(provider: WireProvider) -> str | None:
    """The environment variable that holds the key; None where there are no keys."""
    return provider.key_variable


def _address(provider: WireProvider, *, or_variable: bool = False) -> str:
    """The address without anything secret in it; one that only the user knows is a shell variable."""
    url = provider.complete_url(provider.base_url or provider.default_base_url)
    if not url:
        return f"${provider.url_variable}" if or_variable else ""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
