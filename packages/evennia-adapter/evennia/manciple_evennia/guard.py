"""
The one guard of every input function.

Any session can call any input function, even before it has logged in, so nothing happens before the
guard has let it through.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import DatabaseError
from evennia.utils import logger

from . import protocol
from .accounts import CostsBridge
from .store import CostsStore, get_store

# Of one session, one refusal in this many seconds is logged and answered.
REFUSAL_SECONDS = 10

Handler = Callable[[CostsStore, Any, dict[str, Any]], None]


def guarded(check: protocol.Check) -> Callable[[Handler], Callable[..., None]]:
    """
    Make an input function that only the bridge can call.

    Args:
        check (callable): Reads the message; see `protocol.read`.

    Returns:
        callable: A decorator for a handler `f(store, session, message)`, which gets the message
            checked and cleaned, and may raise `protocol.Refused`.

    """

    def decorate(handler: Handler) -> Callable[..., None]:
        # Positional only: a message may have a key of any name.
        @wraps(handler)
        def inputfunc(session: Any, /, *args: Any, **kwargs: Any) -> None:
            store = get_store()
            if store is None or not may_feed(store, session):
                _deny(session, handler.__name__, kwargs)
                return
            try:
                handler(store, session, protocol.read(handler.__name__, check, kwargs))
            except protocol.Refused as refused:
                answer_nak(store, session, protocol.request_id(kwargs), refused)
            except DatabaseError:
                logger.log_trace("costs: the database did not take a message; it will be repeated")
                busy = protocol.Refused("busy", "the game's database did not take it")
                answer_nak(store, session, protocol.request_id(kwargs), busy)

        # What `wraps` leaves would show the handler's own arguments.
        del inputfunc.__wrapped__
        return inputfunc

    return decorate


def may_feed(store: CostsStore, session: Any) -> bool:
    """
    Check whether a session belongs to the bridge.

    Args:
        store (CostsStore): Its lock decides.
        session (ServerSession): Who calls. `ServerSession.access` would always be true.

    Returns:
        bool: Whether it may send figures and notices. Not even a superuser may.

    """
    account = session.account if session.logged_in else None
    return isinstance(account, CostsBridge) and store.access(
        account, "feed", no_superuser_bypass=True
    )


def answer_nak(
    store: CostsStore, session: Any, request: int | None, refused: protocol.Refused
) -> None:
    """
    Say no to the bridge.

    Args:
        store (CostsStore): Tells the cursor.
        session (ServerSession): The bridge's.
        request (int or None): The id of its message.
        refused (protocol.Refused): Why.

    """
    answer = {"id": request, "code": refused.code, "cursor": store.cursor}
    session.msg(costs_nak=((), {**answer, "detail": refused.detail[:500]}))
    if _is_due(session):
        logger.log_warn(f"costs: a message of the bridge was refused: {refused}")


def _deny(session: Any, name: str, message: dict[str, Any]) -> None:
    if not _is_due(session):
        return
    who = session.account.key if session.logged_in and session.account else "not logged in"
    logger.log_sec(f"costs: {name} denied to session {session.sessid} ({who}, {session.address}).")
    answer = {"id": protocol.request_id(message), "code": "denied"}
    session.msg(costs_nak=((), {**answer, "detail": "not the bridge's account"}))


def _is_due(session: Any) -> bool:
    now = time.monotonic()
    last = session.ndb.costs_refused
    if last is not None and now - last < REFUSAL_SECONDS:
        return False
    session.ndb.costs_refused = now
    return True
