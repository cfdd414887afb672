"""A list of which only the rows in sight are ever made, so that a hundred thousand are as quick as ten."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size

from sandbox.tui.lines import LinesPane, wrapped
from sandbox.tui.pieces import MUTED, Line

CONTEXT = 2
"""Rows above and below the cursor that are in sight too."""


class CursorPane(LinesPane):
    """Subclasses say how many rows there are and what is in one, and are told when the cursor is moved by hand."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        # In place of a pane's scrolling.
        Binding("down", "cursor_down", show=False),
        Binding("up", "cursor_up", show=False),
        Binding("home", "first", show=False),
        Binding("end", "last", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.cursor = -1
        """The row that is chosen; -1: none."""
        self.empty = ""
        """What is said where there is no row."""

    def row_count(self) -> int:
        raise NotImplementedError

    def row_line(self, number: int, width: int) -> Line:
        raise NotImplementedError

    def moved(self) -> None:
        """The cursor has been moved by a key or a click."""

    # --- drawing --------------------------------------------------------------------------------------------------

    def rebuild(self) -> None:
        """The rows have changed, or how wide they are."""
        width = self.columns
        if not width:
            return
        rows = self.row_count()
        self.cursor = min(self.cursor, rows - 1)
        if rows:
            self._strips.clear()
            self._grow(Size(width, rows))
            self.refresh()
            self.follow()
            if not self._in_sight:
                # Only a new layout makes room to scroll.
                self.call_after_refresh(self.follow)
        else:
            self.put(wrapped([[(part, MUTED)] for part in self.empty.split("\n")], width))

    @property
    def count(self) -> int:
        return self.row_count() or len(self._lines)

    def content(self, number: int) -> Content:
        if not self.row_count():
            return super().content(number)
        content = Content.assemble(*self.row_line(number, self.columns))
        if number == self.cursor:
            content = content.pad_right(max(0, self.columns - content.cell_length))
            content = content.stylize("on $primary 35%" if self.has_focus else "on $foreground 10%")
        return content

    def repaint(self) -> None:
        """Something about the rows in sight has changed."""
        self._strips.clear()
        self.refresh()

    def on_focus(self) -> None:
        self.repaint()

    def on_blur(self) -> None:
        self.repaint()

    # --- the cursor -----------------------------------------------------------------------------------------------

    def put_cursor(self, to: int) -> None:
        """Stand on a row, without telling anybody; -1: on none."""
        to = max(-1, min(to, self.row_count() - 1))
        if to == self.cursor:
            return
        for number in (self.cursor, to):
            if number >= 0:
                self._strips.pop(number, None)
                self.refresh_line(number)
        self.cursor = to
        self.follow()

    @property
    def _in_sight(self) -> bool:
        top = self.scroll_offset.y
        return top <= max(0, self.cursor) < top + self.scrollable_content_region.height

    def follow(self) -> None:
        """Keep the cursor in sight, and what is around it."""
        around = min(CONTEXT, (self.scrollable_content_region.height - 1) // 2)
        region = Region(0, max(0, self.cursor - around), 1, 1 + 2 * around)
        self.scroll_to_region(region, animate=False, immediate=True, force=True)

    def move(self, to: int) -> None:
        """To a row, by hand."""
        if self.row_count():
            self.put_cursor(max(0, to))
            self.moved()

    def action_cursor_down(self) -> None:
        self.move(self.cursor + 1)

    def action_cursor_up(self) -> None:
        self.move(self.cursor - 1)

    def action_first(self) -> None:
        self.move(0)

    def action_last(self) -> None:
        self.move(self.row_count() - 1)

    def action_page(self, pages: int) -> None:
        self.move(self.cursor + pages * max(1, self.scrollable_content_region.height - 1))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and 0 <= offset.y + self.scroll_offset.y < self.row_count():
            self.move(offset.y + self.scroll_offset.y)
