"""`costs/history`: what was spent in a period of the last 30 days."""

import re
from datetime import date, timedelta
from typing import Any

from .layout import gap, heading, paragraph, table
from .money import format_count, format_usd
from .style import Style
from .text import cell
from .views import share_of

PERIODS = ("today", "yesterday", "this week", "last week", "this month", "last month")
USAGE = f"Say one of: {', '.join(PERIODS)}; a number of days; a date as 2026-11-01, or two of them."


def period_of(text: str, today: date) -> tuple[date, date] | None:
    """
    Read a period in the words of a player.

    Args:
        text (str): As `last week`, `7`, `14 days`, `2026-11-01`, `2026-11-01 2026-11-07`.
        today (date): The current day in the policy's zone.

    Returns:
        tuple or None: The first and the last day; None where the text says nothing of the kind.

    """
    words = " ".join(text.lower().split()) or "30"
    monday = today - timedelta(days=today.weekday())
    first = today.replace(day=1)
    before = first - timedelta(days=1)
    named = {
        "today": (today, today),
        "yesterday": (today - timedelta(days=1), today - timedelta(days=1)),
        "this week": (monday, today),
        "week": (monday, today),
        "last week": (monday - timedelta(days=7), monday - timedelta(days=1)),
        "this month": (first, today),
        "month": (first, today),
        "last month": (before.replace(day=1), before),
    }
    if words in named:
        return named[words]
    count = re.fullmatch(r"(?:last )?(\d{1,3})(?: days?)?", words)
    if count:
        return today - timedelta(days=max(1, int(count[1])) - 1), today
    return _dates(words)


def _dates(words: str) -> tuple[date, date] | None:
    try:
        days = [date.fromisoformat(word) for word in words.split() if word not in ("to", "-")]
    except ValueError:
        return None
    return (min(days), max(days)) if len(days) in (1, 2) else None


def history_page(figures: dict[str, Any], text: str, style: Style, footer: list[str]) -> list[str]:
    """
    Show a period, day by day and by backend.

    Args:
        figures (dict): As the store keeps them.
        text (str): The period, in a player's words; nothing is all that there is.
        style (Style): The reader's.
        footer (list): From `boards.freshness`.

    Returns:
        list: Lines with markup.

    """
    days = figures["days"]
    if not days:
        return ["No history yet."]
    period = period_of(text, date.fromisoformat(days[-1]["day"]))
    if period is None:
        return paragraph(style, USAGE)
    first, last = (one.isoformat() for one in period)
    found = [one for one in days if first <= one["day"] <= last]
    lines = heading(style, "Cloud costs by day", f"{first} to {last}")
    if style.reader or style.width < 40:
        lines.append(f"{first} to {last}.")
    if first < days[0]["day"]:
        lines.extend(paragraph(style, f"The game knows the days since {days[0]['day']}.", "x"))
    if not found:
        return [*lines, "No days.", *footer]
    return [*lines, *_days(found, style), *gap(style), *_backends(found, style), *footer]


def _days(days: list[dict[str, Any]], style: Style) -> list[str]:
    costs = [sum(one["cost_nano"] for one in day["backends"].values()) for day in days]
    dearest = max([*costs, 0])
    lines = []
    for day, cost in zip(days, costs, strict=True):
        weekday = f"{date.fromisoformat(day['day']):%a}"
        if style.reader:
            lines.extend(paragraph(style, f"{weekday} {day['day']}: {format_usd(cost)}."))
            continue
        length = max(4, min(40, style.width - 30))
        share = share_of(cost, dearest) if cost > 0 else 0.0
        bar = style.bar(share, length, "c")
        lines.append(f"|x{weekday}|n {day['day']} {bar} {cell(format_usd(cost), 11, True)}")
    return lines


def _backends(days: list[dict[str, Any]], style: Style) -> list[str]:
    sums: dict[str, tuple[int, int]] = {}
    for day in days:
        for name, one in day["backends"].items():
            cost, calls = sums.get(name, (0, 0))
            sums[name] = (cost + one["cost_nano"], calls + one["calls"])
    ranked = sorted(sums.items(), key=lambda item: -item[1][0])
    rows = [[name, format_usd(cost), format_count(calls)] for name, (cost, calls) in ranked]
    total = [sum(cost for cost, _ in sums.values()), sum(calls for _, calls in sums.values())]
    return table(
        style,
        ["backend", "cost", "calls"],
        rows,
        ["total", format_usd(total[0]), format_count(total[1])],
    )
