"""
Delivery of notices to players: each account once.

An account's cursor is the number of the last notice that it was shown. The order of things keeps it
true through a kill of the Server at any point:

1. The notice is in the database.
2. The text goes to the Portal, and in the same write a mark on the Portal's session, which outlives
   the Server: either both arrive or neither.
3. Once they are written, the cursor goes to the database.

Killed before 2, the new Server finds neither mark nor cursor and shows the notice. Killed between 2
and 3, it finds the mark. What remains: a player who loses the connection within the moment between
2 and 3 while the Server is killed sees the notice again at the next login.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import evennia
from evennia.server.signals import SIGNAL_ACCOUNT_POST_LOGIN
from evennia.utils import delay, logger

from . import views
from .accounts import CostsBridge
from .store import CATEGORY, CostsStore, Notice, get_store
from .style import Style, style_of

# A key of the session's protocol flags, which the Portal keeps.
MARK = "COSTS_SHOWN"
# The Portal has the text well before this many seconds have passed.
SAVE_SECONDS = 0.25
# At a login, of what was missed only so many of the newest are spelled out.
SHOWN_AT_LOGIN = 250

_unsaved: dict[int, Any] = {}
_closed = False


def deliver(store: CostsStore) -> None:
    """
    Show every account that is online the notices that it has not seen.

    Args:
        store (CostsStore): What the game knows.

    """
    if _closed:
        return
    for account, sessions in _readers(store).items():
        try:
            missed = _missed(store, account)
            if missed:
                _show(account, sessions, partial(views.notice_lines, missed), missed)
        except Exception:
            # One account's trouble is not that of the others.
            logger.log_trace(f"costs: {account} could not be shown a notice")


def at_login(sender: Any, session: Any, **kwargs: Any) -> None:
    """
    Show what was missed, and what still holds. A receiver of Evennia's login signal.

    Args:
        sender (Account): Who has logged in.
        session (ServerSession): The new session.
        **kwargs: Of the signal, not used.

    """
    store = get_store()
    if store is None or isinstance(sender, CostsBridge) or not store.access(sender, "read"):
        return
    try:
        add_commands(sender)
        missed = _missed(store, sender)
        told = {notice["n"] for notice in missed}
        still = [notice for notice in sticky_notices(store, sender) if notice["n"] not in told]
        lines = partial(views.login_lines, missed[-SHOWN_AT_LOGIN:], len(missed), still)
        _show(sender, [session], lines, missed)
        _send_summary(store, [session])
    except Exception:
        # A login must not fail for want of a notice.
        logger.log_trace("costs: what was missed could not be shown")


SIGNAL_ACCOUNT_POST_LOGIN.connect(at_login, dispatch_uid="manciple_evennia.at_login")


def add_commands(account: Any) -> None:
    """
    Give an account the commands, until the Server stops.

    Args:
        account (Account): Who has logged in.

    """
    # Not before: it builds on the game's own command class, which needs all of Evennia.
    from .commands import CostsCmdSet

    if not account.cmdset.has(CostsCmdSet):
        account.cmdset.add(CostsCmdSet)


def at_server_start(store: CostsStore) -> None:
    """
    Believe the marks, show what is unseen, and ask the bridge to go on from the cursor.

    Args:
        store (CostsStore): What the game knows.

    """
    for account, sessions in _readers(store).items():
        add_commands(account)
        marks = [session.protocol_flags.get(MARK) for session in sessions]
        for number in (mark["n"] for mark in marks if mark and _is_ours(store, mark)):
            if number > (_cursor(account) or 0):
                account.ndb.costs_cursor = number
                _unsaved[account.pk] = account
    save_cursors()
    deliver(store)
    for session in _bridge_sessions(store):
        resync = {"cursor": store.cursor, "rev": store.rev, "why": "the game's server has started"}
        session.msg(costs_resync=((), resync))


def _is_ours(store: CostsStore, mark: dict[str, Any]) -> bool:
    """A database from before the mark may number other notices alike."""
    notice = store.find(mark["nid"])
    return notice is not None and notice["n"] == mark["n"]


def bridge_is_here(store: CostsStore) -> bool:
    """
    Check whether the bridge is logged in.

    Args:
        store (CostsStore): Its lock tells the bridge.

    Returns:
        bool: Whether one of the sessions is the bridge's.

    """
    return bool(_bridge_sessions(store))


def _bridge_sessions(store: CostsStore) -> list[Any]:
    from .guard import may_feed

    return [
        session for session in evennia.SESSION_HANDLER.get_sessions() if may_feed(store, session)
    ]


def _readers(store: CostsStore) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for session in evennia.SESSION_HANDLER.get_sessions():
        account = session.account
        if account and not isinstance(account, CostsBridge):
            found.setdefault(account, []).append(session)
    return {who: sessions for who, sessions in found.items() if store.access(who, "read")}


# Cursors.


def _cursor(account: Any) -> int | None:
    if account.ndb.costs_cursor is None:
        account.ndb.costs_cursor = account.attributes.get("cursor", category=CATEGORY)
    return account.ndb.costs_cursor


def _missed(store: CostsStore, account: Any) -> list[Notice]:
    cursor = _cursor(account)
    if cursor is None or cursor > store.log["number"]:
        # Never told anything: what came since the account exists.
        since = account.date_joined.timestamp()
        return [notice for notice in store.notices if notice["received"] >= since]
    return [notice for notice in store.notices if notice["n"] > cursor]


def _show(
    account: Any,
    sessions: list[Any],
    lines: Callable[[Style], list[str]],
    notices: list[Notice],
) -> None:
    for session in sessions:
        shown = lines(style_of([session], account))
        if shown:
            session.msg(text=("\n".join(shown), {"type": "costs"}))
        if notices:
            mark = {"n": notices[-1]["n"], "nid": notices[-1]["nid"]}
            session.protocol_flags[MARK] = mark
            evennia.SESSION_HANDLER.session_portal_partial_sync(
                {session.sessid: {"protocol_flags": {MARK: mark}}}
            )
    if notices:
        account.ndb.costs_cursor = notices[-1]["n"]
        if not _unsaved:
            delay(SAVE_SECONDS, save_cursors)
        _unsaved[account.pk] = account


def save_cursors() -> None:
    """Write down who has seen what."""
    while _unsaved:
        _, account = _unsaved.popitem()
        account.attributes.add("cursor", account.ndb.costs_cursor, category=CATEGORY)


def close() -> None:
    """
    Note down who has seen what, and show nothing from here on.

    A shutdown takes the Portal's marks along, and what is sent after it has begun reaches nobody.

    """
    global _closed
    _closed = True
    save_cursors()


# Notices that stay.


def sticky_notices(store: CostsStore, account: Any) -> list[Notice]:
    """
    List the notices that still hold.

    Args:
        store (CostsStore): What the game knows.
        account (Account): For whom.

    Returns:
        list: Sticky notices, neither cleared nor dismissed by this account, oldest first.

    """
    dismissed = account.attributes.get("dismissed", category=CATEGORY) or ()
    return [one for one in store.notices if one["open"] and one["nid"] not in dismissed]


def dismiss(store: CostsStore, account: Any, notices: Iterable[Notice]) -> None:
    """
    Keep sticky notices from coming back at this account's logins.

    Args:
        store (CostsStore): What the game knows.
        account (Account): Who has read them.
        notices (iterable): Which.

    """
    known = set(account.attributes.get("dismissed", category=CATEGORY) or ())
    known.update(notice["nid"] for notice in notices)
    still_open = [notice["nid"] for notice in store.notices if notice["open"]]
    kept = [nid for nid in still_open if nid in known]
    account.attributes.add("dismissed", kept, category=CATEGORY)


# Figures for clients that draw them.


def send_figures(store: CostsStore) -> None:
    """
    Send the summary to clients that take out-of-band data, where it has changed.

    Args:
        store (CostsStore): What the game knows.

    """
    sessions = [session for several in _readers(store).values() for session in several]
    _send_summary(store, sessions)


def _send_summary(store: CostsStore, sessions: list[Any]) -> None:
    if store.figures is None:
        return
    summary = views.summary(store.figures)
    for session in sessions:
        if _draws(session) and session.ndb.costs_summary != summary:
            session.ndb.costs_summary = summary
            session.msg(cloud_budget=((), summary))


def _draws(session: Any) -> bool:
    """Evennia's own webclient says that it does, and shows what it does not know as an error."""
    flags = session.protocol_flags
    name = str(flags.get("CLIENTNAME"))
    return bool(flags.get("OOB")) and (not name.startswith("Evennia Webclient") or "mudstandards" in name)
