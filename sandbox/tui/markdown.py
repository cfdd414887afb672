"""Markdown as lines of styled text, again and again while it grows.

A widget for each block (as Textual's own Markdown has) needs longer for each piece of text the longer the answer is;
here a new piece costs its last block. The subset is what models write: headings, paragraphs, lists, quotes, code,
tables, rules and inline marks. Anything else, and any mark that is not closed yet, is shown as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from textual.content import Content

from sandbox.tui.pieces import MUTED, PLAIN, Line

MAX_INLINE_CHARS = 20_000
"""A longer paragraph is shown without inline marks: finding them is more than linear in its length."""

_FENCE = re.compile(r"^(\s*)(`{3,}|~{3,})\s*([\w+#.-]*)")
_HEADING = re.compile(r"^ {0,3}(#{1,6})\s+(.*?)\s*#*$")
_RULE = re.compile(r"^ {0,3}([-*_])(?:\s*\1){2,}\s*$")
_ITEM = re.compile(r"^(\s*)([-*+]|\d{1,9}[.)])(?:\s+(.*)|$)")
_QUOTE = re.compile(r"^ {0,3}> ?(.*)$")
_DELIMITER = re.compile(r"^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$")
_INLINE = re.compile(
    r"(?P<ticks>`+)(?P<code>.+?)(?P=ticks)(?!`)"
    r"|\*\*(?P<bold>\S(?:.*?\S)?)\*\*(?!\*)|__(?P<bold2>\S(?:.*?\S)?)__"
    r"|(?<![\w*])\*(?P<italic>[^\s*](?:[^*]*[^\s*])?)\*(?!\*)|(?<![\w_])_(?P<italic2>[^\s_](?:[^_]*[^\s_])?)_(?!\w)"
    r"|~~(?P<strike>\S(?:.*?\S)?)~~"
    r"|!?\[(?P<label>[^\]\n]*)\]\((?P<url>[^)\s]*)[^)\n]*\)"
    r"|\\(?P<escaped>[\\`*_{}\[\]()#+.!|~>-])",
    re.DOTALL,
)

CODE = "$text-accent"
CODE_BLOCK = "on $surface"
_HEADINGS = {1: "bold underline $text-primary", 2: "bold $text-primary"}


class Block(NamedTuple):
    """One block of a text; `start` is the offset of its first character."""

    kind: str
    """paragraph, heading, item, quote, code, table, rule."""
    start: int
    lines: tuple[str, ...]
    indent: int = 0
    detail: str = ""
    """A heading's level, an item's marker, a code block's language."""


class GrowingMarkdown:
    """The blocks of a text and their lines at a width. `update` takes the whole text, and does again what changed."""

    def __init__(self) -> None:
        self.text = ""
        self.lines: list[Content] = []
        self._blocks: list[tuple[Block, int]] = []
        """Each block and the number of its first line."""
        self._width = 0

    def update(self, text: str, width: int) -> int:
        """Bring the lines up to date; returns the first line that may have changed."""
        grown = width == self._width and text.startswith(self.text)
        if grown and len(text) == len(self.text):
            return len(self.lines)
        first, offset = 0, 0
        if grown and self._blocks:
            # Only the last block can change by what comes after it.
            block, first = self._blocks.pop()
            offset = block.start
        else:
            self._blocks.clear()
        del self.lines[first:]
        self.text, self._width = text, width
        previous = self._blocks[-1][0] if self._blocks else None
        for block in blocks(text, offset):
            start = len(self.lines)
            if previous is not None and not (previous.kind == block.kind == "item"):
                self.lines.append(Content(""))
            self._blocks.append((block, start))
            self.lines += rendered(block, width)
            previous = block
        return first

    @property
    def has_code(self) -> bool:
        """Whether there is code in a named language, which can be highlighted."""
        return any(block.kind == "code" and block.detail for block, _ in self._blocks)

    def highlight(self, paint: Callable[[str, str], Content]) -> None:
        """Colour the code of a finished text; `paint` gets code and language."""
        lines: list[Content] = []
        for number, (block, start) in enumerate(self._blocks):
            end = self._blocks[number + 1][1] if number + 1 < len(self._blocks) else len(self.lines)
            body = self.lines[start:end]
            if block.kind == "code" and block.detail:
                gap = len(body) - len(_code(block, self._width))
                body = body[:gap] + _code(block, self._width, paint)
            lines += body
        self.lines = lines


# --- blocks --------------------------------------------------------------------------------------------------------


def blocks(text: str, offset: int = 0) -> Iterator[Block]:
    """The blocks of a text from an offset on, which must be where a block begins."""
    lines = text[offset:].splitlines(keepends=True)
    starts = [offset]
    for line in lines:
        starts.append(starts[-1] + len(line))
    bare = [line.rstrip("\r\n") for line in lines]
    at = 0
    while at < len(bare):
        line = bare[at]
        if not line.strip():
            at += 1
            continue
        begin = at
        if fence := _FENCE.match(line):
            at += 1
            closing = re.compile(rf"^\s*{re.escape(fence[2][0])}{{{len(fence[2])},}}\s*$")
            while at < len(bare) and not closing.match(bare[at]):
                at += 1
            indent = len(fence[1])
            body = tuple(_dedent(one, indent) for one in bare[begin + 1 : at])
            yield Block("code", starts[begin], body, indent, fence[3])
            at += 1
        elif heading := _HEADING.match(line):
            at += 1
            yield Block("heading", starts[begin], (heading[2],), 0, str(len(heading[1])))
        elif _RULE.match(line):
            at += 1
            yield Block("rule", starts[begin], ())
        elif "|" in line and at + 1 < len(bare) and "|" in bare[at + 1] and _DELIMITER.match(bare[at + 1]):
            at += 2
            while at < len(bare) and "|" in bare[at]:
                at += 1
            yield Block("table", starts[begin], tuple(bare[begin:at]))
        elif item := _ITEM.match(line):
            at = _end_of_text(bare, at + 1)
            body = (item[3] or "", *(one.strip() for one in bare[begin + 1 : at]))
            yield Block("item", starts[begin], body, len(item[1].expandtabs(4)), item[2])
        elif _QUOTE.match(line):
            while at < len(bare) and _QUOTE.match(bare[at]):
                at += 1
            yield Block("quote", starts[begin], tuple(m[1] for one in bare[begin:at] if (m := _QUOTE.match(one))))
        else:
            at = _end_of_text(bare, at + 1)
            indent = len(line) - len(line.lstrip())
            yield Block("paragraph", starts[begin], tuple(one.strip() for one in bare[begin:at]), indent)


def _end_of_text(bare: list[str], at: int) -> int:
    """Where a paragraph or an item ends: at a blank line or where another block begins."""
    while at < len(bare):
        line = bare[at]
        if not line.strip() or _FENCE.match(line) or _HEADING.match(line) or _RULE.match(line):
            return at
        if _ITEM.match(line) or _QUOTE.match(line):
            return at
        if "|" in line and at + 1 < len(bare) and "|" in bare[at + 1] and _DELIMITER.match(bare[at + 1]):
            return at
        at += 1
    return at


def _dedent(line: str, indent: int) -> str:
    return line[indent:] if not line[:indent].strip() else line.lstrip()


# --- lines ---------------------------------------------------------------------------------------------------------


def rendered(block: Block, width: int) -> list[Content]:
    """The lines of one block, none wider than `width` columns."""
    width = max(8, width)
    if block.kind == "rule":
        return [Content.styled("─" * width, MUTED)]
    if block.kind == "heading":
        level = int(block.detail)
        return _wrapped(inline(block.lines[0], _HEADINGS.get(level, "bold")), width)
    if block.kind == "code":
        return _code(block, width)
    if block.kind == "table":
        return _table(block, width)
    if block.kind == "quote":
        body = inline(_joined(block.lines), MUTED)
        return [Content.assemble(("▌ ", "$primary"), line) for line in _wrapped(body, width - 2)]
    indent = min(block.indent, width // 2)
    text = inline(_joined(block.lines))
    if block.kind == "item":
        bullet = block.detail if block.detail[0].isdigit() else "•" if not indent else "◦"
        head = f"{' ' * indent}{bullet} "
        first, *rest = _wrapped(text, width - len(head)) or [Content("")]
        return [Content.assemble((head, "$text-primary"), first), *(Content(" " * len(head)) + one for one in rest)]
    return [Content(" " * indent) + line for line in _wrapped(text, width - indent)]


def _joined(lines: tuple[str, ...]) -> str:
    """Lines of one paragraph: two blanks or a backslash at a line's end keep the break."""
    return "".join(
        line.rstrip(" \\") + "\n" if line.endswith(("  ", "\\")) else line + " " for line in lines
    ).rstrip()  # fmt: skip


def inline(text: str, style: str = PLAIN) -> Line:
    """A text's pieces by its inline marks; those that are not closed stay as they are."""
    if len(text) > MAX_INLINE_CHARS:
        return [(text, style)]
    pieces: Line = []
    at = 0
    for match in _INLINE.finditer(text):
        if match.start() > at:
            pieces.append((text[at : match.start()], style))
        at = match.end()
        group = match.groupdict()
        if group["code"] is not None:
            code = group["code"]
            pieces.append((code[1:-1] if code[:1] == code[-1:] == " " and code.strip() else code, f"{CODE} {style}"))
        elif (bold := group["bold"] or group["bold2"]) is not None:
            pieces += inline(bold, f"bold {style}".strip())
        elif (italic := group["italic"] or group["italic2"]) is not None:
            pieces += inline(italic, f"italic {style}".strip())
        elif group["strike"] is not None:
            pieces += inline(group["strike"], f"strike {style}".strip())
        elif group["url"] is not None:
            pieces.append((group["label"] or group["url"], f"underline {style}".strip()))
            if group["label"] and group["label"] != group["url"]:
                pieces.append((f" ({group['url']})", MUTED))
        else:
            pieces.append((group["escaped"], style))
    if at < len(text):
        pieces.append((text[at:], style))
    return pieces


def _wrapped(pieces: Line, width: int) -> list[Content]:
    return Content.assemble(*pieces).wrap(max(1, width))


def _code(block: Block, width: int, paint: Callable[[str, str], Content] | None = None) -> list[Content]:
    """Code on a surface of its own; long lines are folded, so that nothing is out of sight."""
    room = max(8, width - 2)
    source = "\n".join(line.expandtabs(4) for line in block.lines)
    coloured = paint(source, block.detail) if paint is not None else Content(source)
    lines = []
    for line in coloured.split("\n", allow_blank=True) if source else [Content("")]:
        for part in line.fold(room) if line.cell_length > room else [line]:
            padded = Content(" ") + part + Content(" " * (width - 1 - part.cell_length))
            lines.append(padded.stylize_before(CODE_BLOCK))
    return lines


def _table(block: Block, width: int) -> list[Content]:
    rows = [_cells(line) for line in (block.lines[0], *block.lines[2:])]
    columns = max(len(row) for row in rows)
    contents = [
        [Content.assemble(*inline(cell, "bold" if not number else PLAIN)) for cell in row + [""] * (columns - len(row))]
        for number, row in enumerate(rows)
    ]
    widths = [max(1, *(row[column].cell_length for row in contents)) for column in range(columns)]
    room = max(columns, width - 3 * (columns - 1))
    while sum(widths) > room:
        widths[widths.index(max(widths))] -= 1
    lines: list[Content] = []
    for number, row in enumerate(contents):
        wrapped = [cell.wrap(size) or [Content("")] for cell, size in zip(row, widths, strict=True)]
        for level in range(max(len(cell) for cell in wrapped)):
            parts = [
                (cell[level] if level < len(cell) else Content("")).pad_right(
                    size - (cell[level].cell_length if level < len(cell) else 0)
                )
                for cell, size in zip(wrapped, widths, strict=True)
            ]
            lines.append(Content.styled(" │ ", MUTED).join(parts))
        if not number:
            lines.append(Content.styled("─┼─".join("─" * size for size in widths), MUTED))
    return lines


def _cells(line: str) -> list[str]:
    """A row's cells; an escaped bar is part of its cell."""
    text = line.strip()
    text = text[1:] if text.startswith("|") else text
    text = text[:-1] if text.endswith("|") and not text.endswith("\\|") else text
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", text)]
