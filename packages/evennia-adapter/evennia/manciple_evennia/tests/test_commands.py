"""The commands `costs` and `budget`."""

import time

import evennia
from django.conf import settings
from evennia.help.filehelp import FileHelpStorageHandler

from ..commands import CmdBudget, CmdCosts, CostsCommand
from . import samples
from .base import CostsCommandTest


class CommandsTest(CostsCommandTest):
    def setUp(self):
        super().setUp()
        self.greet()
        self.store.put_figures(1, samples.figures(), time.time())

    def test_costs(self):
        page = self.shown(CmdCosts())
        self.assertIn("Cloud costs", page)
        self.assertRegex(page, r"total +\$1\.23 +\$8\.61 +\$18\.50")

    def test_costs_in_one_span(self):
        for switch, title in (
            ("/today", "today"),
            ("/week", "this week"),
            ("/month", "this month"),
        ):
            self.assertIn(f"Cloud costs {title}", self.shown(CmdCosts(), switch))

    def test_costs_of_one_backend(self):
        self.assertIn("claude: $1.00 today", self.shown(CmdCosts(), "/backend Claude"))
        self.assertIn("kimi: $0.23 today", self.shown(CmdCosts(), "/backend k"))
        choice = "Which backend: claude, kimi, ollama?"
        self.assertIn(choice, self.shown(CmdCosts(), "/backend"))
        self.assertIn(choice, self.shown(CmdCosts(), "/backend gpt"))

    def test_history(self):
        page = self.shown(CmdCosts(), "/history last week")
        self.assertIn("2026-11-16 to 2026-11-22", page)
        self.assertIn("Say one of:", self.shown(CmdCosts(), "/history whenever"))

    def test_budget(self):
        page = self.shown(CmdBudget())
        self.assertRegex(page, r"claude\.month +#+\.* +82% near")
        self.assertIn("Paid quota", page)

    def test_one_switch_at_a_time(self):
        self.assertEqual(self.shown(CmdCosts(), "/week/month"), "One switch at a time, please.")

    def test_notices_newest_first(self):
        self.tell(*(samples.item(n) for n in range(1, 15)), samples.local_only(15))
        page = self.shown(CmdBudget(), "/notices")
        self.assertLess(page.index("local-only until"), page.index("notice 14"))
        self.assertIn("2026-11-23 14:05 UTC, ALERT, still so", page)
        self.assertNotIn("notice 5\n", page)
        self.assertIn("notice 1\n", self.shown(CmdBudget(), "/all") + "\n")

    def test_notices_for_a_screen_reader(self):
        self.tell(samples.item(1))
        page = self.shown(CmdBudget(), "/notices", SCREENREADER=True)
        self.assertEqual(page, "Latest notices.\n2026-11-23 14:05 UTC, Note: notice 1")

    def test_no_notices(self):
        self.assertIn("None.", self.shown(CmdBudget(), "/all"))

    def test_what_still_holds_is_listed_however_old(self):
        self.tell(samples.local_only(1), *(samples.item(n) for n in range(2, 20)))
        self.assertIn("still so", self.shown(CmdBudget(), "/notices"))

    def test_dismiss(self):
        self.assertEqual(self.shown(CmdBudget(), "/dismiss"), "Nothing to dismiss.")
        self.tell(samples.local_only(1))
        self.assertIn("Dismissed 1 notice.", self.shown(CmdBudget(), "/dismiss"))
        self.assertEqual(self.shown(CmdBudget(), "/dismiss"), "Nothing to dismiss.")

    def test_hostile_names_show_as_they_are(self):
        name = "|rred|n {r $You() <b>x</b>"
        figures = samples.figures(backends=[samples.backend(name)])
        self.store.put_figures(2, figures, time.time())
        self.assertIn("|rred|n {r $You() <b>x</b>", self.shown(CmdCosts()))

    def test_before_the_first_figures(self):
        self.store.ndb.snapshot = {"rev": 0, "received": 0.0, "data": None}
        for command in (CmdCosts(), CmdBudget()):
            self.assertIn("No figures yet", self.shown(command))

    def test_who_may_not_read_is_told_nothing(self):
        self.store.locks.add("read:false()")
        self.assertEqual(self.shown(CmdCosts()), "There are no cloud costs to show.")
        self.store.delete()
        self.assertEqual(self.shown(CmdBudget()), "There are no cloud costs to show.")

    def test_out_of_character_too(self):
        self.call(CmdCosts(), "", "Cloud costs", caller=self.account)

    def test_in_the_webclients_pane(self):
        self.shown(CmdCosts(), SCREENREADER=True)
        self.assertEqual(self.sent("text", self.session)[0][1], {"type": "costs"})
        self.shown(CmdCosts(), SCREENREADER=False)
        self.assertEqual(self.sent("text", self.session)[0][-1], {"type": "costs"})

    def test_without_a_session(self):
        command = CmdCosts()
        command.caller = self.char1
        command.account, command.session = self.account, None
        command.key, command.cmdstring, command.args, command.raw_string = (
            "costs",
            "costs",
            "",
            "costs",
        )
        evennia.SESSION_HANDLER.data_out.reset_mock()
        command.switches = []
        command.func()
        self.assertTrue(self.sent("text", self.session))

    def test_the_base_has_no_page_of_its_own(self):
        with self.assertRaises(NotImplementedError):
            CostsCommand().page("", self.store, None)

    def test_help(self):
        self.assertIn("manciple_evennia.help_entries", settings.FILE_HELP_ENTRY_MODULES)
        entries = FileHelpStorageHandler(["manciple_evennia.help_entries"]).all(return_dict=True)
        self.assertIn("local-only", entries["cloud budget"].entrytext)
        for command in (CmdCosts(), CmdBudget()):
            self.assertEqual(command.help_category, "Costs".lower())
            for switch in command.switch_options:
                self.assertIn(switch, command.__doc__)
