"""`sandbox scenarios from-log`: what happened, as a scenario to replay."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from providers.clock import SYSTEM_CLOCK
from providers.errors import InputError
from sandbox.cli.session import Session
from sandbox.costs.spans import duration

if TYPE_CHECKING:
    from sandbox.scenarios.life.inferred import Origin
    from sandbox.scenarios.life.observed import Asked


async def from_log(
    trace: Path | None = None,
    *,
    since: str = "2h",
    name: str | None = None,
    output: Path | None = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """A scenario of the traffic, the providers and the failures that were observed.

    Parameters
    ----------
    trace
        A file that --trace wrote; without one the usage log of the current mode is read.
    since
        How far back in the usage log: 90m, 24h, 7d, …
    name
        The scenario's name: small letters, digits and dashes.
    output
        Write it to this file.
    """
    from sandbox.scenarios.life.inferred import scenario_data
    from sandbox.scenarios.loader import check
    from sandbox.scenarios.source import parse
    from sandbox.scenarios.writing import to_yaml

    if trace is not None:
        requests, origin = _of_trace(trace, name)
    else:
        requests, origin = await _of_log(since, name, session)
    try:
        text = to_yaml(scenario_data(requests, origin))
    except InputError as error:
        raise InputError(f"{trace or f'the usage log of the last {since}'}: {error}") from None
    # What is written here is what `replay` takes, or the name was wrong.
    made = check(parse(text, output or Path("the scenario")))
    if output is None:
        session.output.out.write(text)
    else:
        _write(output, text)
    document = made.document
    session.output.note(
        f"{len(requests):,} requests: {len(document.traffic)} streams, {len(document.providers)} providers, "
        f"{len(made.faults)} fault{'' if len(made.faults) == 1 else 's'}"
        + (f", written to {output}" if output is not None else "")
    )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise InputError(f"--output {path}: {(error.strerror or str(error)).lower()}") from None


def _of_trace(path: Path, name: str | None) -> tuple[list[Asked], Origin]:
    from sandbox.core.trace import read, read_header
    from sandbox.scenarios.life.inferred import Origin
    from sandbox.scenarios.life.observed import of_trace

    try:
        with path.open("rb") as file:
            head = read_header(file.readline())
            file.seek(0)
            requests = of_trace(read(file))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    preset = head.get("preset")
    description = f"Made from {path.name}: {len(requests):,} requests."
    return requests, Origin(
        name or _slug(path.stem),
        description,
        preset if isinstance(preset, str) else None,
        _prices(head.get("catalogue")),
    )


async def _of_log(since: str, name: str | None, session: Session) -> tuple[list[Asked], Origin]:
    from sandbox.scenarios.life.inferred import Origin
    from sandbox.scenarios.life.observed import of_records
    from sandbox.usage.base import UsageFilter

    now = SYSTEM_CLOCK.time_us()
    mode = session.settings.booked
    where = UsageFilter(mode=mode, since_us=max(0, now - round(duration(since, "--since") * 1e6)))
    async with session.usage() as usage:
        requests = await of_records(usage.scan(where))
    description = f"Made from the usage log, {mode} mode, the last {since}: {len(requests):,} requests."
    return requests, Origin(name or "from-log", description, session.settings.preset, "current")


def _prices(version: object) -> str:
    """The catalogue that a trace was priced with."""
    from providers.pricing import catalogue

    return "seeds-2024" if version == catalogue("seeds-2024").version else "current"


def _slug(text: str) -> str:
    """A name for a scenario from the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:64] or "from-log"
