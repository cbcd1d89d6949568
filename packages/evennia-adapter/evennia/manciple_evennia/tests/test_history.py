"""Periods in a player's words."""

from datetime import date
from unittest import TestCase

from evennia.utils.ansi import strip_ansi

from ..history import history_page, period_of
from ..style import Style
from . import samples

TODAY = date(2026, 11, 23)


class PeriodTest(TestCase):
    def test_words(self):
        for text, first, last in (
            ("", "2026-10-25", "2026-11-23"),
            ("today", "2026-11-23", "2026-11-23"),
            ("yesterday", "2026-11-22", "2026-11-22"),
            ("This  Week", "2026-11-23", "2026-11-23"),
            ("last week", "2026-11-16", "2026-11-22"),
            ("this month", "2026-11-01", "2026-11-23"),
            ("last month", "2026-10-01", "2026-10-31"),
            ("7", "2026-11-17", "2026-11-23"),
            ("last 7 days", "2026-11-17", "2026-11-23"),
            ("0", "2026-11-23", "2026-11-23"),
            ("1 day", "2026-11-23", "2026-11-23"),
            ("2026-11-05", "2026-11-05", "2026-11-05"),
            ("2026-11-07 to 2026-11-05", "2026-11-05", "2026-11-07"),
        ):
            found = tuple(one.isoformat() for one in period_of(text, TODAY))
            self.assertEqual(found, (first, last), text)

    def test_what_is_not_understood(self):
        for text in ("soon", "2026-13-01", "2026-11-01 2026-11-02 2026-11-03", "1234", "to", "-5"):
            self.assertIsNone(period_of(text, TODAY), text)


class HistoryPageTest(TestCase):
    def page(self, text, style=None, **changes):
        figures = samples.figures(**changes)
        lines = history_page(figures, text, style or Style(width=60), ["footer"])
        return [strip_ansi(line).rstrip() for line in lines]

    def test_last_week_day_by_day_and_by_backend(self):
        lines = self.page("last week")
        self.assertEqual(lines[0], "Cloud costs by day                  2026-11-16 to 2026-11-22")
        days = [line for line in lines if " 2026-11-" in line[:15]]
        self.assertEqual([line[:14] for line in days], [f"{d} 2026-11-{n}" for d, n in WEEK])
        self.assertTrue(days[0].endswith("$0.07") and days[6].endswith("$0.01"))
        total = next(line for line in lines if line.startswith("total")).split()
        self.assertEqual(total, ["total", "$0.28", "35"])
        self.assertEqual(lines[-1], "footer")

    def test_it_fits_the_window(self):
        for width in (20, 40, 80):
            for line in self.page("", Style(width=width)):
                self.assertLessEqual(len(line), max(width, 33), line)

    def test_for_a_screen_reader_each_day_is_a_sentence(self):
        lines = self.page("2026-11-20 2026-11-21", Style(reader=True))
        self.assertIn("Fri 2026-11-20: $0.03.", lines)
        self.assertIn("claude: cost $0.05, calls 5.", lines)
        self.assertFalse([line for line in lines if "#" in line or "--" in line])

    def test_it_says_where_the_days_that_it_knows_begin(self):
        self.assertIn("The game knows the days since 2026-10-25.", self.page("last month"))
        self.assertIn("No days.", self.page("2026-01-01"))
        self.assertEqual(self.page("", days=[]), ["No history yet."])

    def test_a_question_is_answered_with_the_choices(self):
        self.assertTrue(self.page("soon")[0].startswith("Say one of: today, yesterday"))

    def test_a_day_without_costs_has_an_empty_bar(self):
        days = [{"day": "2026-11-23", "backends": {"a": {"cost_nano": -5, "calls": 0}}}]
        self.assertNotIn("#", "".join(self.page("today", days=days)))


WEEK = list(zip(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], range(16, 23), strict=True))
