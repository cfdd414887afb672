"""`BackendManager` and `backend_manager`: which backend answers, how it is, what it cost and did.

Each method returns plain data under the names that an administrator's API shows. Money in it is Decimal; `as_numbers`
makes JSON numbers of it, as such an API prints them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from providers.clock import SYSTEM_CLOCK, Clock, iso
from providers.errors import InputError
from sandbox.compat.litellm_config import LiteLLMConfig, LLMBackend
from sandbox.compat.unified_client import llm_client
from sandbox.compat.unified_engine import UnifiedEngine

if TYPE_CHECKING:
    from providers.base import HealthReport
    from sandbox.costs.limit import AlertCallback
    from sandbox.runtime import Runtime
    from sandbox.usage.base import UsageRecord, UsageTotals

RECENT_CALLS: Final = 20
_NEEDED: Final = {LLMBackend.ANTHROPIC: "set ANTHROPIC_API_KEY", LLMBackend.VLLM: "set VLLM_ENDPOINT"}
PART: Final = "llm"
"""What `BackendSwitched` calls the part that was switched here; the stores are others."""


class BackendManager:
    """Over one engine, which clients share. What is changed here holds until the program ends.

    The active backend, the endpoint and the budget begin as the settings say: `chain`, VLLM_ENDPOINT, BUDGET_LIMIT.
    """

    def __init__(
        self,
        config: LiteLLMConfig | None = None,
        *,
        mock_mode: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        runtime: Runtime | None = None,
        engine: UnifiedEngine | None = None,
    ) -> None:
        """`runtime`: one that runs already, with both backends among its providers. `engine`: one that others use too,
        in place of the other arguments."""
        self.engine = engine or UnifiedEngine(config, mock_mode=mock_mode, clock=clock, runtime=runtime)
        self._seen: dict[LLMBackend, dict[str, Any]] = {}
        """Of each backend what the last check said."""

    @property
    def config(self) -> LiteLLMConfig:
        """The backends and their tiers. Raises ConfigError for settings that are wrong."""
        return self.engine.config

    @property
    def active(self) -> LLMBackend:
        return self.config.active

    # --- which ----------------------------------------------------------------------------------------------------

    async def current_backend(self) -> dict[str, Any]:
        """The active backend: its models by tier, its address, and what its last check said (None: none was made)."""
        active, one = self.active, self.config.backend()
        runtime = await self.engine.runtime()
        registry = runtime.gateway.registry
        return {
            "backend": str(active),
            "available_backends": [str(backend) for backend in LLMBackend],
            "available_models": self.config.tiers(),
            "models": dict(one.models),
            "default_model": one.default_tier,
            "endpoint": registry.get(active).provider.base_url if active in registry else one.endpoint,
            "timeout_seconds": one.timeout,
            "health": self._seen.get(active),
            "mode": runtime.mode,
        }

    async def switch_backend(self, backend: LLMBackend | str, skip_health_check: bool = False) -> dict[str, Any]:
        """Answer by another backend from now on, if a check finds it well, or without one.

        `success` says whether it is active now, `backend` which one is, `message` why. Raises InputError for a backend
        that there is not.
        """
        wanted = LLMBackend.of(backend)
        runtime = await self.engine.runtime()
        health = None if skip_health_check else await self._checked(runtime, wanted)
        before = self.active
        if health is not None and not health["healthy"]:
            success, message = False, f"{wanted} is not well, so {before} stays: {health['last_error']}"
        elif wanted is before:
            success, message = True, f"{wanted} was active already"
        else:
            success, message = True, f"switched from {before} to {wanted}"
            self.engine.switch(wanted)
            if runtime.bus.active:
                from sandbox.core.events import BackendSwitched

                runtime.bus.publish(BackendSwitched(runtime.clock.time_us(), "", PART, str(before), str(wanted)))
        return {
            "success": success,
            "backend": str(self.active),
            "previous_backend": str(before),
            "requested_backend": str(wanted),
            "message": message,
            "health": health,
        }

    async def set_vllm_endpoint(self, endpoint: str, *, allow_private: bool = True) -> dict[str, Any]:
        """Ask the vLLM server at this address from now on; calls under way end where they began.

        Raises ConfigError for an address that must not be called (see `checked_endpoint`).
        """
        from providers.vendors.endpoints import checked_endpoint, judge, system_lookup
        from sandbox.core.offline import OFFLINE_MODES

        runtime = await self.engine.runtime()
        lookup = None if runtime.mode in OFFLINE_MODES else system_lookup
        checked = await checked_endpoint(endpoint, source="endpoint", allow_private=allow_private, lookup=lookup)
        before = self.config.backend(LLMBackend.VLLM).endpoint
        self.engine.reconfigure(LLMBackend.VLLM, judge=judge(allow_private=allow_private), endpoint=checked)
        self._seen.pop(LLMBackend.VLLM, None)
        return {
            "success": True,
            "backend": str(LLMBackend.VLLM),
            "endpoint": checked,
            "previous_endpoint": before,
            "message": f"vllm is asked at {checked} from now on",
        }

    # --- how they are ---------------------------------------------------------------------------------------------

    async def check_health(self, backend: LLMBackend | str | None = None) -> dict[str, Any]:
        """How one backend is, or, by name, all of them: reachable, authenticated, fast_enough (None: cannot be told).

        Each is asked the smallest possible question; in live mode that costs a few tokens. Raises InputError for a
        backend that there is not.
        """
        runtime = await self.engine.runtime()
        if backend is not None:
            return await self._checked(runtime, LLMBackend.of(backend))
        found = await asyncio.gather(*(self._checked(runtime, one) for one in LLMBackend))
        return {str(one): health for one, health in zip(LLMBackend, found, strict=True)}

    async def _checked(self, runtime: Runtime, backend: LLMBackend) -> dict[str, Any]:
        from providers.base import HealthReport
        from sandbox.gateway.checks import HealthWatch

        if backend in runtime.gateway.registry:
            with self.engine.used(backend):
                report = await HealthWatch(runtime.gateway).check(backend)
        else:
            report = HealthReport(False, last_error=f"not configured: {_NEEDED[backend]}", reachable=False)
        health = _health(backend, report, runtime)
        self._seen[backend] = health
        return health

    # --- what they cost -------------------------------------------------------------------------------------------

    async def get_costs(self) -> dict[str, Any]:
        """USD spent this month (UTC) by each backend and in all, and how that stands to the budget, where there is one.

        The self-hosted backend costs uptime × hourly rate. Other providers appear where they cost something too, for
        the budget is over all. Raises UsageUnavailable.
        """
        from sandbox.compat.machine_time import month_costs
        from sandbox.costs.periods import month_of

        runtime = await self.engine.runtime()
        costs = await month_costs(runtime, self.engine.machine)
        shown = {str(one): costs.pop(one, Decimal(0)) for one in LLMBackend} | costs
        total = sum(shown.values(), Decimal(0))
        limit = next((one.limit_usd for one in runtime.budgets if one.tenant is None), None)
        used = None if limit is None else total * 100 / limit if limit else Decimal(100)
        return {
            **shown,
            "total": total,
            "budget_limit": limit,
            "remaining": None if limit is None else max(Decimal(0), limit - total),
            "budget_used_percent": None if used is None else round(used, 4),
            "period": iso(month_of(runtime.clock.time_us()))[:7],
            "mode": runtime.mode,
        }

    async def set_budget(self, budget_limit: Decimal | float | str | None) -> dict[str, Any]:
        """What all calls together may spend in a calendar month, USD; None: no limit. Returns the costs under it.

        At 75 and 90 % somebody is told; at 100 % calls are refused that cost money. Raises InputError.
        """
        runtime = await self.engine.runtime()
        before = next((one.limit_usd for one in runtime.budgets if one.tenant is None), None)
        self.engine.limit(_amount(budget_limit))
        return {"success": True, "previous_budget_limit": before, **await self.get_costs()}

    def register_alert_callback(self, callback: AlertCallback) -> None:
        """Call with the tenant (None: all), the threshold (0.75, 0.9, 1) and the USD used, when one is crossed."""
        self.engine.alert(callback)

    # --- what they did --------------------------------------------------------------------------------------------

    async def get_metrics(self, recent: int = RECENT_CALLS) -> dict[str, Any]:
        """Calls, tokens and latency in all, by backend and by model, with the newest calls first.

        From the usage records of this mode, so that a restart loses nothing. Error rates are 0 to 1, latencies are
        averages over all calls. Raises UsageUnavailable.
        """
        from sandbox.usage.base import UsageFilter, UsageTotals, UsageUnavailable

        runtime = await self.engine.runtime()
        usage, where = runtime.usage, UsageFilter(mode=runtime.settings.booked)
        if usage is None:
            raise UsageUnavailable("; ".join(runtime.notes) or "usage is not recorded")
        by_backend = {str(one): UsageTotals() for one in LLMBackend}
        by_backend |= {id: totals for id, totals in await usage.breakdown(where, "provider") if id}
        models: dict[str, dict[str, Any]] = {}
        for model, totals in await usage.breakdown(where, "model"):
            models[self.config.tier_of(model) or model] = {"model": model, **_calls(totals)}
        return {
            "overview": _calls(await usage.totals(where)),
            "by_backend": {id: _calls(totals) for id, totals in by_backend.items()},
            "by_model": models,
            "recent_calls": [self._call(record) for record in await usage.recent(where, recent)],
            "mode": runtime.mode,
        }

    def _call(self, record: UsageRecord) -> dict[str, Any]:
        return {
            "timestamp": iso(record.timestamp_us),
            "request_id": record.request_id,
            "backend": record.provider,
            "model": record.model,
            "tier": self.config.tier_of(record.model),
            "agent_id": record.agent_id,
            "success": record.success,
            "error_type": record.error_type,
            "input_tokens": record.prompt_tokens,
            "output_tokens": record.completion_tokens,
            "latency_ms": round(record.latency_ms, 3),
            "cost": record.estimated_cost,
            "retries": max(0, record.attempts - 1),
        }

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Over a runtime of somebody else's: count uptime in the background. Otherwise that happens by itself."""
        await self.engine.start()

    async def close(self) -> None:
        """Release what is open in the event loop that is running; safe to call twice."""
        await self.engine.close()

    async def __aenter__(self) -> BackendManager:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def as_numbers(payload: Any) -> Any:
    """The same with JSON numbers for money; None stays null."""
    if isinstance(payload, Decimal):
        return float(payload)
    if isinstance(payload, Mapping):
        return {key: as_numbers(value) for key, value in payload.items()}
    return [as_numbers(one) for one in payload] if isinstance(payload, list) else payload


def _health(backend: LLMBackend, report: HealthReport, runtime: Runtime) -> dict[str, Any]:
    registry = runtime.gateway.registry
    provider = registry.get(backend).provider if backend in registry else None
    return {
        "backend": str(backend),
        "healthy": report.is_healthy,
        "reachable": report.reachable,
        "authenticated": report.authenticated,
        "fast_enough": report.fast_enough,
        "latency_ms": None if report.latency_ms is None else round(report.latency_ms, 3),
        "last_error": report.last_error,
        "model": provider and provider.model,
        "endpoint": provider and provider.base_url,
        "checked_at": iso(runtime.clock.time_us()),
    }


def _calls(totals: UsageTotals) -> dict[str, Any]:
    requests = totals.requests
    return {
        "total_calls": requests,
        "successful_calls": totals.succeeded,
        "failed_calls": totals.failed,
        "error_rate": round(totals.failed / requests, 6) if requests else 0.0,
        "total_tokens": totals.tokens,
        "input_tokens": totals.prompt_tokens,
        "output_tokens": totals.completion_tokens,
        "average_latency_ms": round(totals.latency_ms_sum / requests, 3) if requests else 0.0,
        "cost": totals.cost_usd + totals.waste_usd,
        "unpriced_calls": totals.unpriced,
    }


def _amount(value: Decimal | float | str | None) -> Decimal | None:
    """USD of what a caller gives as a limit. Raises InputError."""
    from sandbox.costs.setting import amount_of

    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Decimal | int | float | str):
        raise InputError(f"budget_limit is {value!r}; write an amount of USD a month such as 150, or null for none")
    return amount_of(str(value), None, option="budget_limit")


backend_manager = BackendManager(engine=llm_client.engine)
"""The manager of the program's own client. It reads the settings when it is first used."""
