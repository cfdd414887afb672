"""`sandbox ask`: one question through the gateway."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from providers.errors import InputError, InvalidRequestError, ProviderError
from providers.types import MAX_PROMPT_CHARS, GenerationRequest, LLMResponse, TokenUsage
from sandbox.cli import story
from sandbox.cli.failures import attempt_row
from sandbox.cli.output import decimal
from sandbox.cli.session import Session

if TYPE_CHECKING:
    from sandbox.gateway.call import CallOptions
    from sandbox.runtime import Runtime


async def ask(
    prompt: str,
    /,
    *,
    model: str | None = None,
    provider: str | None = None,
    strategy: str | None = None,
    system: str | None = None,
    stream: bool = False,
    tenant: str = "default",
    agent: str = "default",
    max_tokens: int | None = None,
    temperature: float | None = None,
    no_cache: bool = False,
    fail: list[str] | None = None,
    dry_run: bool = False,
    trace: Path | None = None,
    json: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Ask once; the answer on stdout, its story on stderr.

    Parameters
    ----------
    prompt
        The question; - reads it from stdin.
    model
        The model to ask for; others of its tier may stand in for it.
    provider
        Ask this provider first, then the rest of the chain.
    strategy
        Order of the candidates: priority, least_cost, least_latency, round_robin, random, weighted.
    system
        The system prompt.
    stream
        Show the answer while it is written. With --json: one event a line, then the whole result.
    tenant
        Who pays.
    agent
        Which part of the tenant's application asks.
    max_tokens
        Longest answer, tokens.
    temperature
        Sampling temperature, 0 to 2.
    no_cache
        Neither read nor write the response cache.
    fail
        PROVIDER=KIND[:ARG]: make every attempt on a provider fail, such as openai=503 or bedrock=rate_limit:2.
    dry_run
        Show the plan with its estimated costs and ask nobody.
    trace
        Write every event to this file, one JSON object a line.
    json
        Print one JSON object.
    """
    request = GenerationRequest(
        prompt=read_stdin() if prompt == "-" else prompt,
        system=system,
        model=model,
        temperature=temperature,
        max_tokens=max_tokens,
        tenant_id=tenant,
        agent_id=agent,
    )
    try:
        request.check()
    except InvalidRequestError as error:
        raise InputError(error.message) from None

    async with session.runtime() as runtime:
        options = _options(provider, strategy, no_cache=no_cache or bool(fail))
        provoke(runtime, fail or [])
        if dry_run:
            story.show_plan(session.output, runtime.gateway, request, options, json=json)
            return
        async with AsyncExitStack() as stack:
            if trace is not None:
                _trace(stack, runtime, session, trace)
            recorded = story.recordings(runtime)
            try:
                if stream:
                    response = await _streamed(session, runtime, request, options, json=json)
                else:
                    response = await runtime.gateway.generate(request, options)
            except ProviderError as error:
                await runtime.recorder.flush()
                if not json:
                    story.show_failure(session.output, error, options.request_id or "", runtime.gateway.mode)
                    story.show_recorded(session.output, recorded)
                raise
            await runtime.recorder.flush()
    if json:
        (session.output.json_line if stream else session.output.json)(as_json(response))
    else:
        if not stream:
            session.output.out.line(response.text)
            session.output.out.flush()
        story.show_answer(session.output, response)
        story.show_recorded(session.output, recorded)


def _options(provider: str | None, strategy: str | None, *, no_cache: bool) -> CallOptions:
    from providers.clock import random_id
    from sandbox.gateway.call import CallOptions
    from sandbox.gateway.strategies import RoutingStrategy

    return CallOptions(
        provider=provider,
        strategy=RoutingStrategy.of(strategy) if strategy is not None else None,
        no_cache=no_cache,
        request_id=random_id(),
    )


def read_stdin() -> str:
    """The prompt from stdin. Raises InputError for what is no text."""
    # One byte beyond what the longest prompt can take in UTF-8.
    data = sys.stdin.buffer.read(MAX_PROMPT_CHARS * 4 + 1) if sys.stdin else b""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"stdin is not UTF-8 text: byte {error.start + 1} does not belong") from None
    if "\0" in text:
        raise InputError("stdin holds binary data, not text")
    if not text.strip():
        raise InputError("stdin is empty, so there is no prompt")
    return text.removesuffix("\n").removesuffix("\r")


def provoke(runtime: Runtime, faults: list[str]) -> None:
    """Make providers fail as asked. Raises InputError for an unknown provider or kind."""
    from providers.faults import Fault, parse_fault

    chosen: dict[str, list[Fault]] = {}
    for text in faults:
        name, separator, kind = text.partition("=")
        if not separator or not name or not kind:
            raise InputError(f"--fail {text!r} is not of the form PROVIDER=KIND[:ARG], such as openai=503")
        runtime.gateway.registry.get(name)
        chosen.setdefault(name, []).append(parse_fault(kind))
    for name, several in chosen.items():
        runtime.faults.set(name, several)


def _trace(stack: AsyncExitStack, runtime: Runtime, session: Session, path: Path) -> None:
    from sandbox.core.trace import TraceWriter

    settings = session.settings
    writer = stack.enter_context(
        TraceWriter(path, mode=settings.mode, preset=settings.preset, catalogue=runtime.gateway.prices.version)
    )
    stack.callback(runtime.bus.subscribe(writer))


async def _streamed(
    session: Session, runtime: Runtime, request: GenerationRequest, options: CallOptions, *, json: bool
) -> LLMResponse:
    """Show the answer as it comes; returns the whole response."""
    from providers.types import StreamFinished

    show = story.event_lines(session.output) if json else story.live_text(session.output)
    response: LLMResponse | None = None
    async with aclosing(runtime.gateway.stream(request, options)) as events:
        async for event in events:
            show(event)
            if isinstance(event, StreamFinished):
                response = event.response
    if response is None:
        raise RuntimeError("the gateway ended a stream without a response")
    return response


def as_json(response: LLMResponse) -> dict[str, Any]:
    """The result as `ask --json` prints it; times are milliseconds, money is USD as a decimal string or null."""
    usage = response.usage
    return {
        "text": response.text,
        "provider": response.provider,
        "model": response.model,
        "requested_model": response.requested_model,
        "finish_reason": response.finish_reason,
        "usage": {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
            "cached_input_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "estimated": usage.estimated,
            **_priced_apart(usage),
        },
        "cost_usd": decimal(response.cost_usd),
        "waste_usd": decimal(response.waste_usd),
        "latency_ms": round(response.latency_ms, 3),
        "ttft_ms": None if response.ttft_ms is None else round(response.ttft_ms, 3),
        "cached": response.cached,
        "mode": response.mode,
        "request_id": response.request_id,
        "attempts": [attempt_row(record) for record in response.attempts],
        "failovers": response.failovers,
    }


def _priced_apart(usage: TokenUsage) -> dict[str, Any]:
    """What of an answer has a price of its own, where the vendor said such a thing."""
    said = {
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "service_tier": usage.service_tier,
        "region": usage.region,
    }
    return {name: value for name, value in said.items() if value}
