"""What the rooms of an attached screen have the gateway do: the works of `sandbox.desks`, each by a path of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import orjson

from providers.dialects import dialect
from providers.errors import InputError, ServiceUnavailableError
from sandbox.comparison.question import Question
from sandbox.desks import books, compare, places, ward
from sandbox.desks.base import RoomReport
from sandbox.desks.estimate import candidates
from sandbox.desks.wire import written
from sandbox.server.admin import room_shapes as shapes
from sandbox.server.admin.feed import note
from sandbox.server.admin.flows import flow_of
from sandbox.server.admin.operations import Call, Desk, Operation, audited
from sandbox.server.admin.watching import check_known
from sandbox.server.gateway import asking
from sandbox.stores import BackendUnavailable, backends_at
from sandbox.usage.base import UsageFilter, UsageStore
from sandbox.usage.periods import DAY_US

EVENT_STREAM: Final = "text/event-stream"
LINES: Final = "application/x-ndjson"
CHAT: Final = "/v1/chat/completions"


async def _only(work: Any, *arguments: Any) -> bytes:
    """The one report of a work. Raises ServiceUnavailableError where there are no records to be told from."""
    told: list[RoomReport] = []
    await work(*arguments, told.append)
    if not told or isinstance(told[-1], books.Unreadable):
        raise ServiceUnavailableError(told[-1].message if told else books.OFF, status=503)  # type: ignore[attr-defined]
    return written(told[-1])


# --- costs ----------------------------------------------------------------------------------------------------------


async def _costs(desk: Desk, call: Call) -> bytes:
    asked: shapes.CostsView = call.asked
    return await _only(books.look, asked.asked(), desk.runtime)


async def _advice(desk: Desk, call: Call) -> bytes:
    asked: shapes.Reprice = call.asked
    return await _only(books.advise, asked.asked(), asked.targets, desk.runtime)


async def _priced(desk: Desk, call: Call) -> bytes:
    return await _only(books.models, desk.runtime)


async def _budget(desk: Desk, call: Call) -> Mapping[str, Any]:
    asked: shapes.SetTenantBudget = call.asked
    runtime = desk.runtime

    def state() -> Mapping[str, Any]:
        limit = next((one.limit_usd for one in runtime.budgets if one.tenant == asked.tenant), None)
        return {"tenant": asked.tenant, "limit_usd": None if limit is None else format(limit, "f")}

    async def change() -> Mapping[str, Any]:
        runtime.set_budget(asked.tenant, asked.limit_usd)
        return {"success": True, **state()}

    return await audited(desk, call, "budget_change", change, state)


# --- usage records --------------------------------------------------------------------------------------------------


def _records(desk: Desk, call: Call) -> tuple[UsageStore, UsageFilter]:
    asked: shapes.UsageAsked = call.asked
    usage = desk.runtime.usage
    if usage is None:
        raise ServiceUnavailableError(books.OFF, status=503)
    return usage, UsageFilter(desk.runtime.gateway.mode, **asked.model_dump())


async def _totals(desk: Desk, call: Call) -> bytes:
    usage, where = _records(desk, call)
    return written(await usage.totals(where))


async def _summary(desk: Desk, call: Call) -> bytes:
    usage, where = _records(desk, call)
    return written(await usage.summary(where))


async def _scan(desk: Desk, call: Call) -> AsyncIterator[bytes]:
    usage, where = _records(desk, call)
    async for record in usage.scan(where):
        yield written(record) + b"\n"


# --- health ---------------------------------------------------------------------------------------------------------


async def _providers(desk: Desk, call: Call) -> bytes:
    asked: shapes.ProvidersQuery = call.asked
    return await _only(ward.look, await desk.watched(), asked.seconds, asked.columns, desk.runtime)


async def _check(desk: Desk, call: Call) -> Mapping[str, Any]:
    asked: shapes.CheckProviders = call.asked
    for provider in asked.providers:
        check_known(desk.runtime, provider)
    runtime, ids = desk.runtime, tuple(dict.fromkeys(asked.providers))
    told: list[RoomReport] = []
    if not asked.agreed and ward.foresee(runtime, ids, asked.enable, None, told.append):
        return {"success": False, "foreseen": told[0]}
    if asked.enable:
        await _enable(desk, call, ids)
    # Not between two lines of the log: a provider that hangs is not to keep others from being forced.
    await ward.check(await desk.watched(), ids, False, True, runtime, told.append)
    return {"success": True, "foreseen": None}


async def _enable(desk: Desk, call: Call, ids: Sequence[str]) -> None:
    gateway = desk.runtime.gateway

    async def change() -> Mapping[str, Any]:
        for id in ids:
            gateway.enable(id)
        return {"success": True}

    def state() -> Mapping[str, Any]:
        return {one.id: one.disabled for one in gateway.health() if one.id in ids}

    await audited(desk, call, "provider_enable", change, state)


async def _monitor(desk: Desk, call: Call) -> Mapping[str, Any]:
    asked: shapes.SetMonitor = call.asked
    watchman = await desk.watched()

    async def change() -> Mapping[str, Any]:
        told: list[RoomReport] = []
        if asked.on:
            await ward.begin_rounds(watchman, asked.agreed, desk.runtime, told.append)
        else:
            await ward.end_rounds(watchman, desk.runtime, told.append)
        return {"success": not told, "foreseen": told[0] if told else None}

    return await audited(desk, call, "monitor_change", change, lambda: {"monitor": watchman.running})


# --- stores ---------------------------------------------------------------------------------------------------------


async def _stores(desk: Desk, call: Call) -> bytes:
    asked: shapes.StoresQuery = call.asked
    since = desk.runtime.clock.time_us() - DAY_US if asked.since_us is None else asked.since_us
    return await _only(places.look, asked.figures, since, desk.runtime)


async def _try_out(desk: Desk, call: Call) -> Mapping[str, Any]:
    asked: shapes.StoresMeant = call.asked
    checks = await desk.runtime.check_backend(asked.place, part=asked.part)
    return {"backends": backends_at(asked.place, asked.part, desk.runtime.settings), "checks": checks}


async def _move(desk: Desk, call: Call) -> Mapping[str, Any]:
    asked: shapes.StoresMeant = call.asked
    runtime = desk.runtime

    async def change() -> Mapping[str, Any]:
        try:
            changes = await runtime.switch_backend(asked.place, part=asked.part)
        except BackendUnavailable as error:
            raise InputError(str(error)) from None
        wanted = backends_at(asked.place, asked.part, runtime.settings)
        return {"success": True, "changes": changes, "backends": wanted}

    return await audited(
        desk, call, "store_switch", change, lambda: {str(part): one for part, one in runtime.backends.items()}
    )


# --- the gateway ----------------------------------------------------------------------------------------------------


async def _preset(desk: Desk, call: Call) -> Mapping[str, Any]:
    asked: shapes.SetPreset = call.asked
    runtime = desk.runtime

    async def change() -> Mapping[str, Any]:
        runtime.use_preset(asked.preset)
        desk.steering.look()
        # Else the rounds would go on asking the providers of the gateway that was left.
        await desk.watched()
        return {"success": True, "preset": runtime.gateway.policy.name}

    return await audited(desk, call, "preset_change", change, lambda: {"preset": runtime.gateway.policy.name})


# --- asking ---------------------------------------------------------------------------------------------------------


async def _estimate(desk: Desk, call: Call) -> bytes:
    asked: shapes.Question = call.asked
    body, headers = orjson.dumps(asked.body), {} if asked.strategy is None else {"x-sandbox-strategy": asked.strategy}
    chat = dialect("openai_chat")
    read = asking.read(chat, body, headers, path=CHAT, ident=call.request_id, store_streams=False)
    request, *_, options = desk.steering(read)
    return written(candidates(desk.runtime.gateway, request, options))


# --- comparing ------------------------------------------------------------------------------------------------------


async def _columns(desk: Desk, call: Call) -> bytes:
    asked: shapes.Columns = call.asked
    return await _only(compare.who, asked.keys, desk.runtime)


async def _nameable(desk: Desk, call: Call) -> bytes:
    return await _only(compare.everybody, desk.runtime)


async def _compare(desk: Desk, call: Call) -> AsyncIterator[bytes]:
    asked: shapes.Compare = call.asked
    question = Question((asked.prompt,), asked.repeat)

    async def work(tell: Any) -> None:
        await compare.race(call.request_id, question, asked.keys, asked.limit_usd, desk.runtime, tell)

    async for step in flow_of(work):
        yield b"event: " + type(step).__name__.encode() + b"\ndata: " + written(step) + b"\n\n"
    yield note("end")


ROOMS: Final = (
    Operation("POST", "/api/admin/costs/view", "What was spent, whose it was, and how budgets stand.", _costs,
              shapes.CostsSeen, body=shapes.CostsView),
    Operation("POST", "/api/admin/costs/advice", "What it would have cost elsewhere, and what could be saved.", _advice,
              shapes.CostsAdvised, body=shapes.Reprice),
    Operation("GET", "/api/admin/costs/models", "The models that traffic can be repriced with.", _priced,
              shapes.ModelsPriced),
    Operation("POST", "/api/admin/costs/budget", "Set what a tenant, or all together, may spend in a month.", _budget,
              shapes.TenantBudgetSet, body=shapes.SetTenantBudget),
    Operation("POST", "/api/admin/usage/totals", "Sums over usage records.", _totals,
              shapes.UsageSummed, body=shapes.UsageAsked),
    Operation("POST", "/api/admin/usage/summary", "The same with those of each tenant, agent, provider and model.",
              _summary, shapes.UsageSummary, body=shapes.UsageAsked),
    Operation("POST", "/api/admin/usage/records", "Every usage record, one JSON line each, oldest first.", None,
              shapes.UsageLine, body=shapes.UsageAsked, flow=_scan, kind=LINES),
    Operation("GET", "/api/admin/providers", "How every provider is and was: breakers, checks, curves.", _providers,
              shapes.ProvidersSeen, query=shapes.ProvidersQuery),
    Operation("POST", "/api/admin/providers/check", "Ask providers how they are, now.", _check,
              shapes.ProvidersQuestioned, body=shapes.CheckProviders, names=True),
    Operation("POST", "/api/admin/providers/monitor", "Ask all providers again and again, or stop that.", _monitor,
              shapes.ProvidersQuestioned, body=shapes.SetMonitor),
    Operation("GET", "/api/admin/stores", "Where answers and usage records are, and how that is.", _stores,
              shapes.StoresKept, query=shapes.StoresQuery),
    Operation("POST", "/api/admin/stores/check", "Try out what a switch of stores would find.", _try_out,
              shapes.StoresTried, body=shapes.StoresMeant),
    Operation("POST", "/api/admin/stores/switch", "Put stores elsewhere while requests go on, if they work there.",
              _move, shapes.StoresSwitched, body=shapes.StoresMeant),
    Operation("POST", "/api/admin/preset", "Answer by another preset from now on, with fresh breakers.", _preset,
              shapes.PresetSet, body=shapes.SetPreset),
    Operation("POST", "/api/admin/estimate", "What a question may cost, before anybody is asked it.", _estimate,
              shapes.QuestionEstimated, body=shapes.Question),
    Operation("POST", "/api/admin/compare/columns", "Who would be compared.", _columns,
              shapes.ColumnsChosen, body=shapes.Columns),
    Operation("GET", "/api/admin/compare/models", "Everybody who could be compared, with prices.", _nameable,
              shapes.ColumnsNameable),
    Operation("POST", "/api/admin/compare", "Ask several models the same: server-sent events as they answer.", None,
              shapes.Nothing, body=shapes.Compare, flow=_compare, kind=EVENT_STREAM),
)  # fmt: skip
