"""How networks, data and results look at a prompt and in a notebook: a few lines, never their arrays."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from tclif_deploy.errors import one_line

MOST_ROWS = 20
"""rows of a table; of more, the first and the last are shown"""


@dataclass(frozen=True)
class Brief:
    """What a person wants to know: a line, and perhaps a table.

    Examples
    --------
    >>> print(Brief("two layers", ("layer", "neurons"), [("a", "64"), ("out", "4")]).text())
    two layers
      layer  neurons
      a      64
      out    4
    >>> Brief("x < 1").html()
    '<p>x &lt; 1</p>'
    """

    line: str
    columns: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ()

    def text(self) -> str:
        """Lines of aligned columns; what cannot be printed in the names of a file is escaped."""
        table = [[one_line(cell) for cell in row] for row in (self.columns, *self._shown())]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        rows = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)
        return "\n".join([one_line(self.line), *(f"  {row}" for row in rows if row)])

    def html(self) -> str:
        """A paragraph and a table; every text is escaped."""
        line = f"<p>{html.escape(one_line(self.line))}</p>"
        if not self.rows:
            return line
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        cells = ("".join(f"<td>{html.escape(one_line(cell))}</td>" for cell in row) for row in self._shown())
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        return f"{line}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _shown(self) -> Sequence[tuple[str, ...]]:
        if len(self.rows) <= MOST_ROWS:
            return self.rows
        left_out = (f"... {len(self.rows) - MOST_ROWS + 1} more", *[""] * (len(self.columns) - 1))
        return [*self.rows[: MOST_ROWS - 2], left_out, self.rows[-1]]


class Shown(ABC):
    """Prints as its brief, at a prompt and in a notebook; a dataclass needs ``repr=False`` beside it."""

    @abstractmethod
    def _brief(self) -> Brief:
        """The few lines."""

    def __repr__(self) -> str:
        return self._brief().text()

    def _repr_html_(self) -> str:
        """For notebooks."""
        return self._brief().html()
