"""How figures look to a person, the same in every face: money that is never rounded to nothing, times, sizes, rates."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

UNPRICED = "unpriced"
SIMULATED_MARK = "~"
"""Stands before a figure that was simulated."""

_SIGNIFICANT = 3


def dollars(value: Decimal | None, *, simulated: bool = False, signed: bool = False) -> str:
    """USD with at least two decimals and enough of them for three significant digits; None is unpriced."""
    if value is None:
        return UNPRICED
    mark = SIMULATED_MARK if simulated else ""
    sign = "-" if value < 0 else "+" if signed and value else ""
    amount = abs(value)
    if not amount:
        return f"{mark}$0"
    places = max(2, _SIGNIFICANT - 1 - amount.adjusted())
    text = format(amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN), ",f")
    whole, _, fraction = text.partition(".")
    # Zeros beyond the cents say nothing.
    fraction = fraction[:2] + fraction[2:].rstrip("0")
    return f"{mark}{sign}${whole}.{fraction}"


def decimal(value: Decimal | None) -> str | None:
    """Money as a decimal string without an exponent and without zeros that say nothing; None is unpriced."""
    if value is None:
        return None
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration_ms(milliseconds: float) -> str:
    """`0.4 ms`, `812 ms`, `12.3 s`, `4 min 05 s`, `19 days`."""
    if milliseconds < 9.95:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 9_999.5:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    if seconds >= 2 * 86_400:
        return f"{seconds / 86_400:.0f} days"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def size(count: int) -> str:
    """`0 B`, `512 B`, `1.5 MiB`."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 99.5 else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def tokens_per_second(output_tokens: int | None, latency_ms: float | None, ttft_ms: float | None) -> float | None:
    """Output tokens over the time from the first text to the end; None where that says nothing."""
    if not output_tokens or latency_ms is None or ttft_ms is None:
        return None
    seconds = (latency_ms - ttft_ms) / 1000.0
    return output_tokens / seconds if seconds > 0.001 else None
