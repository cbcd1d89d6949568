"""
The messages of a bridge, checked.

Every message comes as keyword arguments of an input function. A check takes a value and the place
where it stands, and gives the value back, cleaned, or raises `Refused`. Keys that are not known are
left out, so that a newer bridge can say more.
"""

import json
import math
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from .text import one_line

VERSION = 1
MAX_BATCH = 50
MAX_BYTES = 65_536

# What a double holds exactly, since the bridge counts in doubles.
MAX_WHOLE = 2**53
MAX_NAME = 200
MAX_TEXT = 2_000
MAX_LIMITS = 500
MAX_BACKENDS = 200
MAX_DAYS = 62
MAX_DATA = 50
MAX_CLEARS = 50

SEVERITIES = ("info", "advice", "warning", "alert")
UNITS = ("usd", "tokens", "requests")

Check = Callable[[Any, str], Any]


class Refused(Exception):
    """
    A message that is not taken.

    Args:
        code (str): One of `version`, `schema`, `gap`, `too_big`, `stream`, `busy`.
        detail (str): What was found, in words, for the operator's log.

    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


def _wrong(place: str, expected: str) -> Refused:
    return Refused("schema", f"{place}: expected {expected}")


def text(most: int, least: int = 1) -> Check:
    """Check one line of text, of `least` to `most` characters."""

    def check(value: Any, place: str) -> str:
        if not isinstance(value, str) or len(value) > most:
            raise _wrong(place, f"text of at most {most} characters")
        line = one_line(value)
        if len(line) < least:
            raise _wrong(place, "text that is not empty")
        return line

    return check


def whole(least: int = -MAX_WHOLE, most: int = MAX_WHOLE) -> Check:
    """Check a whole number within bounds."""

    def check(value: Any, place: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise _wrong(place, f"a whole number from {least} to {most}")
        return value

    return check


def share(value: Any, place: str) -> float:
    """Check a finite number of ordinary size."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(place, "a number")
    if not math.isfinite(value) or abs(value) > 1e9:
        raise _wrong(place, "a finite number of ordinary size")
    return float(value)


def flag(value: Any, place: str) -> bool:
    """Check true or false."""
    if not isinstance(value, bool):
        raise _wrong(place, "true or false")
    return value


def instant(value: Any, place: str) -> str:
    """Check a time with its offset, in ISO 8601."""
    if isinstance(value, str) and len(value) <= 40:
        try:
            # Far years would overflow when they are moved to a player's zone.
            at = datetime.fromisoformat(value)
            if at.tzinfo is not None and 1970 <= at.year <= 9000:
                return value
        except ValueError:
            pass
    raise _wrong(place, "a time as 2026-12-01T00:00:00Z")


def day(value: Any, place: str) -> str:
    """Check a calendar day."""
    if isinstance(value, str) and len(value) == 10:
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            pass
    raise _wrong(place, "a day as 2026-12-01")


def one_of(*words: str) -> Check:
    """Check one of some known words."""

    def check(value: Any, place: str) -> str:
        if not isinstance(value, str) or value not in words:
            raise _wrong(place, "one of " + ", ".join(words))
        return value

    return check


def nullable(inner: Check) -> Check:
    """Let null pass, and what is not there at all."""
    return lambda value, place: None if value is None else inner(value, place)


def listing(inner: Check, most: int) -> Check:
    """Check a list of at most `most` values."""

    def check(value: Any, place: str) -> list[Any]:
        if not isinstance(value, list) or len(value) > most:
            raise _wrong(place, f"a list of at most {most}")
        return [inner(one, f"{place}[{index}]") for index, one in enumerate(value)]

    return check


def mapping(inner: Check, most: int) -> Check:
    """Check an object with names of its own as keys."""
    key = text(MAX_NAME)

    def check(value: Any, place: str) -> dict[str, Any]:
        if not isinstance(value, dict) or len(value) > most:
            raise _wrong(place, f"an object of at most {most} keys")
        return {key(name, place): inner(one, f"{place}.value") for name, one in value.items()}

    return check


def record(**fields: Check) -> Check:
    """Check an object with these keys; others are left out."""

    def check(value: Any, place: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong(place, "an object")
        return {name: inner(value.get(name), f"{place}.{name}") for name, inner in fields.items()}

    return check


_NAME = text(MAX_NAME)
_COUNT = whole(0)
_MONEY = whole()
_SEQ = whole(1)


def _scalar(value: Any, place: str) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong(place, "text, a finite number, true, false or null")
    return value


def _data(value: Any, place: str) -> dict[str, Any]:
    """Only what the game itself needs of a notice's data is kept."""
    found = mapping(_scalar, MAX_DATA)(value, place)
    reset = found.get("reset")
    about = found.get("limit") or found.get("backend")
    return {
        "reset": None if reset is None else instant(reset, f"{place}.reset"),
        "about": one_line(about)[:MAX_NAME] if isinstance(about, str) else None,
    }


_ITEM = record(
    seq=_SEQ,
    nid=_NAME,
    ts=instant,
    severity=one_of(*SEVERITIES),
    kind=_NAME,
    text=text(MAX_TEXT),
    data=_data,
    sticky=flag,
    clears=nullable(listing(_NAME, MAX_CLEARS)),
)

_LIMIT = record(
    name=_NAME,
    unit=one_of(*UNITS),
    window=_NAME,
    quantity=_MONEY,
    settled=_MONEY,
    held=_MONEY,
    presumed=_MONEY,
    free=_MONEY,
    standing=one_of("within", "near", "over"),
    resets=nullable(instant),
    hard=flag,
)

_SPENT = {
    "today_nano": _MONEY,
    "week_nano": _MONEY,
    "month_nano": _MONEY,
    "today_calls": _COUNT,
    "month_calls": _COUNT,
}

_PROGRESS = {
    "utilization": share,
    "elapsed": share,
    "pace": nullable(share),
    "floor": share,
}

_QUOTA = record(
    backend=_NAME,
    unit=one_of(*UNITS),
    quantity=_MONEY,
    settled=_MONEY,
    forecast=nullable(record(low=share, mid=share, high=share)),
    lapse_nano=nullable(_MONEY),
    starts=nullable(instant),
    resets=nullable(instant),
    **_PROGRESS,
)

_FIGURES = record(
    at=instant,
    timezone=_NAME,
    policy=text(MAX_NAME, least=0),
    source=record(alive=flag, last_record=nullable(instant)),
    local_only=nullable(record(since=instant, until=nullable(instant), text=text(MAX_TEXT))),
    spent=record(**_SPENT),
    limits=listing(_LIMIT, MAX_LIMITS),
    backends=listing(record(name=_NAME, kind=one_of("cloud", "local"), **_SPENT), MAX_BACKENDS),
    quotas=listing(_QUOTA, MAX_BACKENDS),
    total=record(**_PROGRESS),
    days=listing(
        record(day=day, backends=mapping(record(cost_nano=_MONEY, calls=_COUNT), MAX_BACKENDS)),
        MAX_DAYS,
    ),
)

HELLO = record(stream=_NAME, oldest=_COUNT, next=_SEQ, rev=_COUNT)
SNAPSHOT = record(stream=_NAME, rev=_COUNT, id=_COUNT, data=_FIGURES)
NOTICES = record(stream=_NAME, id=_COUNT, items=listing(_ITEM, MAX_BATCH))


def read(name: str, check: Check, message: dict[str, Any]) -> dict[str, Any]:
    """
    Read a message.

    Args:
        name (str): The input function, which counts towards the frame's size.
        check (Check): One of `HELLO`, `SNAPSHOT`, `NOTICES`.
        message (dict): The keyword arguments as they came.

    Returns:
        dict: The message, checked and cleaned.

    Raises:
        Refused: With the code `too_big`, `version` or `schema`.

    """
    size = len(json.dumps([name, [], message], separators=(",", ":")))
    if size > MAX_BYTES:
        raise Refused("too_big", f"{size} bytes, of {MAX_BYTES}")
    version = message.get("v")
    if isinstance(version, bool) or version != VERSION:
        raise Refused("version", f"this game speaks version {VERSION}")
    items = message.get("items")
    if isinstance(items, list) and len(items) > MAX_BATCH:
        raise Refused("too_big", f"{len(items)} notices, of {MAX_BATCH}")
    return check(message, name)


def request_id(message: dict[str, Any]) -> int | None:
    """
    Find the id that an answer is to carry.

    Args:
        message (dict): The keyword arguments as they came.

    Returns:
        int or None: The id, where it is one.

    """
    value = message.get("id")
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_WHOLE:
        return None
    return value
