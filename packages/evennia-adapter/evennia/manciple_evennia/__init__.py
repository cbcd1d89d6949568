"""
Cloud costs and budgets of a Manciple router, inside an Evennia game.

A model router spends real money. Manciple keeps its books and its limits; this package shows them
to the players who are to know: commands `costs` and `budget`, a room with a dashboard, and notices
that reach each account once.

Install with three lines of settings (see the README), then run `evennia costs_setup`.

Nothing is imported here: Django loads this module before Evennia is ready. Import from

- `manciple_evennia.commands`: `CmdCosts`, `CmdBudget`, `CostsCmdSet`
- `manciple_evennia.rooms`: `Observatory`
- `manciple_evennia.store`: `CostsStore`, `get_store`
"""

__version__ = "0.1.0"
