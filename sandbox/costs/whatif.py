"""What the traffic that was answered would have cost on another model, or at the prices of another catalogue or day.

Priced are the requests that a provider answered, with the tokens that they had. What the response cache answered costs
nothing there too; what failed, and what was paid and not used, has no counterpart and is left out of both sides.
Everything that is not known for certain is named. Roll-ups answer where a model's price is the same for every request;
where it depends on a prompt's length, the time of day, a class of service, a region or machine time, every record is
read, one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from providers.errors import InputError
from providers.hints import did_you_mean
from providers.pricing import NAMES, Catalogue, PriceRow, catalogue
from providers.pricing.row import DAY_US, midnight_us
from providers.pricing.tokens import tokenizer_of
from providers.types import TokenUsage
from sandbox.costs.reports import CostReports
from sandbox.usage.base import UsageFilter, UsageRecord, UsageTotals
from sandbox.usage.periods import HOUR_US

_NOTHING = Decimal(0)
_FULL_DAY: Final = 24
_NAMED: Final = 3
SAME: Final = ""
"""The target that leaves each request its own model, at other prices."""


@dataclass(frozen=True, slots=True)
class Target:
    """A model to price with; without one, each request's own."""

    model: str = SAME
    provider: str | None = None
    """None: the first that the catalogue knows the model of."""

    def __str__(self) -> str:
        if not self.model:
            return "the same models"
        return self.model if self.provider is None else f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class Repriced:
    """What came out for one target. Money is USD."""

    target: str
    provider: str | None
    """Whose price it is; None: each request's own provider, or nobody's."""
    catalogue: str
    at_us: int | None
    """The time of the prices; None: the catalogue's own day."""
    requests: int
    """Those that a provider answered."""
    actual_usd: Decimal
    """What they cost."""
    cost_usd: Decimal | None
    """What they would have cost, without `unpriced`; None: none of them has a price there."""
    unpriced: int
    """Requests whose cost is not known there."""
    actual_unpriced: int
    """Requests whose own cost was not known: they are in `cost_usd` alone."""
    estimates: tuple[str, ...]
    """Why the figure is no more than an estimate, one sentence each; empty: it is exact."""

    @property
    def estimated(self) -> bool:
        return bool(self.estimates)

    @property
    def difference_usd(self) -> Decimal | None:
        """What it would have cost more (below 0: less); None where the two sums are not of the same requests."""
        if self.cost_usd is None or self.unpriced or self.actual_unpriced:
            return None
        return self.cost_usd - self.actual_usd


@dataclass(slots=True)
class _Group:
    """The requests that one model of one provider answered."""

    provider: str
    kind: str
    model: str
    totals: UsageTotals
    listed: PriceRow | None
    """What it costs by the list that the traffic was paid by, at standard rates; None: unpriced."""

    @property
    def answered(self) -> int:
        return self.totals.succeeded - self.totals.cached


@dataclass(slots=True)
class _Sum:
    cost: Decimal = _NOTHING
    priced: int = 0
    unpriced: int = 0
    estimates: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)
    """Sentences without their end, and whom they are about, in order."""

    def note(self, begin: str, end: str = "", about: str = "") -> None:
        self.estimates.setdefault((begin, end), {})[about] = None

    def sentences(self) -> tuple[str, ...]:
        return tuple(f"{begin}{_listed(list(about))}{end}" for (begin, end), about in self.estimates.items())


def targets_of(names: Sequence[str], prices: Catalogue) -> list[Target]:
    """The targets that a user named as `model` or `provider/model`. Raises InputError for a name no catalogue knows."""
    targets = []
    for name in names:
        text = name.strip()
        provider, slash, rest = text.partition("/")
        target = Target(rest, provider) if slash and rest and provider in prices.providers() else Target(text)
        if not _is_known(target, prices):
            listed = [model for kind in prices.providers() for model in prices.models_of(kind)]
            hint = did_you_mean(target.model, listed)
            raise InputError(f"no price catalogue knows the model {name!r}: {hint}`sandbox models` lists them")
        targets.append(target)
    return targets


async def what_if(
    reports: CostReports,
    where: UsageFilter,
    targets: Sequence[Target],
    prices: Catalogue,
    *,
    at_us: int | None = None,
    kinds: Mapping[str, str] | None = None,
    paid_by: Catalogue | None = None,
    from_records: bool = False,
) -> list[Repriced]:
    """What the traffic that `where` names would have cost on each target at the prices of `at_us`.

    `kinds`: which vendor stands behind a provider's id, where that is another word. `paid_by`: the list that requests
    are paid by now, where that is another one than `prices`. `from_records` reads every record even where roll-ups do,
    for the same result.
    """
    paid_by = paid_by or prices
    groups = await _groups(reports, where, kinds or {}, paid_by)
    sums = [_Sum() for _ in targets]
    by_record: dict[tuple[str, str], list[tuple[_Sum, Target, _Group]]] = {}
    for target, found in zip(targets, sums, strict=True):
        for group in groups:
            if from_records or not _is_summed(target, group, prices, at_us):
                by_record.setdefault((group.provider, group.model), []).append((found, target, group))
            else:
                _reprice_group(found, target, group, _row_of(target, group, prices, at_us), paid_by)
    if by_record:
        await _reprice_records(reports, where, by_record, prices, at_us, paid_by)
    answered = sum(group.answered for group in groups)
    actual = sum((group.totals.cost_usd for group in groups), _NOTHING)
    lacking = sum(group.totals.unpriced for group in groups)
    return [
        Repriced(
            target=str(target),
            provider=_provider_of(target, prices, at_us),
            catalogue=prices.version,
            at_us=at_us,
            requests=answered,
            actual_usd=actual,
            cost_usd=found.cost if found.priced or not answered else None,
            unpriced=found.unpriced,
            actual_unpriced=lacking,
            estimates=found.sentences(),
        )
        for target, found in zip(targets, sums, strict=True)
    ]


async def _groups(
    reports: CostReports, where: UsageFilter, kinds: Mapping[str, str], paid_by: Catalogue
) -> list[_Group]:
    groups = []
    for provider, _ in await reports.breakdown(where, "provider"):
        for model, totals in await reports.breakdown(replace(where, provider=provider), "model"):
            kind = kinds.get(provider, provider)
            group = _Group(provider, kind, model, totals, paid_by.find(kind, model))
            if group.answered:
                groups.append(group)
    return groups


# --- one group -----------------------------------------------------------------------------------------------------


def _reprice_group(found: _Sum, target: Target, group: _Group, row: PriceRow | None, paid_by: Catalogue) -> None:
    totals = group.totals
    usage = TokenUsage(
        totals.answered_prompt_tokens,
        totals.answered_completion_tokens,
        cached_input_tokens=totals.answered_cached_tokens,
        cache_write_tokens=totals.answered_write_tokens,
        reasoning_tokens=totals.answered_reasoning_tokens,
        cache_write_1h_tokens=totals.answered_write_1h_tokens,
    )
    price = None if row is None else row.cost(usage)
    if row is None or price is None:
        found.unpriced += group.answered
        return
    found.cost += price.total
    found.priced += group.answered
    _note(found, target, group, row, usage, counted_here=bool(totals.estimated))
    if not totals.unpriced and group.listed is not None and _is_summed(Target(), group, paid_by, None):
        _note_odd(found, group, group.listed, usage, totals.cost_usd)


async def _reprice_records(
    reports: CostReports,
    where: UsageFilter,
    by_record: Mapping[tuple[str, str], Sequence[tuple[_Sum, Target, _Group]]],
    prices: Catalogue,
    at_us: int | None,
    paid_by: Catalogue,
) -> None:
    if len(by_record) == 1:
        [(provider, model)] = by_record
        where = replace(where, provider=provider, model=model)
    # The day of the prices, the hour of the request: some prices depend on it.
    midnight, paid_at = _midnight(prices, at_us), _midnight(paid_by, None)
    async for record in reports.usage.scan(where):
        wanted = by_record.get((record.provider, record.model))
        if not record.success or record.cached or wanted is None:
            continue
        kind = wanted[0][2].kind
        usage = usage_of(record)
        # A price goes by the moment of the answer.
        hour = (record.timestamp_us + round(record.latency_ms * 1000)) % DAY_US
        moment = midnight + hour
        listed = own_row(record, kind, paid_by, paid_at + hour)
        for found, target, group in wanted:
            row = _row_for(found, target, record, kind, prices, moment)
            busy = record.latency_ms / 1000 if row is not None and row.provider == kind else None
            price = None if row is None else row.cost(_carried(found, usage, row, kind), busy)
            if row is None or price is None:
                found.unpriced += 1
                continue
            found.cost += price.total
            found.priced += 1
            _note(found, target, group, row, usage, counted_here=record.estimated_tokens)
            if listed is not None and record.estimated_cost is not None:
                _note_odd(found, group, listed, usage, record.estimated_cost)


def usage_of(record: UsageRecord) -> TokenUsage:
    """What the answer of a record was priced by."""
    return TokenUsage(
        record.prompt_tokens,
        record.completion_tokens,
        cached_input_tokens=record.cached_tokens,
        cache_write_tokens=record.cache_write_tokens,
        reasoning_tokens=record.reasoning_tokens,
        cache_write_1h_tokens=record.cache_write_1h_tokens,
        service_tier=record.service_tier,
        region=record.region,
    )


def own_row(record: UsageRecord, kind: str, prices: Catalogue, at_us: int) -> PriceRow | None:
    """The price of a record's own model, in its class of service; None is unpriced."""
    row = prices.find(kind, record.priced_as, at=at_us, service=record.service_tier) if record.priced_as else None
    return row or prices.find(kind, record.model, at=at_us, service=record.service_tier)


def _row_for(
    found: _Sum, target: Target, record: UsageRecord, kind: str, prices: Catalogue, at_us: int
) -> PriceRow | None:
    """The price of a record on a target: in its class of service where that is sold there too."""
    if not target.model:
        return own_row(record, kind, prices, at_us)
    service = record.service_tier
    row = prices.find(target.provider, target.model, at=at_us, service=service)
    if row is None and service is not None:
        row = prices.find(target.provider, target.model, at=at_us)
        if row is not None:
            found.note("there are no rates there for service ", ", so the standard ones are taken", service)
    return row


def _carried(found: _Sum, usage: TokenUsage, row: PriceRow, kind: str) -> TokenUsage:
    """The usage as another vendor would have it: it is not known to be bound to the same region there."""
    if usage.region is None or row.provider == kind:
        return usage
    if row.regions:
        found.note("answers bound to region ", " are taken as bound to none elsewhere", usage.region)
    return replace(usage, region=None)


def _note_odd(found: _Sum, group: _Group, listed: PriceRow, usage: TokenUsage, paid: Decimal) -> None:
    """Name a model whose requests were not paid by what their records tell at today's rates."""
    price = listed.cost(usage)
    if price is not None and price.total != paid:
        found.note(
            "some requests to ",
            " were not paid at the standard rates of today's list (other prices then; or a region, a class of service "
            "or caches of an hour, which records of older versions do not tell), by which all are priced here",
            group.model,
        )


def _note(found: _Sum, target: Target, group: _Group, row: PriceRow, usage: TokenUsage, *, counted_here: bool) -> None:
    """Name what is not known for certain."""
    kind, model, listed = group.kind, group.model, group.listed
    if counted_here:
        found.note("tokens of some requests were counted here, because the vendor sent none")
    if row.hourly_usd is not None:
        found.note("the machine's time on ", " is taken as the time the requests took", row.model)
        return
    if not target.model or (listed is not None and (row.provider, row.model) == (listed.provider, listed.model)):
        return
    if tokenizer_of(model) != tokenizer_of(target.model):
        found.note("tokens are counted in another way by ", about=model)
    cached = usage.cached_input_tokens or usage.cache_write_tokens
    if cached and row.cached_input is None:
        found.note("there is no rate for cached prompts, so the full one is taken")
    elif cached and row.provider != kind:
        found.note("prompts in the cache of ", f" are taken as cached at {row.provider} too", kind)
    if usage.reasoning_tokens:
        found.note("what was reasoned by ", " is taken as tokens of the answer", model)


def _listed(names: list[str]) -> str:
    """`a, b, c and 4 more`."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


# --- prices --------------------------------------------------------------------------------------------------------


def _row_of(target: Target, group: _Group, prices: Catalogue, at_us: int | None) -> PriceRow | None:
    if target.model:
        return prices.find(target.provider, target.model, at=at_us)
    return prices.find(group.kind, group.model, at=at_us)


def _is_summed(target: Target, group: _Group, prices: Catalogue, at_us: int | None) -> bool:
    """Whether the group's sums tell what its requests cost on the target."""
    totals = group.totals
    if totals.answered_special or (totals.answered_renamed and not target.model):
        return False
    return _is_plain(target, group, prices, at_us)


def _is_plain(target: Target, group: _Group, prices: Catalogue, at_us: int | None) -> bool:
    """Whether a sum of requests costs what the requests cost: the same rates for each, by tokens alone."""
    midnight = _midnight(prices, at_us)
    rows = {_row_of(target, group, prices, midnight + hour * HOUR_US) for hour in range(_FULL_DAY)}
    row = rows.pop()
    if rows or row is None:
        return not rows
    return not row.tiers and row.hourly_usd is None and row.input is not None and row.output is not None


def _midnight(prices: Catalogue, at_us: int | None) -> int:
    return midnight_us(prices.date) if at_us is None else at_us - at_us % DAY_US


def _provider_of(target: Target, prices: Catalogue, at_us: int | None) -> str | None:
    if not target.model:
        return None
    row = prices.find(target.provider, target.model, at=at_us)
    return target.provider if row is None else row.provider


def _is_known(target: Target, prices: Catalogue) -> bool:
    shipped = (catalogue(name) for name in NAMES)
    return any(one.find(target.provider, target.model) is not None for one in (prices, *shipped))
