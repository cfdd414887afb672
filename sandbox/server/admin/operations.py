"""What each path of the admin API does, as a table: the application, the audit log and the document are made of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from providers.errors import ConfigError, InputError
from sandbox.compat.backend_manager import BackendManager, as_numbers
from sandbox.compat.litellm_config import LLMBackend
from sandbox.core.offline import OFFLINE_MODES
from sandbox.desks.watchman import Watchman
from sandbox.server.admin import shapes, watching
from sandbox.server.admin.audit import AuditLog
from sandbox.server.admin.steering import Steering

if TYPE_CHECKING:
    from sandbox.runtime import Runtime


@dataclass(slots=True)
class Desk:
    """What the operations work with."""

    runtime: Runtime
    manager: BackendManager
    audit: AuditLog
    watchman: Watchman
    """Has seen how providers did since the server was started."""
    steering: Steering
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Changes are made one after the other, so that what the log says of before and after is of this one."""
    following: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Two who follow at once would leave the rounds of one of them to nobody, and these ask on."""

    async def watched(self) -> Watchman:
        """It looks after the gateway that there is now: another preset is another gateway."""
        async with self.following:
            if self.watchman.follows is not self.runtime.gateway:
                await self.watchman.follow(self.runtime)
        return self.watchman


@dataclass(frozen=True, slots=True)
class Call:
    """One call, checked: who asks, the path's parts, and the body or the query as its model."""

    who: str
    request_id: str
    parts: Mapping[str, str]
    asked: Any


Work = Callable[[Desk, Call], Awaitable[Mapping[str, Any] | bytes]]
Flow = Callable[[Desk, Call], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One path and method. Needs the scope `admin`."""

    method: str
    path: str
    summary: str
    work: Work | None
    """None: it has a flow."""
    told: type[BaseModel]
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The path's variables and what each may be."""
    names: bool = False
    """Its body names something that may not be there."""
    flow: Flow | None = None
    """Tells piece by piece, as it becomes known."""
    kind: str = "application/json"
    """Of what it tells."""


# --- reading --------------------------------------------------------------------------------------------------------


async def _current(desk: Desk, call: Call) -> Mapping[str, Any]:
    return await desk.manager.current_backend()


async def _health(desk: Desk, call: Call) -> Mapping[str, Any]:
    return await desk.manager.check_health(call.parts.get("backend"))


async def _costs(desk: Desk, call: Call) -> Mapping[str, Any]:
    return await desk.manager.get_costs()


async def _metrics(desk: Desk, call: Call) -> Mapping[str, Any]:
    asked: shapes.RecentQuery = call.asked
    return await desk.manager.get_metrics(asked.recent)


async def _audit(desk: Desk, call: Call) -> Mapping[str, Any]:
    asked: shapes.AuditQuery = call.asked
    items, following = desk.audit.page(limit=asked.limit, before=asked.before)
    return {"items": items, "next": following}


async def _gateway(desk: Desk, call: Call) -> Mapping[str, Any]:
    asked: shapes.GatewayQuery = call.asked
    return await watching.gateway_state(desk.runtime, asked.since_us)


# --- changing -------------------------------------------------------------------------------------------------------


async def _switch(desk: Desk, call: Call) -> Mapping[str, Any]:
    asked: shapes.SwitchBackend = call.asked
    manager = desk.manager
    return await audited(
        desk,
        call,
        "backend_switch",
        lambda: manager.switch_backend(asked.backend, asked.skip_health_check),
        lambda: {"backend": str(manager.active)},
    )


async def _set_budget(desk: Desk, call: Call) -> Mapping[str, Any]:
    asked: shapes.SetBudget = call.asked
    return await audited(
        desk,
        call,
        "budget_change",
        lambda: desk.manager.set_budget(asked.budget_limit),
        lambda: {"budget_limit": next((one.limit_usd for one in desk.runtime.budgets if one.tenant is None), None)},
    )


async def _set_endpoint(desk: Desk, call: Call) -> Mapping[str, Any]:
    asked: shapes.SetEndpoint = call.asked
    runtime, manager = desk.runtime, desk.manager
    option = runtime.settings.server.allow_private_endpoints
    # Where nobody is asked, no address can do any harm.
    private = runtime.mode in OFFLINE_MODES if option is None else option

    async def change() -> Mapping[str, Any]:
        if "?" in asked.endpoint or "#" in asked.endpoint:
            raise InputError("endpoint must be an address without a query: keys have no place in it, and are shown")
        try:
            return await manager.set_vllm_endpoint(asked.endpoint, allow_private=private)
        except ConfigError as error:
            hint = " (server.allow_private_endpoints)" if "allow private addresses" in str(error) else ""
            raise InputError(f"{error}{hint}") from None

    return await audited(
        desk,
        call,
        "vllm_endpoint_change",
        change,
        lambda: {"endpoint": manager.config.backend(LLMBackend.VLLM).endpoint},
    )


async def _provoke(desk: Desk, call: Call) -> Mapping[str, Any]:
    asked: shapes.ProvokeFault = call.asked
    runtime = desk.runtime
    if asked.provider is not None:
        watching.check_known(runtime, asked.provider)

    async def change() -> Mapping[str, Any]:
        watching.provoke(runtime, asked.provider, asked.fault)
        return {"success": True, "faults": watching.faults_of(runtime)}

    return await audited(desk, call, "fault_change", change, lambda: {"faults": watching.faults_of(runtime)})


async def _force(desk: Desk, call: Call) -> Mapping[str, Any]:
    asked: shapes.ForceBreaker = call.asked
    runtime = desk.runtime
    watching.check_known(runtime, asked.provider)
    breaker = runtime.gateway.breaker(asked.provider)

    async def change() -> Mapping[str, Any]:
        watching.command(runtime, asked.provider, asked.command)
        return {"success": True, "provider": asked.provider, "breaker": str(breaker.snapshot().state)}

    return await audited(desk, call, "breaker_change", change, lambda: {asked.provider: str(breaker.snapshot().state)})


async def audited(
    desk: Desk,
    call: Call,
    action: str,
    change: Callable[[], Awaitable[Mapping[str, Any]]],
    state: Callable[[], Mapping[str, Any]],
) -> Mapping[str, Any]:
    """Make a change between its two lines of the audit log. Raises AuditUnavailable, with nothing changed.

    One whose end cannot be written stays in the log as begun; it has been made.
    """
    audit = desk.audit
    async with desk.changing:
        entry = audit.begin(call.who, action, _plain(call.asked), as_numbers(state()), request_id=call.request_id)
        outcome = "failed"
        try:
            told = await change()
            outcome = "done" if told["success"] else "refused"
        except InputError:
            outcome = "refused"
            raise
        finally:
            audit.try_end(entry, outcome, as_numbers(state()))
    return told


def _plain(asked: BaseModel) -> dict[str, Any]:
    """A body as the log keeps it: an address without what may be a password in it."""
    from providers.vendors.settings import shown

    plain = as_numbers(asked.model_dump())
    return {name: shown(value) if name == "endpoint" else value for name, value in plain.items()}


OPERATIONS = (
    Operation("GET", "/api/admin/backend/current", "The active backend.", _current, shapes.CurrentBackend),
    Operation(
        "POST",
        "/api/admin/backend/switch",
        "Answer by another backend from now on, if a check finds it well.",
        _switch,
        shapes.BackendSwitched,
        body=shapes.SwitchBackend,
    ),
    Operation("GET", "/api/admin/backend/health", "Ask all backends how they are.", _health, shapes.AllHealth),
    Operation(
        "GET",
        "/api/admin/backend/health/{backend}",
        "Ask one backend how it is.",
        _health,
        shapes.Health,
        parts={"backend": tuple(LLMBackend)},
    ),
    Operation(
        "POST",
        "/api/admin/backend/vllm/endpoint",
        "Ask the vLLM server at another address from now on.",
        _set_endpoint,
        shapes.EndpointSet,
        body=shapes.SetEndpoint,
    ),
    Operation(
        "GET", "/api/admin/costs", "What this month has cost, and how that stands to the budget.", _costs, shapes.Costs
    ),
    Operation(
        "POST",
        "/api/admin/budget",
        "Set what may be spent in a month.",
        _set_budget,
        shapes.BudgetSet,
        body=shapes.SetBudget,
    ),
    Operation(
        "GET",
        "/api/admin/metrics",
        "Calls, tokens and latency in all, by backend and by model.",
        _metrics,
        shapes.Metrics,
        query=shapes.RecentQuery,
    ),
    Operation(
        "GET",
        "/api/admin/gateway",
        "How the gateway is: its providers, their breakers, what is provoked, what was spent.",
        _gateway,
        shapes.GatewayState,
        query=shapes.GatewayQuery,
    ),
    Operation(
        "POST",
        "/api/admin/faults",
        "Have a provider fail from now on, or heal it.",
        _provoke,
        shapes.Provoked,
        body=shapes.ProvokeFault,
        names=True,
    ),
    Operation(
        "POST",
        "/api/admin/breaker",
        "Force a provider's breaker, or let it go.",
        _force,
        shapes.BreakerForced,
        body=shapes.ForceBreaker,
        names=True,
    ),
    Operation(
        "GET", "/api/admin/audit", "Who changed what, and when.", _audit, shapes.AuditPage, query=shapes.AuditQuery
    ),
)
