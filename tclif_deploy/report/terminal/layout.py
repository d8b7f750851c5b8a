"""How text and tables fit a width: one policy for everything that a terminal shows.

Text is wrapped at spaces, so no word and no key is ever broken. A table that is too wide wraps its headings and its
cells of words; where that is not enough, or would make rows too tall, it becomes records: a block a row. In a pipe
nothing is wrapped, unless COLUMNS says how wide it is. No line ends in blanks.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console

from tclif_deploy.report.content import Bars, Table
from tclif_deploy.text import only_ascii, to_ascii, wrap

GAP = "  "
"""between columns"""
TALLEST_ROW = 6
"""lines of a table's row; where one would be taller, the table becomes records"""
TALLEST_KEY = 2
"""the same of the first column, which says what the row is about"""
BAR = 24
"""characters of a full bar"""


@dataclass(frozen=True)
class Medium:
    """What a console can show."""

    width: int | None
    """characters of a line; None where nothing limits it"""
    ascii: bool = False

    def text(self, text: str) -> str:
        """``text`` in characters that can be shown."""
        return to_ascii(text) if self.ascii else text


def medium(console: Console, environment: Mapping[str, str] = os.environ) -> Medium:
    """What ``console`` can show: a terminal has a width, a pipe only where COLUMNS gives it one."""
    columns = environment.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and int(columns) > 0 else console.width if console.is_terminal else None
    return Medium(width, only_ascii(console.file, environment))


def indented(text: str, width: int | None, indent: str = "  ") -> list[str]:
    """``text`` wrapped, with an indent before the lines after the first."""
    if width is None:
        return [text]
    first, *rest = wrap(text, width)
    if not rest:
        return [first]
    return [first, *(indent + line for line in wrap(text[len(first) + 1 :], max(1, width - len(indent))))]


def table_lines(table: Table, shown: Medium) -> tuple[list[str], list[str]]:
    """The heading of a table, with its rule, and its rows, as lines."""
    columns = [shown.text(column) for column in table.columns]
    rows = [[shown.text(cell) for cell in row] for row in table.rows]
    is_left = [column in table.left for column in table.columns]
    wrappable = [left and name not in table.whole for name, left in zip(table.columns, is_left, strict=True)]
    widths = column_widths(columns, rows, wrappable, shown.width)
    if widths is None:
        return [], records(columns, rows, shown.width)
    if "layer" in table.columns and shown.width is not None:
        rows = _without_repeats(rows, table.columns.index("layer"))
    head = _row(columns, widths, is_left)
    rule = shown.text("─") * (sum(widths) + len(GAP) * (len(widths) - 1))
    return [*head, rule], [line for row in rows for line in _row(row, widths, is_left)]


def column_widths(
    columns: Sequence[str], rows: Sequence[Sequence[str]], wrappable: Sequence[bool], width: int | None
) -> list[int] | None:
    """Characters of each column, so that the table fits ``width``; None where it cannot, or only with tall rows.

    A column that is not ``wrappable`` keeps its cells whole; headings and other cells may wrap at spaces.

    Examples
    --------
    >>> column_widths(["limit", "synaptic memory"], [["max_fan_in", "4096"]], [True, False], 20)
    [10, 8]
    """
    cells = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    widest = [max(map(cell_len, (name, *below))) for name, below in zip(columns, cells, strict=True)]
    if width is None:
        return widest
    least = [
        max(_longest_word(name), *(_longest_word(cell) if words else cell_len(cell) for cell in below), 0)
        for name, below, words in zip(columns, cells, wrappable, strict=True)
    ]
    spare = width - len(GAP) * (len(columns) - 1)
    if sum(least) > spare:
        return None
    widths = list(widest)
    while sum(widths) > spare:
        n = max((n for n in range(len(widths)) if widths[n] > least[n]), key=lambda n: widths[n])
        widths[n] -= 1
    heights = [[len(wrap(cell, size)) for cell, size in zip(row, widths, strict=True)] for row in rows]
    fits = all(row[0] <= TALLEST_KEY and max(row) <= TALLEST_ROW for row in heights)
    return widths if fits else None


def records(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """A block a row: the first cell, and below it a line ``heading: cell`` for each other that is not empty.

    Of two columns, a line ``first cell: second cell``.
    """
    lines = []
    if len(columns) == 2:
        return [line for row in rows for line in indented(": ".join(filter(None, row)), width)]
    for row in rows:
        lines += indented(row[0], width)
        for name, cell in zip(columns[1:], row[1:], strict=True):
            if cell:
                label = f"  {name}: " if name else "  "
                first, *rest = wrap(cell, None if width is None else max(1, width - 4), max(0, cell_len(label) - 4))
                lines += [label + first, *(f"    {line}" for line in rest)]
    return lines


def bar_lines(bars: Bars, shown: Medium) -> list[tuple[str, str, str, bool]]:
    """(label, bar, text, whether it is more than full) of each line; a text that does not fit beside follows below."""
    labels = [shown.text(bar.label) for bar in bars.bars]
    wide = max(map(cell_len, labels), default=0)
    size = BAR if shown.width is None else max(1, min(BAR, shown.width - wide - len(GAP)))
    lines = []
    for label, bar in zip(labels, bars.bars, strict=True):
        full = round(size * min(1.0, bar.share))
        drawn, text = shown.text("█" * full + "·" * (size - full)), shown.text(bar.text)
        start = label + " " * (wide - cell_len(label))
        if shown.width is None or wide + size + cell_len(text) + 2 * len(GAP) <= shown.width:
            lines.append((start + GAP, drawn, GAP + text, bar.share > 1))
        else:
            lines.append((start + GAP, drawn, "", bar.share > 1))
            lines += [("", "", GAP + line, False) for line in wrap(text, shown.width - len(GAP))]
    return lines


def _without_repeats(rows: Sequence[Sequence[str]], column: int) -> list[list[str]]:
    """The rows without what a column repeats from the row above."""
    shown, above = [], None
    for row in rows:
        cells = list(row)
        if cells[column] == above:
            cells[column] = ""
        above = row[column]
        shown.append(cells)
    return shown


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split(" ")), default=0)


def _row(cells: Sequence[str], widths: Sequence[int], is_left: Sequence[bool]) -> list[str]:
    """The lines of one row, each cell wrapped into its column."""
    wrapped = [wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
    lines = []
    for n in range(max(map(len, wrapped), default=0)):
        line = []
        for cell, width, left in zip(wrapped, widths, is_left, strict=True):
            text = cell[n] if n < len(cell) else ""
            blanks = " " * (width - cell_len(text))
            line.append(text + blanks if left else blanks + text)
        lines.append(GAP.join(line).rstrip())
    return lines
