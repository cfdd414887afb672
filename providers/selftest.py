"""`python -m providers.selftest`: every provider answers, streams, counts and prices, without a key or a network."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable

from providers.base import BaseLLMProvider
from providers.errors import InputError, ProviderError
from providers.factory import KINDS, create
from providers.types import GenerationRequest, StreamFinished, TextDelta

QUESTION = "What does a circuit breaker do? One sentence."
_BAR = "=" * 60


class CheckFailed(Exception):
    """A provider did something else than promised; the message says what."""


async def check(provider: BaseLLMProvider) -> str:
    """Ask whole and streamed; returns what came back in one line. Raises CheckFailed, ProviderError or InputError."""
    request = GenerationRequest(prompt=QUESTION, max_tokens=100)
    answer = await provider.generate(request)
    _expect(bool(answer.text.strip()), "the answer has no text")
    usage = answer.usage
    _expect(usage.input_tokens > 0 and usage.output_tokens > 0, "the answer has no token counts")
    _expect(usage.total_tokens == usage.input_tokens + usage.output_tokens, "the token counts do not add up")
    _expect(answer.cost_usd is not None and answer.cost_usd >= 0, "the answer has no cost")
    pieces, finished = [], False
    async for event in provider.generate_stream(request):
        if isinstance(event, TextDelta):
            pieces.append(event.text)
        elif isinstance(event, StreamFinished):
            finished = True
            _expect(event.completion.text == "".join(pieces), "the streamed pieces are not the answer")
    _expect(finished and bool(pieces), "the stream had no text or no end")
    health = await provider.health_check()
    _expect(health.is_healthy, f"the health check failed: {health.last_error}")
    return f"{provider.model}: {usage.total_tokens} tokens, ${answer.cost_usd:f}, {len(pieces)} streamed pieces"


def _expect(true: bool, otherwise: str) -> None:
    if not true:
        raise CheckFailed(otherwise)


async def report(kinds: Iterable[str] = KINDS, *, live: bool = False) -> tuple[list[str], int]:
    """One line for each kind, ✓ or ✗, and how many failed. `live` asks the vendors, with the environment's keys."""
    lines, failures = [], 0
    for kind in kinds:
        try:
            provider = create(kind) if live or kind == "mock" else create(kind, mock_mode=True)
            async with provider:
                lines.append(f"✓ {kind}: {await check(provider)}")
        except (CheckFailed, ProviderError, InputError) as error:
            failures += 1
            lines.append(f"✗ {kind}: {type(error).__name__}: {error}")
    return lines, failures


def main(arguments: list[str] | None = None) -> int:
    """`[--live] [KIND …]`; returns 0 when every provider works, 1 when one does not, 2 for a wrong argument."""
    given = sys.argv[1:] if arguments is None else arguments
    live, kinds = "--live" in given, [each for each in given if each != "--live"]
    unknown = [each for each in kinds if each not in KINDS]
    if unknown:
        print(f"providers.selftest: unknown provider {unknown[0]!r}; use {', '.join(KINDS)}", file=sys.stderr)
        return 2
    lines, failures = asyncio.run(report(kinds or KINDS, live=live))
    print(_BAR, f"LLM providers - self-test ({'live' if live else 'offline'})", _BAR, *lines, sep="\n")
    print(f"{len(lines) - failures} of {len(lines)} providers work")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
