"""`sandbox wiretap`: the vendors' fakes on this machine, for programs with SDKs of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from cyclopts import Parameter

from providers.errors import InputError
from sandbox.cli.exits import Exit
from sandbox.cli.listening import check_port, schedule_of, terminated, unavailable, work_for_long
from sandbox.cli.session import Session
from sandbox.core.descriptors import raise_limit
from sandbox.core.offline import following

if TYPE_CHECKING:
    from providers.mock.simulated import Simulation
    from sandbox.scenarios.faults import Schedule


class Tap(Protocol):
    """The running fakes, as this face needs to know them."""

    @property
    def url(self) -> str: ...
    @property
    def fixtures(self) -> int: ...
    @property
    def problems(self) -> Mapping[str, str]: ...
    @property
    def unmet(self) -> Sequence[str]: ...
    @property
    def clients(self) -> Sequence[tuple[str, str]]: ...
    async def __aenter__(self) -> Tap: ...
    async def __aexit__(self, *_: object) -> None: ...


class OpenWiretap(Protocol):
    """Makes the fakes; the server is a face of its own, which the process hands in."""

    def __call__(self, *, host: str, port: int, simulation: Simulation, schedule: Schedule | None) -> Tap: ...


async def wiretap(
    *,
    port: int = 4010,
    host: str = "127.0.0.1",
    scenario: str | None = None,
    fixtures: list[Path] | None = None,
    seed: int | None = None,
    pace: Literal["instant", "realistic"] | None = None,
    fixtures_only: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> Exit:
    """Serve every vendor's API on this machine, from recordings and the synthetic writer; Ctrl-C ends it.

    Parameters
    ----------
    port
        Where to listen; 0 takes a free one.
    host
        An address of this machine.
    scenario
        Break the vendors from the start on, as a built-in scenario (`sandbox scenarios list`) or a file says.
    fixtures
        A folder of recordings, asked before the user's own and the packaged ones; may be given several times.
    seed
        Another seed gives other answers.
    pace
        instant, or realistic: with a first token and a speed like the vendor's.
    fixtures_only
        A request that no recording answers is refused, with the nearest one named.
    """
    check_port(port)
    schedule = schedule_of(scenario, session)
    simulation = _simulation(session, fixtures or [], seed, pace, fixtures_only)
    if session.open_wiretap is None:
        raise RuntimeError("this process was given no server")
    raise_limit()
    tap = session.open_wiretap(host=host, port=port, simulation=simulation, schedule=schedule)
    with following("mock"):
        try:
            await tap.__aenter__()
        except OSError as error:
            raise unavailable(host, port, error) from None
        try:
            _tell(session, tap, fixtures_only=fixtures_only)
            work_for_long()
            await terminated()
        finally:
            await tap.__aexit__()
    return Exit.DONE


def _simulation(
    session: Session,
    folders: Sequence[Path],
    seed: int | None,
    pace: Literal["instant", "realistic"] | None,
    fixtures_only: bool,
) -> Simulation:
    from providers.exchange import FixtureLibrary, packaged_folder
    from providers.mock.simulated import Simulation
    from sandbox.settings.prices import prices_of

    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"--fixtures {folder}: there is no such folder")
    settings = session.settings
    prices = prices_of(settings)
    return Simulation(
        seed=settings.mock.seed if seed is None else seed,
        pace=pace or settings.mock.pace or "instant",
        library=FixtureLibrary([*folders, settings.data_dir / "fixtures", packaged_folder()]),
        fixtures_only=fixtures_only,
        window_of=prices.context_window,
    )


def _tell(session: Session, tap: Tap, *, fixtures_only: bool) -> None:
    output = session.output
    rest = "nothing else answers" if fixtures_only else "the writer answers the rest"
    output.note(f"wiretap on {tap.url}: {tap.fixtures} recordings, {rest}; Ctrl-C ends it")
    if tap.unmet:
        output.note(f"no fault meets {', '.join(tap.unmet)}: the scenario names providers that are not here", "yellow")
    width = max(len(client) for client, _ in tap.clients)
    for client, setting in tap.clients:
        output.note(f"  {client:<{width}}  {setting}")
    output.note(f"  {'keys':<{width}}  any will do, such as OPENAI_API_KEY=x; most clients want one to be set")
    output.note(f"  {'what was asked':<{width}}  curl {tap.url}/__wiretap/journal")
    broken = '{"provider": "openai", "faults": ["503"]}'
    output.note(f"  {'break a vendor':<{width}}  curl {tap.url}/__wiretap/faults -d '{broken}'")
    output.err.flush()
