"""
What the game notices by itself: limits that come near, quotas below their floor, old figures, and a
bridge that is gone.

The script keeps no state. What it has to say is worked out from the figures, and the log of notices
tells what has been said: each alert has a name for its episode, and a name is taken once.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from evennia.scripts.scripts import DefaultScript

from . import delivery
from .boards import JUDGED_FROM, STALE_SECONDS, is_stale
from .money import format_amount, format_percent, format_quantity
from .store import CostsStore, Notice, get_store
from .views import share_of

WATCH_KEY = "manciple_costs_watch"
INTERVAL_SECONDS = 60
# A reload takes some seconds, and the bridge waits up to half a minute before it comes back.
GONE_SECONDS = 5 * 60

_DAYS = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}


class CostsWatch(DefaultScript):
    """
    Looks at the figures once a minute. It holds nothing: deleting it loses nothing.

    """

    def at_script_creation(self) -> None:
        """Set up the script. Called once."""
        self.key = WATCH_KEY
        self.desc = "Alerts of cloud costs"
        self.interval = INTERVAL_SECONDS
        self.start_delay = True
        self.persistent = True

    def at_repeat(self, **kwargs: Any) -> None:
        """
        Say what has not been said.

        Args:
            **kwargs: Not used.

        """
        store = get_store()
        if store is None:
            return
        alerts = due(store, time.time(), delivery.bridge_is_here(store))
        if [new for alert in alerts for new in store.add_own(alert)]:
            delivery.deliver(store)

    def at_server_shutdown(self) -> None:
        """End the showing of notices: of a shutdown only scripts with a timer are told."""
        delivery.close()


def due(store: CostsStore, now: float, bridge_is_here: bool) -> list[Notice]:
    """
    Work out what there is to say.

    Args:
        store (CostsStore): What the game knows.
        now (float): Seconds since the epoch.
        bridge_is_here (bool): Whether the bridge is logged in.

    Returns:
        list: Notices, for `CostsStore.add_own`. What the router itself has told of is left out.

    """
    figures, received = store.figures, store.figures_received
    if figures is None:
        return []
    if not bridge_is_here and now - received > GONE_SECONDS:
        return [_gone(received, now)]
    if is_stale(received, now):
        return [_stale(received, now)]
    return [
        *_back(store, bridge_is_here, now),
        *(alert for limit in figures["limits"] for alert in _limit(store, limit, now)),
        *(alert for quota in figures["quotas"] for alert in _quota(store, quota, now)),
    ]


def _gone(received: float, now: float) -> Notice:
    text = "No word from the router: costs and budgets are no longer up to date"
    return _alert("bridge-gone", _iso(received), "warning", text, now, sticky=True)


def _stale(received: float, now: float) -> Notice:
    text = f"No new figures for {STALE_SECONDS // 60} minutes: costs and budgets may be out of date"
    return _alert("figures-stale", _iso(received), "warning", text, now, sticky=True)


def _back(store: CostsStore, bridge_is_here: bool, now: float) -> list[Notice]:
    open_kinds = {one["kind"]: one["nid"] for one in store.notices if one["open"]}
    lost = [open_kinds[kind] for kind in ("bridge-gone", "figures-stale") if kind in open_kinds]
    if not lost or not bridge_is_here:
        return []
    text = "Costs and budgets are up to date again"
    return [_alert("figures-back", lost[-1], "info", text, now, clears=lost)]


def _limit(store: CostsStore, limit: dict[str, Any], now: float) -> list[Notice]:
    if limit["standing"] == "within":
        return []
    name, unit = limit["name"], limit["unit"]
    since, episode = _window(limit["resets"], limit["window"], now)
    kinds = ("limit-reached",) if limit["standing"] == "over" else ("limit-near", "limit-reached")
    if _told(store, kinds, name, since):
        return []
    share = format_percent(share_of(limit["settled"], limit["quantity"]))
    spent = f"{format_quantity(limit['settled'], unit)} of {format_amount(limit['quantity'], unit)}"
    word = "used up" if limit["standing"] == "over" else "near its limit"
    text = f"{name} is {word}: {spent} spent ({share})"
    return [_alert(kinds[0], f"{name}@{episode}", "warning", text, now, about=name)]


def _quota(store: CostsStore, quota: dict[str, Any], now: float) -> list[Notice]:
    if quota["elapsed"] < JUDGED_FROM or quota["utilization"] >= quota["floor"]:
        return []
    name = quota["backend"]
    since, episode = _window(quota["resets"], "month", now)
    if quota["starts"] is not None:
        since = datetime.fromisoformat(quota["starts"]).timestamp()
    if _told(store, ("under-used",), name, since):
        return []
    text = (
        f"{name} is below its floor: {format_percent(quota['utilization'])} of its quota is used, "
        f"{format_percent(quota['elapsed'])} of the time has passed"
    )
    return [_alert("under-used", f"{name}@{episode}", "advice", text, now, about=name)]


def _window(resets: str | None, window: str, now: float) -> tuple[float, str]:
    """When the window began, roughly, and a name for it. A rolling one has an episode each day."""
    if resets is None:
        day = datetime.fromtimestamp(now, UTC).date().isoformat()
        return now - timedelta(days=1).total_seconds(), day
    length = timedelta(days=_DAYS.get(window.split("@")[0], 1))
    return (datetime.fromisoformat(resets) - length).timestamp(), resets


def _told(store: CostsStore, kinds: tuple[str, ...], about: str, since: float) -> bool:
    return any(
        notice["kind"] in kinds
        and notice["data"]["about"] in (about, f"{about}.quota")
        and datetime.fromisoformat(notice["ts"]).timestamp() >= since
        for notice in store.notices
    )


def _alert(
    kind: str,
    episode: str,
    severity: str,
    text: str,
    now: float,
    sticky: bool = False,
    clears: list[str] | None = None,
    about: str | None = None,
) -> Notice:
    return {
        "nid": f"game/{kind}/{episode}",
        "ts": _iso(now),
        "severity": severity,
        "kind": kind,
        "text": text,
        "data": {"reset": None, "about": about},
        "sticky": sticky,
        "clears": clears,
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
