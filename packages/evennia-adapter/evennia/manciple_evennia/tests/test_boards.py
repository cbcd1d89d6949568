"""Pages fit the window, read well aloud, and never say anything by colour alone."""

import re
import time
from unittest import TestCase

from evennia.utils.ansi import strip_ansi
from evennia.utils.create import create_object
from evennia.utils.utils import display_len

from .. import boards
from ..layout import Entry, entries, paragraph, table
from ..rooms import Observatory
from ..style import Style, style_of, zone_named
from . import samples
from .base import CostsTest

PAGES = {
    "costs": boards.costs_page,
    "week": lambda figures, style, footer: boards.span_page(figures, "week", style, footer),
    "budget": boards.budget_page,
    "backend": lambda figures, style, footer: boards.backend_page(figures, "claude", style, footer),
    "dashboard": boards.dashboard,
}
LOCAL_ONLY = {"since": samples.AT, "until": "2026-12-01T05:00:00.000Z", "text": "Exhausted"}
HOSTILE = "|rred|n {r $You() <b>b</b> |lcquit|ltx|le 漢字 and a name that is very long indeed"


def shown(page, style=None, **changes):
    lines = PAGES[page](samples.figures(**changes), style or Style(width=80), [])
    return [strip_ansi(line).rstrip() for line in lines]


class PagesTest(TestCase):
    def test_they_fit_every_window(self):
        hostile = {
            "backends": [samples.backend("claude"), samples.backend(HOSTILE, month=2**50)],
            "limits": [
                samples.limit(HOSTILE, quantity=2**52, settled=2**52, standing="over", hard=False),
                samples.limit("claude.month", unit="requests", quantity=0, settled=2**50),
            ],
            "quotas": [samples.quota("claude"), samples.quota(HOSTILE, pace=None, settled=2**52)],
            "local_only": LOCAL_ONLY,
        }
        for page in PAGES:
            for width in (40, 60, 78, 80, 100):
                for changes in ({}, hostile):
                    for line in shown(page, Style(width=width), **changes):
                        self.assertLessEqual(display_len(line), width, (page, width, line))

    def test_nothing_is_said_by_colour_alone(self):
        text = "\n".join(shown("budget"))
        for word in (
            "within",
            "near",
            "over",
            "soft",
            "below floor",
            "floor met",
            "below the floor",
        ):
            self.assertIn(word, text)
        self.assertIn("ALERT", "\n".join(shown("costs", local_only=LOCAL_ONLY)))

    def test_for_a_screen_reader_there_are_only_sentences(self):
        for page in PAGES:
            for line in shown(page, Style(reader=True), local_only=LOCAL_ONLY):
                self.assertIsNone(re.search(r"[|#+\u2588\u2591]|--|\.\.|  ", line), line)
                self.assertTrue(line.endswith("."), line)

    def test_sums_are_those_of_the_bridge(self):
        lines = shown("costs")
        self.assertEqual(lines[3].split(), ["claude", "$1.00", "$8.11", "$16.40"])
        self.assertEqual(lines[5].split(), ["ollama", "(local)", "$0.00", "$0.00", "$0.00"])
        self.assertEqual(lines[7].split(), ["total", "$1.23", "$8.61", "$18.50"])
        self.assertEqual(lines[8], "120 calls today, 3,410 this month.")

    def test_one_span_has_the_dearest_first(self):
        names = [line.split()[0] for line in shown("week")[2:]]
        self.assertEqual(names, ["claude", "kimi", "ollama"])
        self.assertIn("94%", shown("week")[2])

    def test_one_backend_has_its_limits_and_its_outlook(self):
        text = "\n".join(shown("backend"))
        self.assertIn("claude.month", text)
        self.assertNotIn("all.day", text)
        self.assertIn("$0.13 presumed spent, $15.00 free", text)
        outlook = " ".join(text.split())
        self.assertIn("about 62% (50% to 80%) will be used when the window ends", outlook)
        self.assertIn("$7.60 will lapse", outlook)

    def test_a_quota_without_an_outlook_says_nothing(self):
        bare = samples.quota("claude", forecast=None, lapse_nano=None, resets=None)
        self.assertNotIn("will", "\n".join(shown("backend", quotas=[bare])))

    def test_the_dashboard_shows_shared_limits_and_each_backends_tightest(self):
        names = [line.split("  ")[0].split(" #")[0] for line in shown("dashboard")[2:7]]
        self.assertEqual(names, ["all.day", "claude.5h", "claude used", "kimi.month", "kimi used"])

    def test_a_policy_without_limits_or_quotas(self):
        self.assertIn("No limits.", shown("budget", limits=[], quotas=[]))
        self.assertNotIn("All quotas", "".join(shown("dashboard", limits=[], quotas=[])))

    def test_local_only_without_a_date_is_in_the_routers_words(self):
        no_date = {**LOCAL_ONLY, "until": None, "text": "Cloud calls are stopped: disk full"}
        self.assertIn(
            "ALERT: Cloud calls are stopped: disk full", shown("costs", local_only=no_date)
        )

    def test_a_quota_is_judged_as_the_command_line_judges_it(self):
        judge = boards.quota_standing
        self.assertEqual(judge(samples.quota("a", utilization=0.5))[0], "floor met")
        self.assertEqual(judge(samples.quota("a", elapsed=0.49))[0], "under way")
        self.assertEqual(judge(samples.quota("a", elapsed=0.5))[0], "below floor")

    def test_pace_is_not_judged_early(self):
        total = {"utilization": 0.01, "elapsed": 0.1, "pace": 0.1, "floor": 0.7}
        self.assertNotIn(
            "floor", "".join(strip_ansi(one) for one in boards.together(total, Style()))
        )
        self.assertIn("pace -", boards.together({**total, "pace": None}, Style())[0])

    def test_a_limit_belongs_to_the_backend_with_the_longest_fitting_name(self):
        figures = samples.figures(
            backends=[samples.backend("a"), samples.backend("a.b")],
            limits=[samples.limit(name) for name in ("a.month", "a.b.month", "a.b", "ab.month")],
        )
        names = {
            who: [one["name"] for one in boards.limits_of(figures, who)]
            for who in ("a", "a.b", None)
        }
        self.assertEqual(names, {"a": ["a.month"], "a.b": ["a.b.month", "a.b"], None: ["ab.month"]})


class FreshnessTest(TestCase):
    def lines(self, received=0.0, now=0.0, style=None, **changes):
        lines = boards.freshness(samples.figures(**changes), received, now, style or Style())
        return [strip_ansi(line) for line in lines]

    def test_it_says_of_when_the_figures_are_and_whose_days(self):
        self.assertEqual(
            self.lines(), ["As of 2026-11-23 14:05 UTC. Days are those of America/New_York."]
        )
        there = Style(zone=zone_named("America/New_York"))
        self.assertEqual(self.lines(style=there), ["As of 2026-11-23 09:05 EST."])

    def test_it_says_when_they_are_old_or_the_router_is_silent(self):
        self.assertIn("These figures came 11 minutes ago.", self.lines(now=660.0))
        silent = {"alive": False, "last_record": samples.AT}
        self.assertIn("The router is silent since 2026-11-23 14:05 UTC.", self.lines(source=silent))
        self.assertIn("The router is silent.", self.lines(source={**silent, "last_record": None}))

    def test_a_zone_that_this_machine_does_not_know_is_utc(self):
        self.assertEqual(str(zone_named("Mars/Olympus")), "UTC")
        self.assertEqual(str(zone_named("../etc/passwd")), "UTC")


class LayoutTest(TestCase):
    def test_something_is_never_drawn_as_nothing_nor_nearly_all_as_all(self):
        drawn = [
            strip_ansi(Style().bar(share, 10, "g")) for share in (-1, 0, 0.001, 0.5, 0.999, 1, 9)
        ]
        counts = [one.count("#") for one in drawn]
        self.assertEqual(counts, [0, 0, 1, 5, 9, 10, 10])

    def test_the_mark_stays_within_the_bar(self):
        drawn = [strip_ansi(Style().bar(0.5, 4, "g", mark)) for mark in (0, 0.5, 1, 2)]
        self.assertEqual(drawn, ["+#..", "##+.", "##.+", "##.+"])
        self.assertEqual(strip_ansi(Style(blocks=True).bar(0.5, 4, "g", 1)), "██░│")

    def test_bars_stand_in_line(self):
        rows = [Entry("a", 0.5, "$1.00", "near"), Entry("longer", 1, "$100.00", "over")]
        lines = [strip_ansi(line) for line in entries(Style(width=60), rows)]
        self.assertEqual(lines[0].index("#"), lines[1].index("#"))
        self.assertEqual({len(line) for line in lines}, {60})
        self.assertEqual(entries(Style(), []), [])

    def test_a_long_detail_has_lines_of_its_own(self):
        lines = entries(Style(width=30), [Entry("a", 0.5, "900,000 of 900,000 tokens", "near")])
        self.assertEqual(strip_ansi(lines[2]), "  900,000 of 900,000 tokens")

    def test_long_words_are_broken(self):
        lines = paragraph(Style(width=20), "x" * 45, indent=2)
        self.assertEqual([len(line) for line in lines], [17, 19, 13])
        self.assertEqual("".join(lines).replace(" ", ""), "x" * 45)

    def test_a_table_keeps_its_figures_and_cuts_its_names(self):
        lines = table(Style(width=24), ["backend", "cost"], [["a-very-long-name", "$1,234.50"]])
        self.assertEqual(strip_ansi(lines[1]), "a-very-long-~  $1,234.50")


class StyleTest(CostsTest):
    def test_the_narrowest_window_counts(self):
        other = self.connect(self.account, 20)
        self.session.protocol_flags["SCREENWIDTH"] = {0: 120}
        other.protocol_flags["SCREENWIDTH"] = {0: 50}
        self.assertEqual(style_of([self.session, other], self.account).width, 50)
        self.assertEqual(style_of([self.session], self.account).width, 100)
        other.protocol_flags["SCREENWIDTH"] = {0: 3}
        self.assertEqual(style_of([other], self.account).width, 20)

    def test_blocks_are_for_clients_that_say_that_they_show_them(self):
        self.assertFalse(style_of([self.session], self.account).blocks)
        self.session.protocol_flags["UTF-8"] = True
        self.assertTrue(style_of([self.session], self.account).blocks)
        self.assertFalse(style_of([], None).blocks)


class ObservatoryTest(CostsTest):
    def setUp(self):
        super().setUp()
        self.room = create_object(Observatory, key="The Observatory")
        self.char1.location = self.room

    def look(self):
        return strip_ansi(self.room.return_appearance(self.char1))

    def test_the_dashboard_is_in_look(self):
        self.store.put_figures(1, samples.figures(), time.time())
        self.session.protocol_flags["SCREENWIDTH"] = {0: 80}
        appearance = self.look()
        self.assertIn("Brass instruments", appearance)
        self.assertRegex(appearance, r"claude\.5h +#+ +100% over")
        self.assertRegex(appearance, r"claude used #+\.+\+\.+ +31% below floor")

    def test_it_reads_well_aloud(self):
        self.store.put_figures(1, samples.figures(), time.time())
        self.session.protocol_flags["SCREENREADER"] = True
        self.assertIn("claude used: 31%, below floor, ", self.look())

    def test_before_the_first_figures(self):
        self.assertIn("No figures yet", self.look())

    def test_who_may_not_read_sees_nothing(self):
        self.store.locks.add("read:false()")
        self.assertIn("covered with cloth", self.look())
        self.store.delete()
        self.assertIn("covered with cloth", self.look())
        self.assertEqual(self.room.return_appearance(None), "")

    def test_a_looker_without_an_account_sees_nothing(self):
        self.assertIn("covered with cloth", self.room.return_appearance(self.room1))
