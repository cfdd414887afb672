"""Between what the admin API tells of a gateway and what the screen's engine reports; and a question as it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from sandbox.desks.lights import Light
from sandbox.tui.attached.client import LinkError
from sandbox.tui.questions import question
from sandbox.tui.reports import Opened, ProviderInfo

if TYPE_CHECKING:
    from sandbox.desks.estimate import Candidates
    from sandbox.tui.attached.client import GatewayClient
    from sandbox.tui.reports import Ask

State = dict[str, Any]
"""The answer of `GET /api/admin/gateway`."""


def opened(state: State, url: str, now_us: int) -> Opened:
    """The gateway as rooms hear of one."""
    from providers import factory

    # Whoever copies a request from here asks the gateway itself, by the format that it takes any model in.
    way = factory.create("vllm", base_url=f"{url}/v1")
    return Opened(
        mode=state["mode"],
        preset=state["preset"],
        presets=tuple(state["presets"]),
        strategy=state["strategy"],
        strategies=tuple(state["strategies"]),
        providers=tuple(ProviderInfo(one["id"], one["kind"], one["model"], way) for one in state["providers"]),
        lights=tuple(
            Light(
                one["id"],
                one["breaker"],
                None if one["retry_after_s"] is None else now_us + round(one["retry_after_s"] * 1e6),
                disabled=one["disabled"],
            )
            for one in state["providers"]
        ),
        models=tuple(state["models"]),
        deadline_s=state["deadline_s"],
        notes=tuple(state["notes"]),
    )


def lights(state: State) -> list[tuple[str, str, str | None]]:
    """What the provider strip would show, countdowns apart."""
    return [(one["id"], one["breaker"], one["disabled"]) for one in state["providers"]]


async def estimated(client: GatewayClient, ask: Ask, state: State) -> Candidates:
    """What a question may cost there. Raises LinkError, InputError or InvalidRequestError."""
    from sandbox.desks.estimate import Candidates
    from sandbox.desks.wire import read

    body, _ = asked_body(ask, state)
    try:
        told = await client.told("estimate", {"body": orjson.Fragment(body), "strategy": ask.strategy})
    except LinkError as error:
        if error.status not in (404, 413):
            raise
        # An older version does not know, and nobody does of what is longer than the admin API reads.
        return tuple((one["id"], one["model"], None) for one in state["providers"])
    found: Candidates = read(Candidates, told)
    return found


def asked_body(ask: Ask, state: State) -> tuple[bytes, dict[str, str]]:
    """A question as OpenAI's chat completion, and its headers. Raises InputError or InvalidRequestError."""
    from providers.dialects.base import Quirks
    from providers.dialects.openai_chat.request import request_body

    request, _ = question(ask, "")
    body = request_body(request, model="", stream=ask.stream, quirks=Quirks())
    body["model"] = request.model
    if ask.provider is not None:
        # That one first, and then the others in their order, as the screen promises.
        body["model"], *others = [
            f"{one['id']}/{request.model or one['model']}"
            for one in sorted(state["providers"], key=lambda one: one["id"] != ask.provider)
        ]
        body["fallbacks"] = [request.model] if request.model else others
    headers = {"x-sandbox-no-cache": "1"} if ask.no_cache else {}
    if ask.strategy:
        headers["x-sandbox-strategy"] = ask.strategy
    return orjson.dumps(body), headers
