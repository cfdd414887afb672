"""How a provider stands in the rotation, of one moment: its breaker, and whether it is asked at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sandbox.gateway.deployments import Deployment

Shape = Literal["closed", "half_open", "open", "disabled"]


@dataclass(slots=True)
class Light:
    """One provider. `until_us`: UTC microseconds of the next probe, for an open breaker."""

    id: str
    state: str = "closed"
    until_us: int | None = None
    reason: str = ""
    """Why the breaker is as it is."""
    disabled: str | None = None
    """Why the provider (or one of its models) is out of rotation."""
    fault: str | None = None
    """What is provoked on it, in a word, such as `503`."""

    @property
    def shape(self) -> Shape:
        if self.disabled is not None:
            return "disabled"
        if self.state in ("open", "forced_open"):
            return "open"
        return "half_open" if self.state == "half_open" else "closed"

    def remaining_s(self, now_us: int) -> int | None:
        """Whole seconds to the next probe, rounded up; 0 when one is due; None when none is scheduled."""
        if self.shape != "open" or self.until_us is None:
            return None
        return max(0, -((now_us - self.until_us) // 1_000_000))

    def note(self, now_us: int) -> str:
        """What is to be said beside the name, in a word or two."""
        words = []
        if self.fault:
            words.append(f"!{self.fault}")
        left = self.remaining_s(now_us)
        if self.state == "forced_open":
            words.append("held")
        elif left is not None:
            words.append(f"{left}s" if left else "probe next")
        return " ".join(words)


def light_of(deployment: Deployment, now_us: int) -> Light:
    """A provider as it is now."""
    snapshot = deployment.breaker.snapshot()
    until = None if snapshot.retry_after is None else now_us + round(snapshot.retry_after * 1e6)
    gone = deployment.disabled(deployment.provider.model_id)
    return Light(deployment.id, snapshot.state, until, disabled=gone.message if gone else None)
