"""
What the game knows: the latest figures, and the log of notices.

Both lanes live on one Script, each in one Attribute that is assigned whole, so that a crash leaves
either the state before a message or the state after it, never something between.
"""

import time
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from evennia.scripts.scripts import DefaultScript
from evennia.utils.dbserialize import deserialize

STORE_KEY = "manciple_costs"
BRIDGE_TAG = "costs_bridge"
CATEGORY = "manciple"

KEPT_NOTICES = 500
KEPT_STREAMS = 20

Notice = dict[str, Any]
Log = dict[str, Any]


class CostsStore(DefaultScript):
    """
    Holds the figures and the notices.

    Locks:
        feed: who may send figures and notices: the bridge's account, by its tag.
        read: who is told: by default every account that is not a guest.

    """

    def at_script_creation(self) -> None:
        """Set up the script. Called once."""
        self.key = STORE_KEY
        self.desc = "Cloud costs and notices, from the Manciple bridge"
        self.persistent = True
        self.locks.add(f"feed:tag({BRIDGE_TAG}, {CATEGORY});read:pperm(Player)")

    def at_server_start(self) -> None:
        """Show what a restart kept from players, and ask the bridge to go on from here."""
        from . import delivery

        delivery.at_server_start(self)

    def at_server_reload(self) -> None:
        """Note down who has seen what."""
        from . import delivery

        delivery.save_cursors()

    # The log of notices.

    @property
    def log(self) -> Log:
        """
        dict: `stream` that the bridge feeds, `cursors` of all streams, `number` of the newest
        notice, and the kept `notices`, oldest first. Not to be changed in place.

        """
        if self.ndb.log is None:
            stored = self.attributes.get("log", category=CATEGORY)
            self.ndb.log = (
                {"stream": None, "cursors": {}, "number": 0, "notices": []}
                if stored is None
                else deserialize(stored)
            )
        return self.ndb.log

    def _write_log(self, **changes: Any) -> None:
        log = {**self.log, **changes}
        self.attributes.add("log", log, category=CATEGORY)
        self.ndb.log = log

    @property
    def stream(self) -> str | None:
        """str or None: The stream that the bridge feeds, once it has said hello."""
        return self.log["stream"]

    @property
    def cursor(self) -> int:
        """int: The last notice of the stream that is stored."""
        return self.log["cursors"].get(self.stream, 0)

    @property
    def notices(self) -> list[Notice]:
        """list: The kept notices, oldest first."""
        return self.log["notices"]

    def open_stream(self, stream: str, oldest: int) -> None:
        """
        Take up a stream, where it was left or from its beginning.

        Args:
            stream (str): The name of the stream.
            oldest (int): The first notice that the bridge can still send.

        """
        if stream == self.stream:
            return
        cursors = dict(self.log["cursors"])
        cursor = cursors.pop(stream, max(0, oldest - 1))
        cursors[stream] = cursor
        for name in list(cursors)[:-KEPT_STREAMS]:
            del cursors[name]
        self._write_log(stream=stream, cursors=cursors)

    def take(self, items: Iterable[Notice], now: float | None = None) -> list[Notice]:
        """
        Store notices of the stream and move its cursor.

        Args:
            items (iterable): Notices with `seq` directly after the cursor, in order.
            now (float, optional): Seconds since the epoch.

        Returns:
            list: What is new. A notice that is known from another stream is not.

        """
        items = list(items)
        cursors = {**self.log["cursors"], self.stream: items[-1]["seq"]}
        return self._append(items, now, cursors=cursors)

    def add_own(self, item: Notice, now: float | None = None) -> list[Notice]:
        """
        Store a notice of the game's own, unless it is known.

        Args:
            item (dict): As the bridge sends them, without `seq`.
            now (float, optional): Seconds since the epoch.

        Returns:
            list: The notice, where it is new.

        """
        return self._append([item], now) if self.find(item["nid"]) is None else []

    def _append(self, items: list[Notice], now: float | None, **changes: Any) -> list[Notice]:
        received = time.time() if now is None else now
        notices = list(self.notices)
        known = {notice["nid"] for notice in notices}
        number = self.log["number"]
        new = []
        for item in items:
            if item["nid"] in known:
                continue
            number += 1
            ended = {item["nid"], *(item["clears"] or ())}
            if item["sticky"]:
                ended.add(item["kind"])
            notices = [_clear(notice, ended) for notice in notices]
            notice = {**item, "n": number, "received": received, "open": item["sticky"]}
            notice.pop("seq", None)
            notices.append(notice)
            known.add(item["nid"])
            new.append(notice)
        self._write_log(notices=_trim(notices), number=number, **changes)
        return new

    def find(self, nid: str) -> Notice | None:
        """
        Find a kept notice.

        Args:
            nid (str): What names the notice in every stream.

        Returns:
            dict or None: The notice.

        """
        return next((notice for notice in self.notices if notice["nid"] == nid), None)

    # The figures.

    @property
    def figures(self) -> dict[str, Any] | None:
        """dict or None: The latest snapshot as the bridge sent it. Not to be changed in place."""
        return self._snapshot["data"]

    @property
    def figures_received(self) -> float:
        """float: When the latest snapshot came, in seconds since the epoch; 0 for never."""
        return self._snapshot["received"]

    @property
    def rev(self) -> int:
        """int: The revision of the latest snapshot."""
        return self._snapshot["rev"]

    @property
    def _snapshot(self) -> dict[str, Any]:
        if self.ndb.snapshot is None:
            stored = self.attributes.get("snapshot", category=CATEGORY)
            self.ndb.snapshot = (
                {"rev": 0, "received": 0.0, "data": None} if stored is None else deserialize(stored)
            )
        return self.ndb.snapshot

    def put_figures(self, rev: int, data: dict[str, Any], now: float | None = None) -> None:
        """
        Replace the figures.

        Args:
            rev (int): The bridge's revision of them.
            data (dict): As `protocol.SNAPSHOT` leaves them.
            now (float, optional): Seconds since the epoch.

        """
        snapshot = {"rev": rev, "received": time.time() if now is None else now, "data": data}
        self.attributes.add("snapshot", snapshot, category=CATEGORY)
        self.ndb.snapshot = snapshot


def _clear(notice: Notice, ended: set[str]) -> Notice:
    if notice["open"] and (notice["kind"] in ended or notice["nid"] in ended):
        return {**notice, "open": False}
    return notice


def _trim(notices: list[Notice]) -> list[Notice]:
    """Drop the oldest, but keep what is still open."""
    excess = len(notices) - KEPT_NOTICES
    if excess <= 0:
        return notices
    return [notice for notice in notices[:excess] if notice["open"]] + notices[excess:]


def get_store() -> CostsStore | None:
    """
    Find the store.

    Returns:
        CostsStore or None: None before `evennia costs_setup`.

    """
    return CostsStore.objects.filter(db_key=STORE_KEY).first()


def game_name() -> str:
    """
    Name the game to the bridge.

    Returns:
        str: At most 200 characters.

    """
    return str(settings.SERVERNAME)[:200] or "Evennia"
