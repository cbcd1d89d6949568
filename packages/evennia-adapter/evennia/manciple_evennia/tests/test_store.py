"""The store keeps both lanes, each whole."""

from ..store import CATEGORY, KEPT_NOTICES, KEPT_STREAMS, get_store
from . import samples
from .base import CostsTest


class StoreTest(CostsTest):
    def take(self, *items, now=1_000.0):
        for one in items:
            one["data"] = {"reset": None, "about": None}
        return self.store.take(items, now)

    def forget(self):
        """As a new Server reads it."""
        self.store.ndb.log = self.store.ndb.snapshot = None

    def test_it_is_found_by_its_key(self):
        self.assertEqual(get_store(), self.store)

    def test_what_is_written_is_read_again_by_another_server(self):
        self.store.open_stream("A", 1)
        self.take(samples.item(1), samples.item(2, sticky=True))
        self.store.put_figures(4, samples.figures(), now=5.0)
        log, figures = self.store.log, self.store.figures
        self.forget()
        self.assertEqual(self.store.log, log)
        self.assertEqual(self.store.figures, figures)
        self.assertEqual((self.store.rev, self.store.figures_received), (4, 5.0))
        self.assertIs(type(self.store.log["notices"][0]), dict)

    def test_cursor_and_notices_are_assigned_in_one_attribute(self):
        self.store.open_stream("A", 1)
        self.take(samples.item(1))
        keys = {one.key for one in self.store.attributes.all() if one.category == CATEGORY}
        self.assertEqual(keys, {"log"})

    def test_each_stream_keeps_its_cursor(self):
        self.store.open_stream("A", 1)
        self.take(samples.item(1), samples.item(2))
        self.store.open_stream("B", 11)
        self.assertEqual(self.store.cursor, 10)
        self.take(samples.item(11))
        self.store.open_stream("A", 1)
        self.assertEqual((self.store.stream, self.store.cursor), ("A", 2))
        for n in range(KEPT_STREAMS + 5):
            self.store.open_stream(f"S{n}", 1)
        self.assertEqual(len(self.store.log["cursors"]), KEPT_STREAMS)
        self.assertNotIn("B", self.store.log["cursors"])

    def test_a_notice_that_another_stream_brought_is_not_new(self):
        self.store.open_stream("A", 1)
        self.take(samples.item(1, nid="x"))
        self.store.open_stream("B", 1)
        self.assertEqual(self.take(samples.item(1, nid="x")), [])
        self.assertEqual((self.store.cursor, len(self.store.notices)), (1, 1))

    def test_a_sticky_notice_is_cleared_by_kind_by_name_and_by_its_like(self):
        self.store.open_stream("A", 1)
        self.take(samples.local_only(1), samples.item(2, kind="k", sticky=True, nid="n"))
        self.take(samples.local_only(3))
        self.assertEqual([one["open"] for one in self.store.notices], [False, True, True])
        self.take(samples.restored(4), samples.item(5, clears=["n"]))
        self.assertEqual([one["open"] for one in self.store.notices], [False] * 5)

    def test_the_oldest_go_but_not_what_is_still_so(self):
        self.store.open_stream("A", 1)
        self.take(samples.local_only(1))
        self.take(*(samples.item(n) for n in range(2, KEPT_NOTICES + 10)))
        kept = [one["n"] for one in self.store.notices]
        self.assertEqual(kept, [1, *range(10, KEPT_NOTICES + 10)])

    def test_an_own_notice_is_told_once(self):
        own = {**samples.item(1), "data": {"reset": None, "about": None}}
        self.assertEqual(len(self.store.add_own(own)), 1)
        self.assertEqual(self.store.add_own(own), [])
        self.assertEqual((self.store.stream, self.store.cursor), (None, 0))
        self.assertIsNone(self.store.find("nothing"))

    def test_only_the_bridge_may_feed_and_players_may_read(self):
        guest = self.connect(None, 40)
        self.assertIsNone(guest.account)
        self.assertTrue(self.store.access(self.bridge_account, "feed", no_superuser_bypass=True))
        self.assertFalse(self.store.access(self.account2, "feed", no_superuser_bypass=True))
        self.assertTrue(self.store.access(self.account2, "read"))
        self.assertFalse(self.store.access(self.bridge_account, "read"))
