"""Django's entry: connects the package to a game that lists it in `INSTALLED_APPS`."""

from django.apps import AppConfig
from django.conf import settings


class MancipleEvenniaConfig(AppConfig):
    """
    The app has no models of its own. It brings the help entries and the webclient's plugin.

    """

    name = "manciple_evennia"
    verbose_name = "Manciple: cloud costs and budgets"

    def ready(self) -> None:
        """Add the help entries; Evennia loads them later."""
        module = "manciple_evennia.help_entries"
        if module not in settings.FILE_HELP_ENTRY_MODULES:
            settings.FILE_HELP_ENTRY_MODULES = [*settings.FILE_HELP_ENTRY_MODULES, module]
