"""What a tenant, or all together, may spend in a month: a dialog of two boxes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from providers.errors import InputError
from sandbox.core.figures import decimal, dollars
from sandbox.costs.base import whose
from sandbox.costs.setting import amount_of
from sandbox.tui.pieces import BAD, MUTED, PLAIN

Chosen = tuple[str | None, Decimal | None]
"""Whose (None: all together), and USD a month (None: without a limit)."""


class BudgetDialog(ModalScreen[Chosen | None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close"),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]

    def __init__(self, tenant: str | None, limits: Mapping[str | None, Decimal], file: Path | None, until: str) -> None:
        """`tenant` is proposed; `limits` are those that there are; `file`: where it will be written, or `until` when it
        holds."""
        super().__init__()
        self._limits = limits
        self._file = file
        self._until = until
        self._tenant = Input(tenant or "", placeholder="empty: all tenants together", compact=True, id="budget-tenant")
        self._amount = Input("", placeholder="such as 20; none takes it away", compact=True, id="budget-amount")
        self._said = Static()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = "Budget"
            box.border_subtitle = "Enter set · Tab other box · Esc close"
            yield Static(Content.styled("tenant", MUTED))
            yield self._tenant
            yield Static(Content.styled("USD a month (UTC)", MUTED))
            yield self._amount
            yield self._said

    def on_mount(self) -> None:
        self._propose()
        self._amount.focus()

    @property
    def tenant(self) -> str | None:
        return self._tenant.value.strip() or None

    @on(Input.Changed, "#budget-tenant")
    def _propose(self) -> None:
        """The limit that there is."""
        self._amount.value = decimal(self._limits.get(self.tenant)) or ""
        self._look()

    @on(Input.Changed, "#budget-amount")
    def _look(self) -> None:
        where = f"; written to {self._file}" if self._file is not None else f"; {self._until}"
        if not self._amount.value.strip():
            before = self._limits.get(self.tenant)
            now = "no budget" if before is None else f"{dollars(before)} a month"
            self._said.update(Content.styled(f"{whose(self.tenant)}: {now}", MUTED))
            return
        try:
            limit = amount_of(self._amount.value, self.tenant, option="the budget")
        except InputError as error:
            self._said.update(Content.styled(str(error), BAD))
            return
        told = "no budget" if limit is None else f"{dollars(limit)} a month"
        self._said.update(Content.assemble((f"{whose(self.tenant)}: {told}", PLAIN), (where, MUTED)))

    @on(Input.Submitted)
    def _done(self) -> None:
        try:
            limit = amount_of(self._amount.value, self.tenant, option="the budget")
        except InputError:
            self.app.bell()
            self._amount.focus()
        else:
            self.dismiss((self.tenant, limit))
