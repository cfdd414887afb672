"""A pane of styled lines that scrolls by the keys of every list. Only the lines in sight are ever drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.binding import BindingType
from textual.content import Content
from textual.events import Resize
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.visual import Visual

from sandbox.tui import actions
from sandbox.tui.pieces import MUTED, Line

Writer = Callable[[int], list[Line]]

_CONTROLS = str.maketrans({code: "�" for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (0x09, 0x0A)})
"""What a terminal would obey instead of showing it. Answers and recordings may hold anything."""

NEAR_END = 2
"""Lines from the end within which the view follows what is added."""


class LinesPane(ScrollView, can_focus=True):
    """Subclasses say in `rebuild` what the lines are at a width; `put` shows them."""

    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings(actions.LIST)]
    # Lines are written for the width there is: where the other bar comes, a horizontal one would come with it and stay.
    DEFAULT_CSS = """
    LinesPane {
        overflow-x: hidden;
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Content] = []
        self._strips: dict[int, Strip] = {}

    def rebuild(self) -> None:
        """The width or the theme has changed: put the lines again."""

    @property
    def columns(self) -> int:
        """Columns for a line; 0 before the first layout."""
        return self.scrollable_content_region.width

    @property
    def count(self) -> int:
        """How many lines there are."""
        return len(self._lines)

    def content(self, number: int) -> Content:
        """One of them."""
        return self._lines[number]

    def put(self, lines: Sequence[Content], start: int = 0) -> None:
        """Show these lines from number `start` on; those before stay."""
        del self._lines[start:]
        self._lines += lines
        for number in [number for number in self._strips if number >= start]:
            del self._strips[number]
        self._grow(Size(self.columns, len(self._lines)))
        self.refresh()

    def _grow(self, size: Size) -> None:
        """Take over the new height. The screen is laid out anew only where a scroll bar comes or goes: that costs more
        than all the painting."""
        room = self.container_size.height
        if (
            not room
            or (size.height > room) != (self.virtual_size.height > room)
            or size.width != self.virtual_size.width
        ):
            self.virtual_size = size
            return
        self.set_reactive(LinesPane.virtual_size, size)
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.window_virtual_size = size.height
        self.scroll_y = self.validate_scroll_y(self.scroll_y)

    @property
    def near_end(self) -> bool:
        return self.max_scroll_y - self.scroll_y <= NEAR_END

    def on_resize(self, event: Resize) -> None:
        self._strips.clear()
        self.rebuild()

    def notify_style_update(self) -> None:
        self._strips.clear()
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        number = y + self.scroll_offset.y
        if number >= self.count:
            number = -1
        strip = self._strips.get(number)
        if strip is None:
            strip = self._strip_of(number)
            self._strips[number] = strip
        return strip

    def _strip_of(self, number: int) -> Strip:
        """A line as it stands on the screen; -1 is the blank below the last one."""
        width = self.size.width
        if number < 0:
            return Strip.blank(width, self.rich_style)
        content = harmless(self.content(number))
        if not self.ALLOW_SELECT:
            return self._quick_strip(content, width)
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(number)) is not None:
            start, end = span
            style = Style.from_styles(self.screen.get_component_styles("screen--selection"))
            content = content.stylize(style, start, len(content) if end == -1 else end)
        drawn = Visual.to_strips(self, content, width, 1, self.visual_style, apply_selection=False, pad=True)
        return (drawn[0] if drawn else Strip.blank(width, self.rich_style)).crop(0, width).apply_offsets(0, number)

    def _quick_strip(self, content: Content, width: int) -> Strip:
        """A line of which nothing can be marked: no piece of it has to know where it stands, half of the work."""
        base, variables = self.visual_style, self.app.theme_variables
        pieces = content.render(
            base, "", lambda style: style if isinstance(style, Style) else Style.parse(style, variables)
        )
        segments = [Segment(text, (base + style).rich_style) for text, style in pieces]
        return Strip(segments, content.cell_length).adjust_cell_length(width, base.rich_style)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        return selection.extract("\n".join(line.plain.rstrip() for line in self._lines)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self._strips.clear()
        self.refresh()

    def action_cursor_down(self) -> None:
        self.scroll_down(animate=False)

    def action_cursor_up(self) -> None:
        self.scroll_up(animate=False)

    def action_first(self) -> None:
        self.scroll_home(animate=False)

    def action_last(self) -> None:
        self.scroll_end(animate=False)


def harmless(content: Content) -> Content:
    """The same with a mark for each control character, which could move the cursor or worse."""
    text = content.plain
    if text.isprintable():
        return content
    return Content(harmless_text(text), [*content.spans])


def harmless_text(text: str) -> str:
    """The same, for what is not drawn line by line: a title."""
    return text.translate(_CONTROLS)


def wrapped(lines: Sequence[Line], width: int) -> list[Content]:
    """Lines of text and style as content of at most `width` columns."""
    if width < 1:
        return []
    found: list[Content] = []
    for line in lines:
        found += Content.assemble(*line).wrap(width) or [Content("")]
    return found


class WrittenPane(LinesPane):
    """Lines that are written for the width there is."""

    EMPTY = ""

    def __init__(self, id: str, title: str) -> None:
        super().__init__(id=id)
        self.border_title = title
        self._write: Writer = lambda _: [[(self.EMPTY, MUTED)]]

    def show(self, write: Writer) -> None:
        self._write = write
        self.rebuild()

    def rebuild(self) -> None:
        width = self.columns
        if width:
            self.put(wrapped(self._write(width), width))
