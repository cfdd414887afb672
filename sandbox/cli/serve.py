"""`sandbox serve`: the gateway as a server, for any program with OpenAI's or Anthropic's client."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from sandbox.cli.ask import provoke
from sandbox.cli.exits import Exit
from sandbox.cli.listening import check_port, schedule_of, told_to_end, unavailable, work_for_long
from sandbox.cli.session import Session
from sandbox.core.descriptors import raise_limit

if TYPE_CHECKING:
    from sandbox.runtime import Runtime
    from sandbox.scenarios.faults import Schedule
    from sandbox.serving import ServerControl, WebControl


async def serve(
    *,
    port: int = 4000,
    host: str = "127.0.0.1",
    scenario: str | None = None,
    fail: list[str] | None = None,
    web: bool = False,
    web_port: int = 8000,
    session: Annotated[Session, Parameter(parse=False)],
) -> Exit:
    """Serve the gateway on this machine, to OpenAI's and Anthropic's clients; Ctrl-C ends it.

    Parameters
    ----------
    port
        Where to listen; 0 takes a free one.
    host
        An address of this machine.
    scenario
        Break providers from the start on, as a built-in scenario (`sandbox scenarios list`) or a file says.
    fail
        PROVIDER=KIND[:ARG]: make every attempt on a provider fail, such as openai=503 or bedrock=rate_limit:2.
    web
        Also show the terminal UI in a browser, attached to this gateway; it asks for the admin token.
    web_port
        Where the browser finds it; 0 takes a free one.
    """
    check_port(port)
    check_port(web_port, "--web-port")
    schedule = schedule_of(scenario, session)
    raise_limit()
    async with session.runtime() as runtime:
        server = session.server(runtime, host=host, port=port)
        browser = session.web(server, host=host, port=web_port) if web else None
        arrange(session, runtime, schedule, fail or [])
        try:
            await server.start()
        except OSError as error:
            raise unavailable(host, port, error) from None
        with told_to_end(signal.SIGTERM) as ended:
            try:
                if schedule is not None:
                    schedule.start()
                _tell(session, runtime, server)
                if browser is not None:
                    await _show(session, server, browser, host, web_port)
                work_for_long()
                await ended.wait()
            finally:
                ended.clear()
                if browser is not None:
                    await browser.stop()
                await _stop(session, server, ended)
    return Exit.DONE


def arrange(session: Session, runtime: Runtime, schedule: Schedule | None, fail: list[str]) -> None:
    """Have providers fail as asked. Raises InputError for an unknown provider or kind."""
    provoke(runtime, fail)
    if schedule is None:
        return
    runtime.faults.follow(schedule)
    unmet = schedule.unmet(one.id for one in runtime.gateway.registry)
    if unmet:
        session.output.note(
            f"no fault meets {', '.join(unmet)}: the scenario names providers that are not here", "yellow"
        )


def _tell(session: Session, runtime: Runtime, server: ServerControl) -> None:
    output, gateway = session.output, runtime.gateway
    output.note(
        f"gateway on {server.url}: mode {gateway.mode}, preset {gateway.policy.name}, "
        f"{len(gateway.registry)} providers; Ctrl-C ends it"
    )
    for name, address in server.clients:
        output.note(f"  export {name}={address}")
    for url in server.elsewhere:
        output.note(f"  from other machines: {url}, or this machine's address in place of its name", "dim")
    if server.asks_callers:
        output.note("  keys: those with scope chat; `sandbox admin key create NAME` makes one")
    else:
        output.note("  keys: any will do, such as OPENAI_API_KEY=x; most clients want one to be set")
    for route in gateway.policy.routes:
        output.note(f"  route {route}: ask for it as a model")
    if server.admin_token is not None:
        output.note(f"  admin: Authorization: Bearer {server.admin_token}")
        output.note("  that token is for this start alone; `sandbox admin key create NAME` makes lasting keys", "dim")
    output.err.flush()


async def _show(session: Session, server: ServerControl, browser: WebControl, host: str, port: int) -> None:
    """Let browsers in. Raises CommandFailed where the port cannot be had."""
    try:
        await browser.start()
    except OSError as error:
        raise unavailable(host, port, error, "--web-port 0") from None
    way_in = "/" if server.admin_token is None else f"/?token={server.admin_token}"
    session.output.note(f"  in a browser: {browser.url}{way_in}")
    for url in browser.elsewhere:
        session.output.note(f"  in a browser elsewhere: {url}", "dim")
    session.output.err.flush()


async def _stop(session: Session, server: ServerControl, asked_again: asyncio.Event) -> None:
    """Let what is under way end, unless somebody asks a second time."""
    with told_to_end(signal.SIGINT) as interrupted:
        if server.under_way:
            session.output.note(f"finishing {server.under_way} under way; Ctrl-C again ends them at once")
            session.output.err.flush()
        loop = asyncio.get_running_loop()
        stopping = loop.create_task(server.stop())
        impatience = [loop.create_task(one.wait()) for one in (asked_again, interrupted)]
        await asyncio.wait({stopping, *impatience}, return_when=asyncio.FIRST_COMPLETED)
        for task in (stopping, *impatience):
            task.cancel()
        await asyncio.wait({stopping, *impatience})
