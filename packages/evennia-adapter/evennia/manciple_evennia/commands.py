"""
The commands `costs` and `budget`.

Every account gets them at login. To place them yourself, add the command set to your own:

    from manciple_evennia.commands import CostsCmdSet

    class AccountCmdSet(default_cmds.AccountCmdSet):
        def at_cmdset_creation(self):
            super().at_cmdset_creation()
            self.add(CostsCmdSet)

"""

import time
from typing import Any

from django.conf import settings
from evennia import CmdSet
from evennia.utils import evmore
from evennia.utils.utils import class_from_module

from . import boards, delivery, views
from .history import history_page
from .layout import paragraph
from .store import CostsStore, Notice, get_store
from .style import Style, style_of

COMMAND_DEFAULT_CLASS = class_from_module(settings.COMMAND_DEFAULT_CLASS)

RECENT_NOTICES = 10


class CostsCommand(COMMAND_DEFAULT_CLASS):  # type: ignore[misc, valid-type]
    """
    What both commands share: who may read, and how a page is shown.

    """

    locks = "cmd:pperm(Player)"
    help_category = "Costs"

    def func(self) -> None:
        """Show the page that the switch asks for."""
        store = get_store()
        if store is None or not self.account or not store.access(self.account, "read"):
            self.msg("There are no cloud costs to show.")
            return
        if len(self.switches) > 1:
            self.msg("One switch at a time, please.")
            return
        switch = self.switches[0] if self.switches else ""
        style = style_of([self.session] if self.session else [], self.account)
        self.show(self.page(switch, store, style), style)

    def page(self, switch: str, store: CostsStore, style: Style) -> list[str]:
        """
        Write a page.

        Args:
            switch (str): One of `switch_options`, or nothing.
            store (CostsStore): What the game knows.
            style (Style): The reader's.

        Returns:
            list: Lines with markup.

        """
        raise NotImplementedError

    def show(self, lines: list[str], style: Style) -> None:
        """
        Send a page, in the pager where it is long.

        Args:
            lines (list): Lines with markup.
            style (Style): The reader's. A screen reader gets it whole: it has no use for a pager.

        """
        text = "\n".join(lines)
        if style.reader or not self.session:
            self.msg(text=(text, {"type": "costs"}))
        else:
            kwargs = {"type": "costs"}
            evmore.msg(self.caller, text, session=self.session, justify=False, text_kwargs=kwargs)

    def footer(self, store: CostsStore, figures: dict[str, Any], style: Style) -> list[str]:
        """
        Say how old the figures are.

        Args:
            store (CostsStore): What the game knows.
            figures (dict): Its figures.
            style (Style): The reader's.

        Returns:
            list: Lines with markup.

        """
        return boards.freshness(figures, store.figures_received, time.time(), style)


class CmdCosts(CostsCommand):
    """
    see what the cloud has cost

    Usage:
      costs
      costs/today
      costs/week
      costs/month
      costs/backend <name>
      costs/history [<period>]

    Switches:
      today, week, month - one span of time, the dearest backend first
      backend - all about one backend: spend, limits, paid quota
      history - day by day, of the last 30 days unless you say which:
          last week, this month, 7 (days), 2026-11-01,
          2026-11-01 2026-11-07

    Money is US dollars at list price. Days, weeks and months are those
    of the router's own time zone.

    See also: budget, cloud budget
    """

    key = "costs"
    switch_options = ("today", "week", "month", "backend", "history")

    def page(self, switch: str, store: CostsStore, style: Style) -> list[str]:
        """See `CostsCommand.page`."""
        figures = store.figures
        if figures is None:
            return paragraph(style, boards.NO_FIGURES)
        footer = self.footer(store, figures, style)
        if switch == "backend":
            return self._backend(figures, style, footer)
        if switch == "history":
            return history_page(figures, self.args.strip(), style, footer)
        if switch:
            return boards.span_page(figures, switch, style, footer)
        return boards.costs_page(figures, style, footer)

    def _backend(self, figures: dict[str, Any], style: Style, footer: list[str]) -> list[str]:
        names = [one["name"] for one in figures["backends"]]
        wanted = self.args.strip().lower()
        found = [name for name in names if name.lower() == wanted] or [
            name for name in names if wanted and name.lower().startswith(wanted)
        ]
        if len(found) == 1:
            return boards.backend_page(figures, found[0], style, footer)
        return paragraph(style, "Which backend: " + ", ".join(found or names) + "?")


class CmdBudget(CostsCommand):
    """
    see how the cloud budget stands

    Usage:
      budget
      budget/notices
      budget/all
      budget/dismiss

    Switches:
      notices - the latest notices, and what still holds
      all - every notice that the game has kept
      dismiss - do not show me again, at my logins, what I have seen

    See also: costs, cloud budget
    """

    key = "budget"
    switch_options = ("notices", "all", "dismiss")

    def page(self, switch: str, store: CostsStore, style: Style) -> list[str]:
        """See `CostsCommand.page`."""
        if switch == "notices":
            return views.notices_page(self._recent(store), style, "Latest notices")
        if switch == "all":
            return views.notices_page(store.notices, style, "All notices")
        if switch == "dismiss":
            return self._dismiss(store)
        figures = store.figures
        if figures is None:
            return paragraph(style, boards.NO_FIGURES)
        return boards.budget_page(figures, style, self.footer(store, figures, style))

    def _recent(self, store: CostsStore) -> list[Notice]:
        latest = {notice["n"] for notice in store.notices[-RECENT_NOTICES:]}
        return [one for one in store.notices if one["open"] or one["n"] in latest]

    def _dismiss(self, store: CostsStore) -> list[str]:
        held = delivery.sticky_notices(store, self.account)
        if not held:
            return ["Nothing to dismiss."]
        delivery.dismiss(store, self.account, held)
        noun = "notice" if len(held) == 1 else "notices"
        return [f"Dismissed {len(held)} {noun}. |wbudget/notices|n still lists them."]


class CostsCmdSet(CmdSet):
    """Both commands, for an account."""

    key = "CostsCmdSet"

    def at_cmdset_creation(self) -> None:
        """Add the commands."""
        self.add(CmdCosts())
        self.add(CmdBudget())
