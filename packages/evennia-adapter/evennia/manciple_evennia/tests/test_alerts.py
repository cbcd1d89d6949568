"""What the game notices by itself."""

from datetime import datetime
from unittest.mock import patch

from evennia.utils.create import create_script

from .. import alerts
from ..alerts import CostsWatch, due
from . import samples
from .base import CostsTest

NOW = datetime.fromisoformat(samples.AT).timestamp()


class AlertsTest(CostsTest):
    def setUp(self):
        super().setUp()
        self.greet()

    def figures(self, received=NOW, **changes):
        quiet = {"limits": [], "quotas": [], **changes}
        self.store.put_figures(1, samples.figures(**quiet), received)

    def due(self, now=NOW, here=True):
        found = due(self.store, now, here)
        for one in found:
            self.store.add_own(one)
        return [(one["kind"], one["text"]) for one in found]

    def kinds(self, **kwargs):
        return [kind for kind, _ in self.due(**kwargs)]

    def test_a_limit_that_comes_near_and_one_that_is_used_up(self):
        near = samples.limit("claude.month", settled=17 * samples.USD, standing="near")
        self.figures(limits=[near, samples.limit("x", standing="within")])
        text = "claude.month is near its limit: $17.00 of $20.00 spent (85%)"
        self.assertEqual(self.due(), [("limit-near", text)])
        self.figures(limits=[{**near, "standing": "over"}])
        self.assertEqual(self.kinds(), ["limit-reached"])

    def test_each_is_told_once_in_a_window(self):
        near = samples.limit("claude.month", standing="near")
        self.figures(limits=[near])
        self.assertEqual(
            [self.kinds(), self.kinds(), self.kinds(now=NOW + 200)], [["limit-near"], [], []]
        )
        next_window = NOW + 20 * 86_400
        self.figures(next_window, limits=[{**near, "resets": "2027-01-01T05:00:00.000Z"}])
        self.assertEqual(self.kinds(now=next_window), ["limit-near"])

    def test_a_rolling_limit_is_told_of_once_a_day(self):
        rolling = samples.limit("claude.5h", window="5h", resets=None, standing="near")
        self.figures(limits=[rolling])
        self.assertEqual([self.kinds(), self.kinds(now=NOW + 60)], [["limit-near"], []])
        self.figures(NOW + 90_000, limits=[rolling])
        self.assertEqual(self.kinds(now=NOW + 90_000), ["limit-near"])

    def test_what_the_router_has_told_of_is_left_out(self):
        self.tell(samples.item(1, kind="limit-near", data={"limit": "claude.month"}))
        self.figures(limits=[samples.limit("claude.month", standing="near")])
        self.assertEqual(self.due(), [])

    def test_a_quota_below_its_floor(self):
        self.figures(quotas=[samples.quota("claude"), samples.quota("kimi", elapsed=0.4)])
        text = "claude is below its floor: 31% of its quota is used, 50% of the time has passed"
        self.assertEqual(self.due(), [("under-used", text)])
        self.assertEqual(self.due(), [])

    def test_a_quota_that_the_router_told_of_in_this_window(self):
        told = samples.item(1, kind="under-used", data={"limit": "claude.quota"})
        self.tell(told)
        self.figures(quotas=[samples.quota("claude", starts=None)])
        self.assertEqual(self.due(), [])

    def test_a_bridge_that_is_gone_and_comes_back(self):
        self.figures()
        self.assertEqual(self.kinds(now=NOW + 200, here=False), [])
        self.assertEqual(self.kinds(now=NOW + 301, here=False), ["bridge-gone"])
        self.assertEqual(len(self.store.notices), 1)
        self.kinds(now=NOW + 900, here=False)
        self.assertEqual(len(self.store.notices), 1)
        self.figures(NOW + 1_000)
        self.assertEqual(self.kinds(now=NOW + 1_001), ["figures-back"])
        self.assertEqual(self.kinds(now=NOW + 1_002), [])
        self.assertEqual([one["open"] for one in self.store.notices], [False, False])

    def test_figures_that_grow_old_beside_a_bridge_that_is_here(self):
        self.figures()
        self.assertEqual(self.kinds(now=NOW + 599), [])
        self.assertEqual(self.kinds(now=NOW + 601), ["figures-stale"])
        self.kinds(now=NOW + 700)
        self.assertEqual(len(self.store.notices), 1)


class WatchTest(CostsTest):
    def setUp(self):
        super().setUp()
        self.watch = create_script(CostsWatch, key=alerts.WATCH_KEY, autostart=False)

    def test_it_tells_players_once_and_holds_nothing(self):
        self.greet()
        self.store.put_figures(
            1, samples.figures(quotas=[], limits=[samples.limit("x", standing="near")])
        )
        self.watch.at_repeat()
        self.watch.at_repeat()
        self.assertEqual(
            self.texts(), ["Costs, Warning: x is near its limit: $5.00 of $20.00 spent (25%)"]
        )
        self.assertEqual(list(self.watch.attributes.all()), [])
        self.assertEqual(self.watch.interval, 60)

    def test_it_sees_that_the_bridge_is_gone(self):
        self.greet()
        self.store.put_figures(1, samples.figures(quotas=[], limits=[]), 1.0)
        with patch.object(alerts.delivery, "bridge_is_here", return_value=False):
            self.watch.at_repeat()
        self.assertIn("No word from the router", self.texts()[0])

    def test_before_there_is_anything_it_is_silent(self):
        self.watch.at_repeat()
        self.store.delete()
        self.watch.at_repeat()
        self.assertEqual(self.texts(), [])
