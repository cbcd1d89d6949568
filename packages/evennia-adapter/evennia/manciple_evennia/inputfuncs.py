"""
Input functions that the bridge calls over the webclient's websocket.

Every public function of this module is an input function, and any session may call it: each is made
by `guarded`. Add the module to the settings:

    INPUT_FUNC_MODULES += ["manciple_evennia.inputfuncs"]

"""

from typing import Any

from . import delivery, protocol
from .guard import guarded
from .store import CostsStore, game_name


@guarded(protocol.HELLO)
def costs_hello(store: CostsStore, session: Any, message: dict[str, Any]) -> None:
    """
    Begin, or begin anew. The answer says which notice the game wants next.

    Args:
        store (CostsStore): What the game knows.
        session (ServerSession): The bridge's.
        message (dict): `stream`, `oldest`, `next`, `rev`.

    """
    if message["oldest"] > message["next"]:
        raise protocol.Refused("schema", "costs_hello.oldest: expected at most next")
    known = store.log["cursors"].get(message["stream"], 0)
    if known >= message["next"]:
        detail = f"the game has notice {known}, the next is said to be {message['next']}"
        raise protocol.Refused("stream", detail)
    store.open_stream(message["stream"], message["oldest"])
    welcome = {
        "v": protocol.VERSION,
        "stream": store.stream,
        "cursor": store.cursor,
        "rev": store.rev,
        "game": game_name(),
        "max_batch": protocol.MAX_BATCH,
        "max_bytes": protocol.MAX_BYTES,
    }
    session.msg(costs_welcome=((), welcome))


@guarded(protocol.SNAPSHOT)
def costs_snapshot(store: CostsStore, session: Any, message: dict[str, Any]) -> None:
    """
    Replace the figures.

    Args:
        store (CostsStore): What the game knows.
        session (ServerSession): The bridge's.
        message (dict): `stream`, `rev`, `id`, `data`.

    """
    _expect_stream(store, message)
    store.put_figures(message["rev"], message["data"])
    delivery.send_figures(store)
    _ack(store, session, message)


@guarded(protocol.NOTICES)
def costs_notices(store: CostsStore, session: Any, message: dict[str, Any]) -> None:
    """
    Take notices: drop what is known, refuse a gap, store, deliver, acknowledge.

    Args:
        store (CostsStore): What the game knows.
        session (ServerSession): The bridge's.
        message (dict): `stream`, `id`, `items`.

    """
    _expect_stream(store, message)
    items = [item for item in message["items"] if item["seq"] > store.cursor]
    for wanted, item in enumerate(items, start=store.cursor + 1):
        if item["seq"] != wanted:
            raise protocol.Refused("gap", f"expected notice {wanted}, found {item['seq']}")
    if items:
        store.take(items)
        delivery.deliver(store)
    _ack(store, session, message)


def _expect_stream(store: CostsStore, message: dict[str, Any]) -> None:
    if message["stream"] != store.stream:
        raise protocol.Refused("stream", "say hello with this stream first")


def _ack(store: CostsStore, session: Any, message: dict[str, Any]) -> None:
    answer = {"id": message["id"], "cursor": store.cursor, "rev": store.rev}
    session.msg(costs_ack=((), answer))
