"""The OpenAPI document, and the server under requests made from it: none ends in 500, or in what is not described."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import settings as examples
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from sandbox.runtime import Runtime
from sandbox.server.admin import AdminServer
from sandbox.server.admin.openapi import document
from sandbox.server.admin.operations import OPERATIONS
from tests.sandbox.server.admin.support import BOSS, CALLERS, administered
from tests.sandbox.server.gateway.support import QUICK, settings

schema = schemathesis.openapi.from_dict(document())


@dataclass
class Served:
    url: str
    loop: asyncio.AbstractEventLoop
    runtime: Runtime

    def heal(self) -> None:
        """Whatever a request before has broken."""
        asyncio.run_coroutine_threadsafe(self._heal(), self.loop).result(20)

    async def _heal(self) -> None:
        self.runtime.faults.clear()
        for one in self.runtime.gateway.registry:
            one.breaker.reset()
            one.enable()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a loop of its own; `requests`, which schemathesis asks with, blocks."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    started: Future[Served] = Future()
    ended = asyncio.Event()

    async def serve(folder: Path) -> None:
        async with (
            Runtime.of(settings(folder, **CALLERS, **QUICK)) as runtime,
            AdminServer(runtime, port=0, grace=0.2) as server,
        ):
            started.set_result(Served(server.url, loop, runtime))
            await ended.wait()

    thread.start()
    serving = asyncio.run_coroutine_threadsafe(serve(tmp_path_factory.mktemp("served")), loop)
    try:
        yield started.result(20)
    finally:
        loop.call_soon_threadsafe(ended.set)
        serving.result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


@schema.exclude(path="/api/admin/events").parametrize()
@examples(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
def test_what_is_served_is_what_is_described(case: Any, served: Served) -> None:
    served.heal()
    answer = case.call(base_url=served.url, headers={**BOSS, "connection": "close"}, timeout=20)
    vendors = case.path.startswith("/v1/")
    # Whether a body can be meant, such as an address or a provider's name, is more than its form says; and of a
    # vendor's body the document describes what every one has.
    left_out = [checks.positive_data_acceptance] if case.method == "POST" else []
    left_out += [checks.negative_data_rejection] if vendors else []
    # A deadline of a few milliseconds is allowed, and missed.
    left_out += [not_a_server_error] if vendors and answer.status_code == 504 else []
    case.validate_response(answer, excluded_checks=left_out)
    assert "Traceback" not in answer.text


async def test_every_path_is_described_and_every_described_path_is_there(tmp_path):
    paths = document()["paths"]
    assert {one.path for one in OPERATIONS} <= set(paths)
    async with administered(tmp_path, **CALLERS) as rig:
        served = {
            route.resource.canonical
            for route in rig.server._app.router.routes()
            if route.resource is not None and route.method in ("GET", "POST")
        }
        assert set(paths) <= served
        assert {path for path in served if path.startswith(("/api/", "/metrics"))} <= set(paths)
        told = await rig.ask("/openapi.json")
        assert (told.status, told.json) == (200, document())


def test_no_form_is_called_by_the_module_that_it_is_in():
    """As it is where two of them have one name."""
    assert [name for name in document()["components"]["schemas"] if "__" in name] == []
