"""How to write for one reader: the width, the zone, and what the client can show."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from evennia.utils.ansi import ANSIString

MIN_WIDTH = 20
MAX_WIDTH = 100


@dataclass(frozen=True)
class Style:
    """
    How to write for one reader.

    Attributes:
        width (int): Columns of the client's window.
        reader (bool): A screen reader reads it out: plain lines, no drawing.
        blocks (bool): The client shows block characters.
        zone (tzinfo): The player's time zone.

    """

    width: int = 78
    reader: bool = False
    blocks: bool = False
    zone: tzinfo = UTC

    def when(self, iso: str) -> str:
        """
        Tell a time in the player's zone.

        Args:
            iso (str): A time with its offset.

        Returns:
            str: As `2026-12-01 00:00 EST`.

        """
        return f"{self.local(iso):%Y-%m-%d %H:%M %Z}".strip()

    def short(self, iso: str, now: str) -> str:
        """
        Tell a time to come in few characters.

        Args:
            iso (str): A time with its offset.
            now (str): The time from which it is seen.

        Returns:
            str: As `22:19` within a day, else as `Dec 1`, in the player's zone.

        """
        at = self.local(iso)
        if at - self.local(now) < timedelta(days=1):
            return f"{at:%H:%M}"
        return f"{at:%b} {at.day}"

    def local(self, iso: str) -> datetime:
        """
        Move a time into the player's zone.

        Args:
            iso (str): A time with its offset.

        Returns:
            datetime: The time there.

        """
        return datetime.fromisoformat(iso).astimezone(self.zone)

    def rule(self) -> str:
        """
        Draw a line across.

        Returns:
            str: With markup.

        """
        return "|x" + ("\u2500" if self.blocks else "-") * self.width + "|n"

    def bar(self, share: float, length: int, colour: str, mark: float | None = None) -> str:
        """
        Draw a share as a bar. Something is never drawn as nothing, nor nearly all as all.

        Args:
            share (float): 1 is full, and above 1 too.
            length (int): Columns of the bar itself.
            colour (str): A letter of Evennia's markup.
            mark (float, optional): Where the share should be by now, 0 to 1.

        Returns:
            str: With markup.

        """
        full, empty, needle = "\u2588\u2591\u2502" if self.blocks else "#.+"
        filled = 0 if share <= 0 else min(length - 1, max(1, round(share * length)))
        if share >= 1:
            filled = length
        at = None if mark is None else min(length - 1, max(0, int(mark * length)))
        cells = [(full, colour) if one < filled else (empty, "x") for one in range(length)]
        if at is not None:
            cells[at] = (needle, "w")
        drawn, last = "", ""
        for char, shade in cells:
            drawn += (f"|{shade}" if shade != last else "") + char
            last = shade
        return drawn + "|n"


def columns(text: str) -> int:
    """
    Count the columns of text with markup.

    Args:
        text (str): With Evennia's markup.

    Returns:
        int: Without it.

    """
    return len(ANSIString(text))


def zone_named(name: str) -> tzinfo:
    """
    Find a time zone.

    Args:
        name (str): An IANA name.

    Returns:
        tzinfo: The zone; UTC where this machine does not know it.

    """
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return UTC


def zone_of(account: Any) -> tzinfo:
    """
    Find a player's time zone.

    Args:
        account (Account or None): The player.

    Returns:
        tzinfo: What the account's option `timezone` says where it has been set, else the server's.

    """
    if account and account.attributes.has("timezone", category="option"):
        return zone_named(str(account.options.get("timezone")))
    return zone_named(settings.TIME_ZONE)


def style_of(sessions: Iterable[Any], account: Any) -> Style:
    """
    Find out how to write for a player.

    Args:
        sessions (iterable): Where it is to be shown: the narrowest counts.
        account (Account or None): The player.

    Returns:
        Style: Evennia's default width where there is no session.

    """
    flags = [session.protocol_flags for session in sessions]
    widths = [one.get("SCREENWIDTH", {0: settings.CLIENT_DEFAULT_WIDTH})[0] for one in flags]
    width = min(widths, default=settings.CLIENT_DEFAULT_WIDTH)
    return Style(
        width=max(MIN_WIDTH, min(MAX_WIDTH, width)),
        reader=any(one.get("SCREENREADER") for one in flags),
        blocks=bool(flags) and all(one.get("UTF-8") for one in flags),
        zone=zone_of(account),
    )
