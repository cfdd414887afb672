"""Usage records of a gateway elsewhere, as far as an export reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from providers.errors import InputError
from sandbox.desks.wire import read
from sandbox.tui.attached.client import LinkError
from sandbox.usage.base import Summary, UsageFilter, UsageRecord, UsageTotals, UsageUnavailable

if TYPE_CHECKING:
    from sandbox.tui.attached.client import GatewayClient


class RecordsElsewhere:
    """The reading half of a UsageStore. Raises UsageUnavailable like one."""

    def __init__(self, client: GatewayClient) -> None:
        self._client = client

    async def totals(self, where: UsageFilter) -> UsageTotals:
        found: UsageTotals = await self._told(UsageTotals, "totals", _named(where))
        return found

    async def summary(self, where: UsageFilter) -> Summary:
        found: Summary = await self._told(Summary, "summary", _named(where))
        return found

    async def scan(self, where: UsageFilter) -> AsyncIterator[UsageRecord]:
        rest = b""
        try:
            async for piece in self._client.pieces("usage/records", _named(where)):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    yield read(UsageRecord, line)
        except (LinkError, InputError) as error:
            raise UsageUnavailable(str(error)) from None
        if rest:
            raise UsageUnavailable("the records broke off before their end")

    async def _told(self, kind: Any, what: str, body: dict[str, Any]) -> Any:
        try:
            return read(kind, await self._client.told(f"usage/{what}", body))
        except (LinkError, InputError) as error:
            raise UsageUnavailable(str(error)) from None


def _named(where: UsageFilter) -> dict[str, Any]:
    """What is asked for; the mode is the gateway's own."""
    return {name: value for name, value in asdict(where).items() if name != "mode"}
