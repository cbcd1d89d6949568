"""A room with a dashboard."""

import time
from typing import Any

from evennia.objects.objects import DefaultRoom

from . import boards
from .layout import paragraph
from .store import get_store
from .style import style_of


class Observatory(DefaultRoom):
    """
    A room from which the cloud budget can be seen: `look` shows the dashboard.

    """

    def at_object_creation(self) -> None:
        """Describe the room. Called once."""
        super().at_object_creation()
        self.db.desc = (
            "Brass instruments line the walls of this round room. Under the dome, needles of light "
            "trace what the game's distant minds have spent, and what is left to them."
        )

    def return_appearance(self, looker: Any, **kwargs: Any) -> str:
        """
        Add the dashboard after the room's own appearance, whose whitespace Evennia compresses.

        Args:
            looker (Object): Who looks.
            **kwargs: Passed on.

        Returns:
            str: With markup.

        """
        appearance = super().return_appearance(looker, **kwargs)
        return f"{appearance}\n\n{self.get_dashboard(looker)}" if looker else appearance

    def get_dashboard(self, looker: Any) -> str:
        """
        Draw the dashboard. To be overloaded for another one.

        Args:
            looker (Object): Who looks.

        Returns:
            str: With markup.

        """
        account = getattr(looker, "account", None)
        style = style_of(looker.sessions.all(), account)
        store = get_store()
        if store is None or not account or not store.access(account, "read"):
            return "The instruments are covered with cloth."
        if store.figures is None:
            return "\n".join(paragraph(style, boards.NO_FIGURES))
        footer = boards.freshness(store.figures, store.figures_received, time.time(), style)
        return "\n".join(boards.dashboard(store.figures, style, footer))
