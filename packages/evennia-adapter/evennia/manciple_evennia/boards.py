"""Pages of figures: `costs`, `budget`, one backend, and the dashboard of the Observatory."""

from typing import Any

from .layout import Entry, entries, gap, heading, paragraph, table
from .money import format_amount, format_count, format_percent, format_quantity, format_usd
from .style import Style, zone_named
from .views import LOCAL_ONLY, share_of

Figures = dict[str, Any]

# Where a quota's window is younger than this share, its use is not judged.
JUDGED_FROM = 0.5
# Figures that came longer ago than this are old.
STALE_SECONDS = 10 * 60
# From this many columns on, figures are told in full.
_ROOMY = 72

_STANDINGS = {"within": "g", "near": "y", "over": "r"}
SPANS = {"today": "today", "week": "this week", "month": "this month"}
NO_FIGURES = "No figures yet: the bridge of the router has not been here."


def costs_page(figures: Figures, style: Style, footer: list[str]) -> list[str]:
    """
    Show what was spent, by backend.

    Args:
        figures (dict): As the store keeps them.
        style (Style): The reader's.
        footer (list): From `freshness`.

    Returns:
        list: Lines with markup.

    """
    spans = list(SPANS)
    rows = [
        [_label(one), *(format_usd(one[f"{span}_nano"]) for span in spans)]
        for one in figures["backends"]
    ]
    spent = figures["spent"]
    total = ["total", *(format_usd(spent[f"{span}_nano"]) for span in spans)]
    calls = f"{_calls(spent['today_calls'])} today, {format_count(spent['month_calls'])} this month"
    return [
        *heading(style, "Cloud costs", "at list price"),
        *banner(figures, style),
        *table(style, ["backend", *SPANS.values()], rows, total),
        *paragraph(style, f"{calls}."),
        *footer,
    ]


def span_page(figures: Figures, span: str, style: Style, footer: list[str]) -> list[str]:
    """
    Show what was spent in one span of time, the dearest backend first.

    Args:
        figures (dict): As the store keeps them.
        span (str): One of `today`, `week`, `month`.
        style (Style): The reader's.
        footer (list): From `freshness`.

    Returns:
        list: Lines with markup.

    """
    key = f"{span}_nano"
    total = figures["spent"][key]
    backends = sorted(figures["backends"], key=lambda one: -one[key])
    lines = heading(style, f"Cloud costs {SPANS[span]}", format_usd(total))
    if style.reader:
        lines.extend(paragraph(style, f"total: {format_usd(total)}."))
    rows = [
        Entry(_label(one), share_of(one[key], total) if one[key] > 0 else 0.0, format_usd(one[key]))
        for one in backends
    ]
    return [*lines, *entries(style, rows), *footer]


def budget_page(figures: Figures, style: Style, footer: list[str]) -> list[str]:
    """
    Show how limits and quotas stand.

    Args:
        figures (dict): As the store keeps them.
        style (Style): The reader's.
        footer (list): From `freshness`.

    Returns:
        list: Lines with markup.

    """
    lines = [*heading(style, "Budget"), *banner(figures, style)]
    limits = [_limit(limit, limit["name"], style, figures["at"]) for limit in figures["limits"]]
    lines.extend(entries(style, limits) or ["No limits."])
    if figures["quotas"]:
        aside = "the mark is the time that has passed"
        lines.extend([*gap(style), *heading(style, "Paid quota", aside)])
        quotas = [_quota(quota, quota["backend"], style) for quota in figures["quotas"]]
        lines.extend([*entries(style, quotas), *together(figures["total"], style)])
    return [*lines, *gap(style), *footer]


def backend_page(figures: Figures, name: str, style: Style, footer: list[str]) -> list[str]:
    """
    Show all about one backend.

    Args:
        figures (dict): As the store keeps them.
        name (str): One of its backends.
        style (Style): The reader's.
        footer (list): From `freshness`.

    Returns:
        list: Lines with markup.

    """
    one = next(one for one in figures["backends"] if one["name"] == name)
    lines = heading(style, "Backend", one["kind"])
    spent = ", ".join(f"{format_usd(one[f'{span}_nano'])} {text}" for span, text in SPANS.items())
    calls = f"{_calls(one['today_calls'])} today, {format_count(one['month_calls'])} this month"
    lines.extend(paragraph(style, f"{name}: {spent}; {calls}."))
    for limit in limits_of(figures, name):
        lines.extend(entries(style, [_limit(limit, limit["name"], style, figures["at"])]))
        lines.extend(_aside(limit, style))
    for quota in (quota for quota in figures["quotas"] if quota["backend"] == name):
        lines.extend(entries(style, [_quota(quota, "paid quota", style)]))
        lines.extend(_outlook(quota, style))
    return [*lines, *footer]


def dashboard(figures: Figures, style: Style, footer: list[str]) -> list[str]:
    """
    Show everything at a glance: for each backend its spend against its tightest limit, and the use
    of its quota against pace.

    Args:
        figures (dict): As the store keeps them.
        style (Style): The reader's.
        footer (list): From `freshness`.

    Returns:
        list: Lines with markup.

    """
    spent = figures["spent"]
    aside = f"{format_usd(spent['today_nano'])} today, {format_usd(spent['month_nano'])} this month"
    lines = [*heading(style, "Cloud budget", aside), *banner(figures, style)]
    if style.reader:
        lines.extend(paragraph(style, f"All backends: {aside}."))
    shared = limits_of(figures, None)
    rows = [_limit(limit, limit["name"], style, figures["at"]) for limit in shared]
    for one in figures["backends"]:
        rows.extend(_panel(figures, one, style))
    lines.extend(entries(style, rows))
    if figures["quotas"]:
        lines.extend([*gap(style), *together(figures["total"], style)])
    return [*lines, *footer]


def _panel(figures: Figures, one: dict[str, Any], style: Style) -> list[Entry]:
    rows = []
    limits = limits_of(figures, one["name"])
    if limits:
        tightest = max(limits, key=lambda limit: share_of(limit["settled"], limit["quantity"]))
        rows.append(_limit(tightest, tightest["name"], style, figures["at"]))
    rows.extend(
        _quota(quota, f"{one['name']} used", style)
        for quota in figures["quotas"]
        if quota["backend"] == one["name"]
    )
    return rows


def limits_of(figures: Figures, backend: str | None) -> list[dict[str, Any]]:
    """
    Find the limits of one backend, by their names: `claude.month`.

    Args:
        figures (dict): As the store keeps them.
        backend (str or None): None for those of no one backend.

    Returns:
        list: In the policy's order.

    """
    names = [one["name"] for one in figures["backends"]]

    def owner(limit: dict[str, Any]) -> str | None:
        owners = [name for name in names if f"{limit['name']}.".startswith(f"{name}.")]
        return max(owners, key=len, default=None)

    return [limit for limit in figures["limits"] if owner(limit) == backend]


def _limit(limit: dict[str, Any], name: str, style: Style, at: str) -> Entry:
    unit = limit["unit"]
    spent, amount = format_quantity(limit["settled"], unit), format_amount(limit["quantity"], unit)
    detail = f"{spent} of {amount}"
    if limit["resets"] and style.reader:
        detail += f", resets {style.when(limit['resets'])}"
    elif limit["resets"] and style.width >= _ROOMY:
        detail += f", to {style.short(limit['resets'], at)}"
    word = limit["standing"] if limit["hard"] else f"{limit['standing']}, soft"
    share = share_of(limit["settled"], limit["quantity"])
    return Entry(name, share, detail, word, _STANDINGS[limit["standing"]])


def _aside(limit: dict[str, Any], style: Style) -> list[str]:
    unit = limit["unit"]
    parts = [
        f"{format_quantity(limit[key], unit)} {words}"
        for key, words in (("held", "held for calls under way"), ("presumed", "presumed spent"))
        if limit[key] > 0
    ]
    parts.append(f"{format_quantity(limit['free'], unit)} free")
    return paragraph(style, ", ".join(parts) + ".", indent=2, first=2)


def _quota(quota: dict[str, Any], name: str, style: Style) -> Entry:
    detail = "pace -" if quota["pace"] is None else f"pace {quota['pace']:.2f}"
    if style.reader:
        detail += f", {format_percent(quota['elapsed'])} of the time has passed"
    if style.reader or style.width >= _ROOMY:
        unit = quota["unit"]
        used = format_quantity(quota["settled"], unit)
        detail = f"{used} of {format_amount(quota['quantity'], unit)}, {detail}"
    word, colour = quota_standing(quota)
    return Entry(name, quota["utilization"], detail, word, colour, quota["elapsed"])


def quota_standing(quota: dict[str, Any]) -> tuple[str, str]:
    """
    Judge the use of a quota against its floor, as the operator's command line does.

    Args:
        quota (dict): Of the figures.

    Returns:
        tuple: A word and the letter of its colour.

    """
    if quota["utilization"] >= quota["floor"]:
        return ("floor met", "g")
    return ("below floor", "y") if quota["elapsed"] >= JUDGED_FROM else ("under way", "c")


def _outlook(quota: dict[str, Any], style: Style) -> list[str]:
    parts = []
    if quota["forecast"]:
        low, mid, high = (format_percent(quota["forecast"][key]) for key in ("low", "mid", "high"))
        parts.append(f"about {mid} ({low} to {high}) will be used when the window ends")
    if quota["lapse_nano"]:
        parts.append(f"{format_usd(quota['lapse_nano'])} will lapse")
    if quota["resets"]:
        parts.append(f"resets {style.when(quota['resets'])}")
    return paragraph(style, ", ".join(parts) + ".", indent=2, first=2) if parts else []


def together(total: dict[str, Any], style: Style) -> list[str]:
    """
    Sum up all quotas, as the bridge has weighed them.

    Args:
        total (dict): Of the figures.
        style (Style): The reader's.

    Returns:
        list: Lines with markup.

    """
    pace = "-" if total["pace"] is None else f"{total['pace']:.2f}"
    behind = total["pace"] is not None and total["pace"] < total["floor"]
    text = (
        f"All quotas: {format_percent(total['utilization'])} used, "
        f"{format_percent(total['elapsed'])} of the time passed, pace {pace}"
    )
    if behind and total["elapsed"] >= JUDGED_FROM:
        text += f", below the floor of {total['floor']:.2f}"
        return paragraph(style, f"{text}.", "y")
    return paragraph(style, f"{text}.")


def banner(figures: Figures, style: Style) -> list[str]:
    """
    Say that all goes local, where it does.

    Args:
        figures (dict): As the store keeps them.
        style (Style): The reader's.

    Returns:
        list: Lines with markup, none in ordinary times.

    """
    local_only = figures["local_only"]
    if local_only is None:
        return []
    until = local_only["until"]
    text = local_only["text"]
    if until is not None:
        text = LOCAL_ONLY.format(reset_date=style.when(until))
    return paragraph(style, f"ALERT: {text}" + ("." if style.reader else ""), "r")


def freshness(figures: Figures, received: float, now: float, style: Style) -> list[str]:
    """
    Say of when the figures are, and whether that is long ago.

    Args:
        figures (dict): As the store keeps them.
        received (float): When they came, in seconds since the epoch.
        now (float): The time.
        style (Style): The reader's.

    Returns:
        list: Lines with markup.

    """
    zone = figures["timezone"]
    text = f"As of {style.when(figures['at'])}."
    if str(style.zone) != str(zone_named(zone)):
        text += f" Days are those of {zone}."
    lines = paragraph(style, text, "x")
    source = figures["source"]
    if not source["alive"]:
        last = source["last_record"]
        since = f" since {style.when(last)}" if last else ""
        lines.extend(paragraph(style, f"The router is silent{since}.", "y"))
    if is_stale(received, now):
        minutes = int((now - received) // 60)
        lines.extend(paragraph(style, f"These figures came {minutes} minutes ago.", "y"))
    return lines


def is_stale(received: float, now: float) -> bool:
    """
    Judge the age of figures.

    Args:
        received (float): When they came, in seconds since the epoch.
        now (float): The time.

    Returns:
        bool: Whether they are old.

    """
    return now - received > STALE_SECONDS


def _label(one: dict[str, Any]) -> str:
    is_told = one["kind"] == "cloud" or "local" in one["name"].lower()
    return one["name"] if is_told else f"{one['name']} (local)"


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{format_count(count)} calls"
