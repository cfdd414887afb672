"""The names of OpenTelemetry's semantic conventions for generative AI, as far as they are used here.

Spelled out, because the package that has them keeps them in a private place while they are in development
(opentelemetry.io/docs/specs/semconv/gen-ai, version 1.40).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OPERATION: Final = "gen_ai.operation.name"
CHAT: Final = "chat"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105  the name of an attribute
ERROR_TYPE: Final = "error.type"
STATUS_CODE: Final = "http.response.status_code"

TOKEN_USAGE_METRIC: Final = "gen_ai.client.token.usage"  # noqa: S105
DURATION_METRIC: Final = "gen_ai.client.operation.duration"
FIRST_CHUNK_METRIC: Final = "gen_ai.client.operation.time_to_first_chunk"
TOKEN_BUCKETS: Final = tuple(float(4**power) for power in range(14))
"""As the conventions want them: 1 to 67,108,864 tokens."""
DURATION_BUCKETS: Final = tuple(0.01 * 2**power for power in range(14))
"""The same: 0.01 to 81.92 s."""

PROVIDERS: Final[Mapping[str, str]] = {
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
}
"""Our names of providers that the conventions call otherwise."""
