"""`sandbox replay`: an outage from a file, in virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from providers.errors import InputError
from sandbox.cli.exits import Exit
from sandbox.cli.session import Session

if TYPE_CHECKING:
    from sandbox.scenarios.results import Result
    from sandbox.settings import Settings

Speed = Literal["virtual", "1", "10"]
Fidelity = Literal["provider", "wire"]
Breakers = Literal["local", "shared"]


def replay(
    scenario: str,
    *,
    seed: int | None = None,
    speed: Speed = "virtual",
    fidelity: Fidelity = "provider",
    replicas: int | None = None,
    breakers: Breakers = "local",
    trace: Path | None = None,
    report: Path | None = None,
    check: bool = False,
    watch: bool = False,
    json: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> Exit:
    """Run a scenario through the gateway in virtual time: the same file and seed give the same bytes every time.

    --preset puts a failover policy in place of the scenario's; given several times, they are compared on one outage.
    --config FILE puts the policy of these settings in its place: retries, breakers, limits, strategy, shares.

    Parameters
    ----------
    scenario
        A scenario's name (`sandbox scenarios list`), built-in or your own, or a YAML or JSON file.
    seed
        Draw with this seed in place of the scenario's own.
    speed
        virtual: as fast as it goes; 1 or 10: that many times real time, telling what happens. The result is the same.
    fidelity
        provider: fast; wire: the vendors' own classes read and write their real formats, faults are made of bytes.
    replicas
        So many gateways, 1 to 100, take turns at the requests; adds how the fleet turns away and comes back.
    breakers
        local: each replica has its own; shared: they all have the same.
    trace
        Write every event to this file, one JSON object a line.
    report
        Write what came of it to this file: Markdown for FILE.md, JSON for FILE.json.
    check
        Exit with 3 when an expectation does not hold.
    watch
        Run again whenever the file is saved, and say what came out differently.
    json
        Print the result as JSON; for several presets {"scenario", "runs": […]}.
    """
    from sandbox.cli import outcome
    from sandbox.cli.shelf import place_of
    from sandbox.scenarios.loader import load
    from sandbox.scenarios.report import FORMS, as_json, write
    from sandbox.scenarios.runner import run

    presets, output = session.options.presets, session.output
    if report is not None and report.suffix not in FORMS:
        raise InputError(f"--report {report}: a report ends in {' or '.join(FORMS)}")
    if trace is not None and len(presets) > 1:
        raise InputError(f"--trace {trace} takes the events of one run; name one --preset")
    if watch and check:
        raise InputError("--watch ends with Ctrl-C alone, so that --check would have nothing to say")
    path = place_of(scenario, session)
    # Only settings that were asked for: a scenario's result is to be the same on every machine.
    settings = None if session.options.config is None else _settings(session)

    def turn() -> list[Result]:
        loaded = load(path)
        for sentence in loaded.notes:
            output.note(sentence)
        results = [
            run(
                loaded,
                preset=name,
                seed=seed,
                trace=trace,
                pace=_pace(speed),
                fidelity=fidelity,
                replicas=replicas,
                breakers=breakers,
                settings=settings,
                observers=[] if speed == "virtual" else [outcome.teller(output)],
            )
            for name in (presets or (None,))
        ]
        if report is not None:
            write(report, loaded, results)
        if json:
            output.json(as_json(loaded, results))
        elif len(results) == 1:
            outcome.tell_one(output, loaded, results[0])
        else:
            outcome.compare(output, loaded, results)
        return results

    if watch:
        from sandbox.cli.watching import watch as watched

        watched(path, turn, output)
    results = turn()
    return Exit.CHECK_FAILED if check and not all(result.ok for result in results) else Exit.DONE


def _settings(session: Session) -> Settings:
    """Those of --config and the environment. Its presets are the command's own affair, and may be several."""
    from sandbox.settings.loading import load

    return load(session.options.config).settings


def _pace(speed: Speed) -> Any:
    if speed == "virtual":
        return None
    from sandbox.core.pacing import Paced

    return Paced(float(speed))
