"""What a deployment remembers of disabled models does not grow with the names that callers think of."""

from __future__ import annotations

from providers.errors import AuthenticationError, PermissionDeniedError
from providers.mock.provider import MockProvider
from sandbox.gateway.breaker import BreakerPolicy, CircuitBreaker
from sandbox.gateway.deployments import MAX_DISABLED, RETEST_AFTER, Deployment
from tests.fake_clock import FakeClock


def deployment(clock: FakeClock) -> Deployment:
    return Deployment("mock", MockProvider(), CircuitBreaker(BreakerPolicy(), clock), clock)


def test_models_that_are_due_for_a_test_are_forgotten() -> None:
    clock = FakeClock()
    one = deployment(clock)
    for index in range(100):
        one.disable(PermissionDeniedError("no"), f"m{index}")
    clock.now += RETEST_AFTER
    one.disable(PermissionDeniedError("no"), "last")
    assert list(one._disabled) == ["last"]


def test_many_models_at_once_do_not_push_out_the_credential() -> None:
    one = deployment(FakeClock())
    one.disable(AuthenticationError("bad key"), None)
    for index in range(MAX_DISABLED + 50):
        one.disable(PermissionDeniedError("no"), f"m{index}")
    assert len(one._disabled) == MAX_DISABLED
    assert isinstance(one.disabled("m0"), AuthenticationError)
    one._disabled.pop(None)
    assert one.disabled("m0") is None
    assert one.disabled(f"m{MAX_DISABLED + 49}") is not None
