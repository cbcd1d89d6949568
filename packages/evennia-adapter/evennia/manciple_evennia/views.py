"""Notices in words, and the summary for clients that draw for themselves."""

from typing import Any

from .layout import heading, paragraph
from .money import format_usd
from .store import Notice
from .style import Style
from .text import outside

_SEVERITIES = {
    "info": ("Note", "w"),
    "advice": ("Advice", "c"),
    "warning": ("Warning", "y"),
    "alert": ("ALERT", "r"),
}
LOCAL_ONLY = "Cloud budget exhausted, operating local-only until {reset_date}"


def notice_text(notice: Notice, style: Style) -> str:
    """
    Word a notice.

    Args:
        notice (dict): As the store keeps it.
        style (Style): The reader's, for the time zone.

    Returns:
        str: Plain text without markup. That of an unknown kind is the router's own.

    """
    reset = notice["data"]["reset"]
    if notice["kind"] == "local-only" and reset is not None:
        return LOCAL_ONLY.format(reset_date=style.when(reset))
    return notice["text"]


def notice_line(notice: Notice, style: Style) -> str:
    """
    Write a notice as it comes in: one line, however long, for the client to break.

    Args:
        notice (dict): As the store keeps it.
        style (Style): The reader's.

    Returns:
        str: With markup.

    """
    word, colour = _SEVERITIES[notice["severity"]]
    return f"|{colour}Costs, {word}:|n {outside(notice_text(notice, style))}"


def notice_lines(notices: list[Notice], style: Style) -> list[str]:
    """
    Write notices as they come in.

    Args:
        notices (list): Oldest first.
        style (Style): The reader's.

    Returns:
        list: One line each.

    """
    return [notice_line(notice, style) for notice in notices]


def login_lines(missed: list[Notice], count: int, still: list[Notice], style: Style) -> list[str]:
    """
    Write what a player is to know at login.

    Args:
        missed (list): The newest notices that the account has not seen, oldest first.
        count (int): How many it has not seen in all.
        still (list): Notices that it has seen and that still hold.
        style (Style): The reader's.

    Returns:
        list: Lines with markup, none where there is nothing to tell.

    """
    lines = [f"|wStill so:|n {notice_line(notice, style)}" for notice in still]
    if missed:
        lines.append("|wWhile you were away:|n")
        if count > len(missed):
            lines.append(f"({count - len(missed)} older ones are in |wbudget/all|n)")
        lines.extend(notice_lines(missed, style))
    return lines


def notices_page(notices: list[Notice], style: Style, title: str) -> list[str]:
    """
    List notices with their times, newest first.

    Args:
        notices (list): Oldest first.
        style (Style): The reader's.
        title (str): What they are.

    Returns:
        list: Lines with markup.

    """
    lines = heading(style, title)
    if not notices:
        return [*lines, "None."]
    for notice in reversed(notices):
        word, colour = _SEVERITIES[notice["severity"]]
        mark = ", still so" if notice["open"] else ""
        stamp = f"{style.when(notice['ts'])}, {word}{mark}"
        text = notice_text(notice, style)
        if style.reader:
            lines.append(f"{stamp}: {outside(text)}")
        else:
            body = paragraph(style, text, indent=2, first=2)
            lines.extend([f"|{colour}{stamp}|n", *body])
    return lines


def summary(figures: dict[str, Any]) -> dict[str, Any]:
    """
    Sum up the figures for a client that draws them itself: GMCP `Cloud.Budget`.

    Args:
        figures (dict): As the store keeps them.

    Returns:
        dict: Money both in nano-USD and as text.

    """
    spent = figures["spent"]
    local_only = figures["local_only"]
    return {
        "at": figures["at"],
        "local_only": local_only is not None,
        "until": local_only and local_only["until"],
        "today_nano": spent["today_nano"],
        "today": format_usd(spent["today_nano"]),
        "month_nano": spent["month_nano"],
        "month": format_usd(spent["month_nano"]),
        "limits": [
            {
                "name": limit["name"],
                "spent": share_of(limit["settled"], limit["quantity"]),
                "standing": limit["standing"],
            }
            for limit in figures["limits"]
        ],
        "quotas": [
            {key: quota[key] for key in ("backend", "utilization", "elapsed", "pace")}
            for quota in figures["quotas"]
        ],
    }


def share_of(settled: int, quantity: int) -> float:
    """
    Divide what is spent by what is allowed, for a bar; never to be summed.

    Args:
        settled (int): What is spent.
        quantity (int): What is allowed.

    Returns:
        float: 1 is all; where nothing is allowed, anything is all.

    """
    if quantity > 0:
        return settled / quantity
    return 1.0
