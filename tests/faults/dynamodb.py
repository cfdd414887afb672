"""The faults of DynamoDB and of the spool before it. A minute's outage is played in a second or two."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.dynamo import servers
from tests.dynamo.stores import made, table_of
from tests.faults.proxy import Faults, proxied
from tests.faults.runs import Outcome, Program, Row, counted, until

REQUESTS = 300
PER_SECOND = 300.0


def _through(folder: Path, play: Callable[[Program, Faults], None], set_up: Callable[[Faults], None]) -> Outcome:
    """One program behind the proxy; `set_up` before it starts, `play` while it runs."""
    url, table = servers.moto(), made(servers.moto(), folder)
    with proxied(url) as (proxy, faults):
        set_up(faults)
        program = Program(folder, table, proxy, REQUESTS, PER_SECOND)
        play(program, faults)
        answered = program.finish()
        faults.end()
        return counted(folder, table, proxy, sent=program.sent, answered=answered)


def _nothing(program: Program, faults: Faults) -> None: ...


def throttling(folder: Path) -> Outcome:
    def set_up(faults: Faults) -> None:
        faults.throttled, faults.unprocessed = 0.3, 0.5

    return _through(folder, _nothing, set_up)


def server_errors(folder: Path) -> Outcome:
    def set_up(faults: Faults) -> None:
        # The worse of the two: it was done, and nobody says so.
        faults.failed, faults.failed_when_done = 0.2, 0.4

    return _through(folder, _nothing, set_up)


def gone_and_back(folder: Path) -> Outcome:
    def play(program: Program, faults: Faults) -> None:
        program.wait_for(50)
        faults.gone = True
        program.wait_for(250)
        faults.gone = False

    return _through(folder, play, lambda _: None)


def killed_while_spooling(folder: Path) -> Outcome:
    url, table = servers.moto(), made(servers.moto(), folder)
    sent, answered = 0, []
    with proxied(url) as (proxy, faults):
        faults.gone = True
        for answers in (40, 90, 140):
            program = Program(folder, table, proxy, REQUESTS, PER_SECOND)
            program.wait_for(answers)
            answered += program.kill()
            sent += program.sent
        faults.end()
        return counted(folder, table, proxy, sent=sent, answered=answered)


def killed_while_draining(folder: Path) -> Outcome:
    url, table = servers.moto(), made(servers.moto(), folder)
    sent, answered = 0, []
    with proxied(url) as (proxy, faults):
        for number in range(3):
            # Slow, so that the kill falls into the middle of a batch; at another place each time.
            faults.delay_s = 0.03
            before = dict(faults.calls)
            program = Program(folder, table, proxy, REQUESTS, PER_SECOND)
            program.wait_for(60)
            operation = ("BatchWriteItem", "UpdateItem")[number % 2]
            seen = before.get(operation, 0) + 1 + 3 * number
            until(lambda operation=operation, seen=seen: faults.calls.get(operation, 0) >= seen)  # type: ignore[misc]
            time.sleep(0.15)
            answered += program.kill()
            sent += program.sent
        faults.end()
        return counted(folder, table, proxy, sent=sent, answered=answered)


def credentials_expired(folder: Path) -> Outcome:
    url, table = servers.moto(), made(servers.moto(), folder)
    file = folder / "credentials"

    def hold(key: str) -> None:
        file.write_text(f"[work]\naws_access_key_id = {key}\naws_secret_access_key = secret\n", encoding="utf-8")

    hold("OLD")
    environ = {"AWS_PROFILE": "work", "AWS_SHARED_CREDENTIALS_FILE": str(file)}
    with proxied(url) as (proxy, faults):
        program = Program(folder, table, proxy, REQUESTS, PER_SECOND, **environ)
        program.wait_for(50)
        faults.expired = frozenset(("OLD",))
        program.wait_for(200)
        until(lambda: "have expired" in program.said)
        hold("NEW")
        until(lambda: "takes usage records again" in program.said)
        answered = program.finish()
        return counted(folder, table, proxy, sent=program.sent, answered=answered)


def table_missing(folder: Path) -> Outcome:
    url, table = servers.moto(), table_of(folder)
    program = Program(folder, table, url, REQUESTS, PER_SECOND)
    program.wait_for(200)
    until(lambda: f"create it with `sandbox aws table create {table}" in program.said)
    made(url, folder)
    answered = program.finish()
    return counted(folder, table, url, sent=program.sent, answered=answered)


def disk_full(folder: Path) -> Outcome:
    url, table = servers.moto(), made(servers.moto(), folder)
    with proxied(url) as (proxy, faults):
        faults.gone = True
        program = Program(folder, table, proxy, REQUESTS, PER_SECOND, FILE_LIMIT="150000")
        program.wait_until_done()
        until(lambda: "cannot be used" in program.said)
        told = program.said.count("cannot be used")
        program.make_room()
        faults.gone = False
        answered = program.finish()
        outcome = counted(folder, table, proxy, sent=program.sent, answered=answered)
    if told != 1:
        outcome.wrong.append(f"it was said {told} times that the disk takes nothing")
    return outcome


def two_processes(folder: Path) -> Outcome:
    url, table = servers.moto(), made(servers.moto(), folder)
    with proxied(url) as (proxy, faults):
        faults.delay_s = 0.005
        faults.failed_when_done = 0.1
        programs = [Program(folder, table, proxy, REQUESTS, PER_SECOND) for _ in range(2)]
        programs[0].wait_for(100)
        answered = programs[0].kill()
        answered += programs[1].finish()
        faults.end()
        return counted(folder, table, proxy, sent=sum(p.sent for p in programs), answered=answered)


ROWS = (
    Row("DynamoDB throttles and leaves items unprocessed", throttling),
    Row("DynamoDB answers 500, having done it or not", server_errors),
    Row("DynamoDB gone, then back", gone_and_back),
    Row("kill -9 while spooling, three times", killed_while_spooling),
    Row("kill -9 while draining, three times", killed_while_draining),
    Row("credentials expired, then renewed", credentials_expired),
    Row("table missing, then created", table_missing),
    Row("disk full while spooling", disk_full),
    Row("two processes drain one spool, one is killed", two_processes),
)
