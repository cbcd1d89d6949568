"""Text from outside: made one harmless line when it comes in, escaped when it goes out."""

import re
import unicodedata

from django.conf import settings
from evennia.utils.ansi import raw
from evennia.utils.utils import display_len

# Control characters, lone surrogates, and line and paragraph separators.
_BREAKS = ("Cc", "Cs", "Zl", "Zp")
# Characters that turn the direction of what follows.
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

# A dollar sign, with the backslashes before it; or a run of backslashes.
_CALLS = re.compile(r"\\*\$|\\+")


def one_line(text: str) -> str:
    """
    Strip what a line of text must not hold.

    Args:
        text (str): Any text.

    Returns:
        str: Without control characters, line breaks, lone surrogates and changes of direction.

    """
    kept = (
        " " if unicodedata.category(char) in _BREAKS else char
        for char in text
        if char not in _TURNS
    )
    return " ".join("".join(kept).split())


def outside(text: str) -> str:
    """
    Escape text from outside for a player's client.

    Args:
        text (str): A line as `one_line` leaves it.

    Returns:
        str: The line with Evennia's markup escaped, and inline functions too where the game parses
            them in outgoing messages. HTML is escaped by the webclient's own protocol.

    """
    # Once `||l` has become `|l`, Evennia reads it as the beginning of a link that runs a command.
    escaped = raw(text).replace("||l", "|||nl")
    if settings.FUNCPARSER_PARSE_OUTGOING_MESSAGES_ENABLED:
        # Of a run of backslashes the parser drops the last one, which escapes what follows.
        escaped = _CALLS.sub(_escaped_call, escaped)
    return escaped


def _escaped_call(found: re.Match[str]) -> str:
    backslashes, dollar = found[0].rstrip("$"), "$" if found[0].endswith("$") else ""
    return f"{backslashes}\\{dollar}"


def crop(text: str, width: int) -> str:
    """
    Cut text to a number of columns.

    Args:
        text (str): Plain text without markup.
        width (int): The most columns that it may take, at least 1.

    Returns:
        str: The text, or its beginning and `~`.

    """
    if display_len(text) <= width:
        return text
    while text and display_len(text) > width - 1:
        text = text[:-1]
    return text + "~"


def cell(text: str, width: int, right: bool = False) -> str:
    """
    Fit text from outside into a column.

    Args:
        text (str): Plain text without markup.
        width (int): Columns to fill, at least 1.
        right (bool, optional): Align to the right.

    Returns:
        str: The text, cut or filled up to the width, and escaped.

    """
    fitted = crop(text, width)
    fill = " " * (width - display_len(fitted))
    return fill + outside(fitted) if right else outside(fitted) + fill
