"""Every client and API that is put through the table, with the errors that each must raise."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from tests.clients.cases import Speaker
from tests.clients.outcome import Ask

_BY_STATUS = {
    "invalid": "BadRequestError",
    "key": "AuthenticationError",
    "permission": "PermissionDeniedError",
    "not found": "NotFoundError",
    "unprocessable": "UnprocessableEntityError",
    "rate limit": "RateLimitError",
    "quota": "RateLimitError",
    "server error": "InternalServerError",
    "unavailable": "InternalServerError",
    "overloaded": "InternalServerError",
    "content filter": "BadRequestError",
    "reset": "APIConnectionError",
    "refused stream": "InternalServerError",
}


def _sdk(module: str, **more: Any) -> dict[str, Any]:
    return {case: f"{module}.{name}" for case, name in _BY_STATUS.items()} | more


def _openai(api: str, open: Callable[[str, ExitStack], Ask], **options: Any) -> Speaker:
    errors = _sdk(
        "openai",
        **{
            "too large": "openai.APIStatusError",
            "malformed": "json.JSONDecodeError",
            "truncated": "json.JSONDecodeError",
            "error event": "openai.APIError",
            "cut": ("openai.APIConnectionError", "httpx2.RemoteProtocolError", "httpx2.ReadError"),
            "malformed event": "json.JSONDecodeError",
        },
    )
    return Speaker("openai-python", api, open, errors, **options)


def python_speakers() -> list[Speaker]:
    """The Python clients."""
    from tests.clients import anthropic_python, boto3_python, genai_python, ollama_python, openai_python

    o = openai_python
    text_only: Any = ("plain", "stream")
    anthropic = _sdk(
        "anthropic",
        **{
            "too large": "anthropic.ContentTooLargeError",
            "unavailable": "anthropic.ServiceUnavailableError",
            "refused stream": "anthropic.ServiceUnavailableError",
            "overloaded": "anthropic.OverloadedError",
            "malformed": "json.JSONDecodeError",
            "truncated": "json.JSONDecodeError",
            "error event": "anthropic.APIStatusError",
            "cut": ("anthropic.APIConnectionError", "httpx2.RemoteProtocolError", "httpx2.ReadError"),
            "malformed event": "json.JSONDecodeError",
        },
    )
    # What boto3 has no model for is its plain ClientError; a body that is no JSON it takes for an empty answer.
    aws = {
        "invalid": "ValidationException",
        "key": "botocore.ClientError",
        "permission": "AccessDeniedException",
        "not found": "ResourceNotFoundException",
        "too large": "ValidationException",
        "unprocessable": "ValidationException",
        "rate limit": "ThrottlingException",
        "quota": "ThrottlingException",
        "server error": "InternalServerException",
        "unavailable": "ServiceUnavailableException",
        "overloaded": "ServiceUnavailableException",
        "content filter": "ValidationException",
        "reset": "botocore.ConnectionClosedError",
        "malformed": "builtins.KeyError",
        "truncated": "builtins.KeyError",
        "refused stream": "ServiceUnavailableException",
        "error event": "botocore.EventStreamError",
        "cut": "urllib3.ProtocolError",
        "malformed event": "builtins.KeyError",
    }
    # InvokeModel hands the body over as it is.
    invoked = aws | dict.fromkeys(("malformed", "truncated"), "orjson.JSONDecodeError")
    unread = dict.fromkeys(("malformed", "truncated", "malformed event"), "json.JSONDecodeError")
    refused = (
        "invalid",
        "key",
        "permission",
        "not found",
        "too large",
        "unprocessable",
        "rate limit",
        "quota",
        "content filter",
    )
    failed = ("server error", "unavailable", "overloaded", "refused stream", "error event")
    google = (
        dict.fromkeys(refused, "google.ClientError")
        | dict.fromkeys(failed, "google.ServerError")
        | dict.fromkeys(("reset", "cut"), "httpx2.ReadError")
        | unread
        | {"malformed event": "google.UnknownApiResponseError"}
    )
    local = (
        dict.fromkeys((*refused, *failed), "ollama.ResponseError")
        | unread
        | dict.fromkeys(("reset", "cut"), "httpx.ReadError")
    )
    boto = boto3_python.Speaker
    claude, titan = "anthropic.claude-3-haiku-20240307-v1:0", "amazon.titan-text-express-v1"
    return [
        _openai("openai chat", lambda u, s: o.chat(s.enter_context(o.client(f"{u}/openai/v1")), "gpt-4o-mini")),
        _openai(
            "openai responses",
            lambda u, s: o.responses(s.enter_context(o.client(f"{u}/openai/v1")), "gpt-4o-mini"),
            finish=("completed", "completed"),
        ),
        _openai(
            "openai completions",
            lambda u, s: o.completions(s.enter_context(o.client(f"{u}/openai/v1")), "gpt-3.5-turbo-instruct"),
            forms=text_only,
        ),
        _openai("azure chat", lambda u, s: o.chat(s.enter_context(o.azure(f"{u}/azure")), "gpt-4o-mini")),
        _openai(
            "azure responses",
            lambda u, s: o.responses(s.enter_context(o.client(f"{u}/azure/openai/v1")), "gpt-4o-mini"),
            finish=("completed", "completed"),
        ),
        _openai("deepseek chat", lambda u, s: o.chat(s.enter_context(o.client(f"{u}/deepseek")), "deepseek-chat")),
        _openai(
            "vllm chat", lambda u, s: o.chat(s.enter_context(o.client(f"{u}/vllm/v1")), "Qwen/Qwen2.5-7B-Instruct")
        ),
        _openai(
            "vllm completions",
            lambda u, s: o.completions(s.enter_context(o.client(f"{u}/vllm/v1")), "Qwen/Qwen2.5-7B-Instruct"),
            forms=text_only,
        ),
        _openai("ollama /v1", lambda u, s: o.chat(s.enter_context(o.client(f"{u}/ollama/v1")), "llama3.2")),
        _openai(
            "gemini /openai",
            lambda u, s: o.chat(s.enter_context(o.client(f"{u}/gemini/v1beta/openai")), "gemini-2.5-flash"),
        ),
        Speaker(
            "anthropic-python",
            "messages",
            lambda u, s: anthropic_python.messages(
                s.enter_context(anthropic_python.client(f"{u}/anthropic")), "claude-haiku-4-5"
            ),
            anthropic,
            finish=("end_turn", "tool_use"),
        ),
        Speaker(
            "anthropic-python",
            "bedrock invoke",
            lambda u, s: anthropic_python.bedrock(f"{u}/bedrock", claude),
            # AWS answers 403 for a key that it does not know; a chunk without bytes is passed over by this client.
            anthropic | {"key": "anthropic.PermissionDeniedError", "malformed event": None},
            finish=("end_turn", "tool_use"),
        ),
        Speaker(
            "boto3",
            "converse",
            lambda u, s: boto3_python.converse(s.enter_context(boto(f"{u}/bedrock")), claude),
            aws,
            finish=("end_turn", "tool_use"),
        ),
        Speaker(
            "boto3",
            "invoke titan",
            lambda u, s: boto3_python.titan(s.enter_context(boto(f"{u}/bedrock")), titan),
            invoked,
            forms=text_only,
            finish=("FINISH", ""),
        ),
        Speaker(
            "boto3",
            "invoke llama",
            lambda u, s: boto3_python.llama(s.enter_context(boto(f"{u}/bedrock")), "meta.llama3-8b-instruct-v1:0"),
            invoked,
            forms=text_only,
            finish=("stop", ""),
        ),
        Speaker(
            "boto3",
            "invoke jurassic",
            lambda u, s: boto3_python.jurassic(s.enter_context(boto(f"{u}/bedrock")), "ai21.j2-mid-v1"),
            invoked,
            forms=("plain",),
            finish=("endoftext", ""),
        ),
        Speaker(
            "ollama-python",
            "chat",
            lambda u, s: ollama_python.chat(f"{u}/ollama", "llama3.2"),
            local,
            finish=("stop", "stop"),
        ),
        Speaker(
            "ollama-python",
            "generate",
            lambda u, s: ollama_python.generate(f"{u}/ollama", "llama3.2"),
            local,
            forms=text_only,
        ),
        Speaker(
            "google-genai",
            "generateContent",
            lambda u, s: genai_python.generate_content(f"{u}/gemini", "gemini-2.5-flash"),
            google,
            finish=("STOP", "STOP"),
        ),
    ]


def node_speakers() -> list[Speaker]:
    """The JavaScript clients."""
    unread = {"malformed": "SyntaxError", "truncated": "SyntaxError"}
    openai = (
        _BY_STATUS
        | unread
        | {
            "too large": "APIError",
            "error event": "APIError",
            "cut": "OpenAIError",
            "malformed event": "OpenAIError",
        }
    )
    anthropic = (
        _BY_STATUS
        | unread
        | {
            "too large": "ContentTooLargeError",
            "unavailable": "ServiceUnavailableError",
            "refused stream": "ServiceUnavailableError",
            "overloaded": "OverloadedError",
            "error event": "APIError",
            "cut": "AnthropicError",
            "malformed event": "AnthropicError",
        }
    )
    aws = unread | {
        "invalid": "ValidationException",
        "key": "UnrecognizedClientException",
        "permission": "AccessDeniedException",
        "not found": "ResourceNotFoundException",
        "too large": "ValidationException",
        "unprocessable": "ValidationException",
        "rate limit": "ThrottlingException",
        "quota": "ThrottlingException",
        "server error": "InternalServerException",
        "unavailable": "ServiceUnavailableException",
        "overloaded": "ServiceUnavailableException",
        "content filter": "ValidationException",
        "reset": "TimeoutError",
        "refused stream": "ServiceUnavailableException",
        "error event": "ServiceUnavailableException",
        "cut": "Error",
        "malformed event": "SyntaxError",
    }
    return [
        Speaker("openai-node", "openai chat", "openaiChat", openai),
        Speaker("openai-node", "openai responses", "openaiResponses", openai, finish=("completed", "completed")),
        Speaker("anthropic-node", "messages", "anthropicMessages", anthropic, finish=("end_turn", "tool_use")),
        Speaker("aws-sdk-node", "converse", "bedrockConverseHttp1", aws, finish=("end_turn", "tool_use")),
        Speaker(
            "aws-sdk-node",
            "converse, HTTP/2",
            "bedrockConverse",
            # Over HTTP/2 this client takes a stream that was reset for one that has ended.
            aws | {"reset": "Error", "cut": None},
            finish=("end_turn", "tool_use"),
        ),
        Speaker("aws-sdk-node", "invoke", "bedrockInvoke", aws, finish=("end_turn", "tool_use")),
    ]
