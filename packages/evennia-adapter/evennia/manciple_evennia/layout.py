"""Tables and entries that fit the reader's window, or read well aloud."""

from collections.abc import Sequence
from dataclasses import dataclass

from evennia.utils.utils import display_len

from .money import format_percent
from .style import Style, columns
from .text import cell, crop, outside

_BETWEEN = 2
_PERCENT = 4
_MOST_NAME = 20
_LEAST_BAR = 8
_MOST_BAR = 24


def heading(style: Style, title: str, aside: str = "") -> list[str]:
    """
    Begin a page.

    Args:
        style (Style): The reader's.
        title (str): Plain text of our own.
        aside (str, optional): Plain text of our own for the right-hand side, left out where narrow.

    Returns:
        list: Lines with markup.

    """
    if style.reader:
        return [f"{title}."]
    fill = style.width - len(title) - len(aside)
    if aside and fill >= _BETWEEN:
        return [f"|w{title}|n{' ' * fill}|x{outside(aside)}|n", style.rule()]
    return [f"|w{title}|n", style.rule()]


def gap(style: Style) -> list[str]:
    """
    Set parts of a page apart.

    Args:
        style (Style): The reader's.

    Returns:
        list: An empty line; none for a screen reader, which would read it out as blank.

    """
    return [] if style.reader else [""]


def paragraph(
    style: Style, text: str, colour: str = "", indent: int = 0, first: int = 0
) -> list[str]:
    """
    Break text from outside into lines.

    Args:
        style (Style): The reader's.
        text (str): Plain text without markup.
        colour (str, optional): A letter of Evennia's markup.
        indent (int, optional): Columns before all lines but the first.
        first (int, optional): Columns before the first line.

    Returns:
        list: Lines with markup; one line for a screen reader.

    """
    if style.reader:
        broken = [text]
    else:
        broken = [
            " " * (indent if at else first) + line
            for at, line in enumerate(_broken(text, style.width - max(indent, first)))
        ]
    return [f"|{colour}{outside(line)}|n" if colour else outside(line) for line in broken]


def _broken(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".lstrip()
        if display_len(joined) <= width or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(word)
        while display_len(lines[-1]) > width:
            head = crop(lines[-1], width)[:-1]
            lines[-1:] = [head, lines[-1][len(head) :]]
    return lines


def table(
    style: Style,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    total: Sequence[str] | None = None,
) -> list[str]:
    """
    Draw a table of figures. The first column is text from outside and takes the room that is left.

    Args:
        style (Style): The reader's.
        heads (sequence): Names of the columns.
        rows (sequence): Plain texts.
        total (sequence, optional): A last row, set off.

    Returns:
        list: Lines with markup.

    """
    every = [*rows, *([total] if total else [])]
    if style.reader:
        return [_spoken(heads, row) for row in every]
    widths = [max(len(row[at]) for row in [heads, *every]) for at in range(1, len(heads))]
    longest = max(display_len(row[0]) for row in [heads, *every])
    room = style.width - sum(widths) - _BETWEEN * len(widths)
    first = max(4, min(room, max(longest, room)))

    def line(row: Sequence[str]) -> str:
        figures = (
            cell(text, width, right=True) for text, width in zip(row[1:], widths, strict=True)
        )
        return (" " * _BETWEEN).join([cell(row[0], first), *figures])

    drawn = [f"|x{line(heads)}|n", *(line(row) for row in rows)]
    return [*drawn, style.rule(), f"|w{line(total)}|n"] if total else drawn


def _spoken(heads: Sequence[str], row: Sequence[str]) -> str:
    figures = (f"{head} {text}" for head, text in zip(heads[1:], row[1:], strict=True) if text)
    return f"{outside(row[0])}: {', '.join(figures)}."


@dataclass(frozen=True)
class Entry:
    """
    A share of something.

    Attributes:
        name (str): Text from outside.
        share (float): 1 is all.
        detail (str): Figures, as plain text.
        word (str): Its standing.
        colour (str): A letter of Evennia's markup, for the bar and the word.
        mark (float or None): Where the share should be by now.

    """

    name: str
    share: float
    detail: str
    word: str = ""
    colour: str = "c"
    mark: float | None = None

    @property
    def percent(self) -> str:
        """str: The share in percent."""
        return format_percent(self.share)


def entries(style: Style, rows: Sequence[Entry]) -> list[str]:
    """
    Draw shares one below the other: name, bar, percent, standing in a word, figures.

    Args:
        style (Style): The reader's.
        rows (sequence): What to draw.

    Returns:
        list: A line for each; two for each in a window that is too narrow for that; sentences for a
            screen reader.

    """
    if not rows:
        return []
    if style.reader:
        return [_said(row) for row in rows]
    name = min(_MOST_NAME, max(display_len(row.name) for row in rows))
    word = max(len(row.word) for row in rows)
    detail = max(display_len(row.detail) for row in rows)
    bar = style.width - name - _PERCENT - word - detail - 4 - (1 if word else 0)
    if bar < _LEAST_BAR:
        return [line for row in rows for line in _stacked(style, row)]
    return [_in_line(style, row, name, min(bar, _MOST_BAR), word) for row in rows]


def _said(row: Entry) -> str:
    parts = [row.percent, row.word, outside(row.detail)]
    return f"{outside(row.name)}: {', '.join(part for part in parts if part)}."


def _in_line(style: Style, row: Entry, name: int, bar: int, word: int) -> str:
    drawn = style.bar(row.share, bar, row.colour, row.mark)
    left = f"{cell(row.name, name)} {drawn} {row.percent:>{_PERCENT}}"
    if word:
        left += f" |{row.colour}{row.word:<{word}}|n"
    return left + cell(row.detail, style.width - columns(left), right=True)


def _stacked(style: Style, row: Entry) -> list[str]:
    side = f"{row.percent} {row.word}".rstrip()
    name = cell(row.name, max(4, style.width - len(side) - 1))
    first = f"{name} {row.percent} |{row.colour}{row.word}|n".rstrip()
    room = style.width - display_len(row.detail) - 3
    if room >= _LEAST_BAR:
        drawn = style.bar(row.share, min(room, _MOST_BAR), row.colour, row.mark)
        fill = style.width - min(room, _MOST_BAR) - 2
        return [first, f"  {drawn}{cell(row.detail, fill, right=True)}"]
    drawn = style.bar(row.share, style.width - 2, row.colour, row.mark)
    return [first, f"  {drawn}", *paragraph(style, row.detail, indent=2, first=2)]
