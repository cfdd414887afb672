"""What the rooms of an attached screen ask; what they are told are the reports of `sandbox.desks`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args

from pydantic import ConfigDict, Field, RootModel

from providers.errors import InputError
from sandbox.comparison.question import MOST_REPEATS
from sandbox.desks import books, compare, estimate, places, ward
from sandbox.server.admin.shapes import Asked, Told
from sandbox.settings.units import LARGEST_BUDGET, MOST_DECIMALS
from sandbox.stores import Part, Place
from sandbox.usage import periods
from sandbox.usage.base import Dimension, UsageRecord, UsageTotals

T = TypeVar("T")

MAX_KEY = 500
"""Characters of a tenant's, an agent's or a model's name."""
MAX_TEXT = 40_000
"""Characters of a prompt: a body may have no more than 64 KiB."""
MAX_COLUMNS = 400
TIMES = ("hour", "day", "month")
Span = Literal["24h", "7d", "30d", "month", "all"]
Key = Annotated[str, Field(max_length=MAX_KEY)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_KEY)]
Money = Annotated[
    Decimal,
    Field(ge=0, le=LARGEST_BUDGET, decimal_places=MOST_DECIMALS, allow_inf_nan=False, description="USD."),
]
Microseconds = Annotated[int, Field(ge=0, lt=2**63)]

assert set(get_args(Span)) == set(books.SPANS)  # noqa: S101


class CostsView(Asked):
    """What of the costs is looked at."""

    span: Span = Field(default="24h", description="How far back.")
    path: list[tuple[Dimension, Key]] = Field(
        default=[], max_length=8, description="Inside what: a dimension and its value, one in the other."
    )
    by: Literal[Dimension, "request", ""] = Field(
        default="", description="What the rows are; empty: what comes next on the way to single requests."
    )

    def asked(self) -> books.Asked:
        """Raises InputError for a time that is none."""
        for by, key in self.path:
            if by in TIMES:
                try:
                    periods.named(key)
                except ValueError as error:
                    raise InputError(f"path: {error}") from None
        return books.Asked(self.span, tuple(self.path), self.by)


class Reprice(CostsView):
    """The same with models to reprice it by."""

    targets: list[Name] = Field(default=[], max_length=8, description="`provider/model`.")


class SetTenantBudget(Asked):
    """What a tenant may spend in a month."""

    tenant: Name | None = Field(default=None, description="Null: all together.")
    limit_usd: Money | None = Field(description="USD in a calendar month (UTC); null: no limit.")


class UsageAsked(Asked):
    """Which usage records count, of the mode that is on."""

    since_us: Microseconds | None = Field(default=None, description="UTC microseconds.")
    until_us: Microseconds | None = Field(default=None, description="UTC microseconds; not these themselves.")
    tenant_id: Key | None = None
    agent_id: Key | None = None
    provider: Key | None = None
    model: Key | None = None


class ProvidersQuery(Asked):
    seconds: float = Field(
        default=300.0, ge=10, le=3600, strict=False, allow_inf_nan=False, description="How far back the curves go."
    )
    columns: int = Field(default=30, ge=1, le=MAX_COLUMNS, strict=False, description="Most points of a curve.")


class StoresQuery(Asked):
    figures: bool = Field(default=True, strict=False, description="With sizes and sums, which take longer.")
    since_us: int | None = Field(
        default=None, ge=0, lt=2**63, strict=False, description="Since when the sums are; null: the last day."
    )


class CheckProviders(Asked):
    """Who is to be asked how it is."""

    providers: list[Name] = Field(min_length=1, max_length=100)
    enable: bool = Field(default=False, description="Put them back into rotation first.")
    agreed: bool = Field(default=False, description="That it may cost real money was agreed to.")


class SetMonitor(Asked):
    """Whether all providers are asked again and again."""

    on: bool
    agreed: bool = Field(default=False, description="That it may cost real money was agreed to.")


class StoresMeant(Asked):
    """Where the cache and the usage records are to live."""

    place: Place
    part: Part | None = Field(default=None, description="Null: both.")


class SetPreset(Asked):
    """By which preset to answer from now on."""

    preset: Name


class Question(Asked):
    """A question, before it is asked."""

    body: dict[str, Any] = Field(description="As `/v1/chat/completions` takes it.")
    strategy: Annotated[str, Field(max_length=MAX_KEY)] | None = Field(
        default=None, description="As its header `x-sandbox-strategy` says."
    )


class Columns(Asked):
    keys: list[Name] = Field(default=[], max_length=32, description="`provider/model`; none: some that differ.")


class Compare(Asked):
    """One prompt on several models."""

    prompt: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    keys: list[Name] = Field(min_length=1, max_length=32, description="`provider/model`.")
    repeat: int = Field(default=1, ge=1, le=MOST_REPEATS)
    limit_usd: Money | None = Field(
        default=Decimal(0), description="Beyond it a paid comparison is only foreseen; null: it was agreed to."
    )


# --- told -----------------------------------------------------------------------------------------------------------


class Report(RootModel[T], Generic[T]):
    """What a work tells. Only the document needs the schemas, which take long to make."""

    model_config = ConfigDict(defer_build=True)


class CostsSeen(Report[books.Seen]):
    """The costs, of one moment."""


class CostsAdvised(Report[books.Advised]):
    """What it would have cost elsewhere, and what could be saved."""


class ModelsPriced(Report[books.Priced]):
    """Every model that traffic can be repriced with."""


class TenantBudgetSet(Told):
    success: bool
    tenant: str | None
    limit_usd: str | None


class UsageSummed(Report[UsageTotals]):
    """Sums over records."""


class UsageSummary(Told):
    """Sums over records, and their parts, which add up to them."""

    model_config = ConfigDict(defer_build=True)

    totals: UsageTotals
    parts: dict[Dimension, list[tuple[str, UsageTotals]]]


class UsageLine(Report[UsageRecord]):
    """One record."""


class Nothing(Told):
    """What is told is not one document."""


class ProvidersSeen(Report[ward.Providers]):
    """Every provider, and the monitor."""


class StoresKept(Report[places.Kept]):
    """Where answers and usage records are."""


class ProvidersQuestioned(Report[ward.Questioned]):
    """Whether it was done."""


class StoresTried(Report[places.Found]):
    """What a switch would find."""


class StoresSwitched(Report[places.Done]):
    """A switch, done."""


class PresetSet(Told):
    success: bool
    preset: str


class QuestionEstimated(Report[estimate.Candidates]):
    """Whom it may go to, in order: the provider, the model, and the USD that it may cost there; null is unpriced."""


class ColumnsChosen(Report[compare.Chosen]):
    """Who would be compared."""


class ColumnsNameable(Report[compare.Nameable]):
    """Everybody who could be compared."""
