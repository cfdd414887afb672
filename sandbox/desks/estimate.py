"""What a question may cost on each provider that it may go to, told before anybody is asked."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from providers.types import GenerationRequest
    from sandbox.gateway.call import CallOptions
    from sandbox.gateway.gateway import Gateway

Candidates = tuple[tuple[str, str, Decimal | None], ...]
"""Provider, model, and the USD that it may cost there at most; None is unpriced."""


def candidates(gateway: Gateway, request: GenerationRequest, options: CallOptions) -> Candidates:
    """In the order in which they would be asked. Raises InputError for a model, a provider or a strategy unknown."""
    router = gateway.router
    plan = gateway.plan(request, options)
    return tuple((one.deployment.id, one.model, router.estimate(request, one)) for one in plan.candidates)
