"""`sandbox compare`: one prompt, or several, on several models at once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from providers.errors import InputError
from sandbox.cli.ask import provoke, read_stdin
from sandbox.cli.exits import CommandFailed
from sandbox.cli.output import Output
from sandbox.cli.session import Session

if TYPE_CHECKING:
    from sandbox.comparison.contestants import Contestant
    from sandbox.comparison.estimate import Estimate
    from sandbox.comparison.question import Question
    from sandbox.comparison.standings import Outcome
    from sandbox.gateway.gateway import Gateway

Form = Literal["csv", "json", "markdown", "html"]


async def compare(
    prompt: str | None = None,
    /,
    *,
    models: list[str] | None = None,
    requests_per_day: list[str] | None = None,
    repeat: int = 1,
    prompts: Path | None = None,
    system: str | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    tenant: str = "default",
    agent: str = "default",
    fail: list[str] | None = None,
    concurrency: int = 8,
    diff: str | None = None,
    export: list[tuple[Form, Path]] | None = None,
    force: bool = False,
    estimate: bool = False,
    confirm_above: str | None = None,
    yes: bool = False,
    json: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Ask several models the same at once: answers, tokens, cost and times side by side, and what a month would cost.

    Each model is asked at one provider alone, past the cache; one that fails does not end the others. Ctrl-C ends all
    and shows what has come.

    Parameters
    ----------
    prompt
        The question; - reads it from stdin.
    models
        Models, provider/model, providers, patterns such as 'claude-3-*', by commas; unset: each provider's own model.
    requests_per_day
        Volumes whose cost in 30 days is told, separated by commas; unset: 1000.
    repeat
        Ask so many times, 1 to 100, and tell medians and spreads.
    prompts
        A file of prompts: one a line, or several lines each with --- between them; in .jsonl texts or {"prompt": …}.
    system
        The system prompt.
    max_tokens
        Longest answer, tokens.
    temperature
        Sampling temperature, 0 to 2.
    tenant
        Who pays.
    agent
        Which part of the tenant's application asks.
    fail
        PROVIDER=KIND[:ARG]: make every attempt on a provider fail, such as openai=503 or bedrock=rate_limit:2.
    concurrency
        How many requests are under way at a time, 1 to 64.
    diff
        Two models of the comparison, A,B by name or by number: how their answers differ, word by word.
    export
        FORMAT FILE: write it as csv, json, markdown or html too; may be given several times.
    force
        Let the export replace files.
    estimate
        Show what it may cost at most, and ask nobody.
    confirm_above
        In live mode, ask before what may cost more than this, USD; unset: the setting compare.confirm_above.
    yes
        Do not ask.
    json
        Print one JSON object.
    """
    from sandbox.cli.comparing import show_estimate, show_outcome
    from sandbox.comparison.contestants import choose, standing
    from sandbox.comparison.document import as_dict, estimate_dict
    from sandbox.comparison.estimate import estimates
    from sandbox.comparison.export import exports
    from sandbox.comparison.question import Question
    from sandbox.comparison.standings import DEFAULT_VOLUME

    output = session.output
    volumes = [_volume(text) for text in _split(requests_per_day)] or [DEFAULT_VOLUME]
    limit = session.settings.compare.confirm_above if confirm_above is None else _amount(confirm_above)
    question = Question(_prompts(prompt, prompts), repeat, system, max_tokens, temperature, tenant, agent, concurrency)
    question.check()
    names = _split(models)
    if models is not None and not names:
        raise InputError("--models names nobody; name one or more, with commas between them")
    if force and not export:
        raise InputError("--force belongs to --export")
    async with session.runtime(unhurried=True) as runtime:
        gateway = runtime.gateway
        contestants = choose(gateway, names) if names else standing(gateway)
        pair = None if diff is None else _pair(diff, contestants)
        provoke(runtime, fail or [])
        found = estimates(gateway, question, contestants)
        if estimate:
            if json:
                output.json(estimate_dict(gateway.mode, gateway.prices.version, found))
            else:
                show_estimate(output, found, gateway)
            return
        await _agree(session, gateway, found, limit, yes=yes)

        with exports(
            export or [], overwrite=force, option="--export", otherwise=", or replace it with --force"
        ) as write:

            def report(outcome: Outcome) -> None:
                if json:
                    output.json(as_dict(outcome, volumes))
                else:
                    show_outcome(output, outcome, volumes, pair)
                # Last, so that answers are shown even where a disk is full.
                write(outcome, volumes)
                for _, path in export or []:
                    output.note(f"wrote {path}", "dim")

            await _ask(session, gateway, question, contestants, report)


async def _ask(
    session: Session,
    gateway: Gateway,
    question: Question,
    contestants: list[Contestant],
    report: Callable[[Outcome], None],
) -> None:
    """Ask, and report what came; when somebody interrupts, that is reported before the interruption goes on."""
    from sandbox.cli.comparing import Progress
    from sandbox.comparison.run import Run
    from sandbox.comparison.standings import outcome

    progress = Progress(session.output.err, gateway.clock, contestants, question)
    run = Run(gateway, question, contestants, told=progress.tell)
    try:
        async with progress:
            await run.go()
    except asyncio.CancelledError:
        report(outcome(run))
        raise
    found = outcome(run)
    report(found)
    if not any(one.answers for one in found.overall):
        raise CommandFailed("NoAnswer", "no model answered")


# --- reading what was written ---------------------------------------------------------------------------------------


def _prompts(prompt: str | None, file: Path | None) -> tuple[str, ...]:
    from sandbox.comparison.question import read_prompts

    if (prompt is None) is (file is None):
        raise InputError("give one prompt, or a file of them with --prompts; - reads the prompt from stdin")
    if file is not None:
        return read_prompts(file)
    return (read_stdin() if prompt == "-" else prompt or "",)


def _split(texts: list[str] | None) -> list[str]:
    return [part.strip() for text in texts or [] for part in text.split(",") if part.strip()]


def _volume(text: str) -> int:
    try:
        volume = int(text.replace("_", ""))
    except ValueError:
        volume = 0
    if not 1 <= volume <= 10**9:
        raise InputError(f"--requests-per-day is {text!r}; use whole numbers from 1 to 1000000000")
    return volume


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise InputError(f"--confirm-above is {text!r}; use an amount in USD such as 0.50")
    return amount


def _pair(text: str, contestants: list[Contestant]) -> tuple[int, int]:
    """The two columns that are meant, by number or by name."""
    from providers.hints import did_you_mean

    names = [one.name for one in contestants]
    found = []
    for part in _split([text]):
        if part.isdecimal() and 1 <= int(part) <= len(names):
            found.append(int(part) - 1)
        elif part in names:
            found.append(names.index(part))
        else:
            hint = did_you_mean(part, names)
            raise InputError(f"--diff {text}: {part!r} is not compared: {hint}there are {', '.join(names)}")
    if len(found) != 2 or found[0] == found[1]:
        raise InputError(f"--diff is {text!r}; name two of the models, such as 1,2")
    return found[0], found[1]


async def _agree(session: Session, gateway: Gateway, found: list[Estimate], limit: Decimal, *, yes: bool) -> None:
    """Let a person agree to what it may cost. Raises InputError where there is nobody to ask, or they do not."""
    from sandbox.cli.comparing import consent_sentence, show_estimate
    from sandbox.comparison.estimate import needs_consent

    if yes or not needs_consent(gateway.mode, found, limit):
        return
    sentence, output = consent_sentence(found, limit), session.output
    if not (output.err.terminal and sys.stdin is not None and sys.stdin.isatty()):
        raise InputError(f"{sentence}; --yes goes on without asking, --estimate shows what each model may cost")
    show_estimate(Output(output.err.file, output.err.file), found, gateway)
    output.err.write(f"{sentence}. Go on? [y/N] ")
    output.err.flush()
    if (await _line()).strip().lower() not in ("y", "yes"):
        raise InputError("not agreed to: nobody was asked")


async def _line() -> str:
    """A line of the terminal. Waiting for it can be cancelled, which a blocking read could not."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(sys.stdin, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(sys.stdin)
    return sys.stdin.readline()
