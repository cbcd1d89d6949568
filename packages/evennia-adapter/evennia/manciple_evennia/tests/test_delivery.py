"""Each account is shown each notice once."""

from datetime import timedelta
from unittest.mock import patch

import evennia

from .. import delivery
from ..commands import CostsCmdSet
from ..store import CATEGORY
from . import samples
from .base import CostsTest


class DeliveryTest(CostsTest):
    def setUp(self):
        super().setUp()
        self.greet()

    def restart(self):
        """As after `kill -9`: only the database and the Portal's sessions are left."""
        for account in (self.account, self.account2):
            account.ndb.costs_cursor = None
        delivery._unsaved.clear()
        self.store.ndb.log = self.store.ndb.snapshot = None
        evennia.SESSION_HANDLER.data_out.reset_mock()
        self.store.at_server_start()

    def test_who_is_online_is_shown_a_notice_at_once_in_every_session(self):
        other = self.connect(self.account, 20)
        self.tell(samples.item(1, severity="warning"))
        self.assertEqual(self.texts(), ["Costs, Warning: notice 1"])
        self.assertEqual(self.texts(other), ["Costs, Warning: notice 1"])

    def test_a_batch_is_one_message(self):
        self.tell(*(samples.item(n) for n in range(1, 11)))
        self.assertEqual(self.texts(), [f"Costs, Note: notice {n}" for n in range(1, 11)])
        self.assertEqual(len(self.sent("text", self.session)), 1)

    def test_nothing_is_shown_twice(self):
        self.tell(samples.item(1))
        self.tell(samples.item(1), samples.item(2))
        self.connect(self.account, 20)
        self.assertEqual(self.texts(), ["Costs, Note: notice 1", "Costs, Note: notice 2"])

    def test_what_was_missed_is_shown_at_login_once(self):
        self.tell(samples.item(1), samples.item(2))
        session = self.connect(self.account2, 20)
        wanted = ["While you were away:", "Costs, Note: notice 1", "Costs, Note: notice 2"]
        self.assertEqual(self.texts(session), wanted)
        self.assertEqual(self.texts(self.connect(self.account2, 21)), [])

    def test_an_account_is_not_told_what_was_before_it_was_made(self):
        self.account2.date_joined += timedelta(hours=1)
        self.tell(samples.item(1))
        self.assertEqual(self.texts(self.connect(self.account2, 20)), [])

    def test_of_a_long_absence_the_newest_are_shown(self):
        with patch.object(delivery, "SHOWN_AT_LOGIN", 2):
            self.tell(*(samples.item(n) for n in range(1, 6)))
            lines = self.texts(self.connect(self.account2, 20))
        self.assertEqual(lines[1], "(3 older ones are in budget/all)")
        self.assertEqual(lines[2:], ["Costs, Note: notice 4", "Costs, Note: notice 5"])

    def test_text_and_mark_go_to_the_portal_in_this_order(self):
        order = []
        evennia.SESSION_HANDLER.data_out.side_effect = lambda session, **kwargs: order.append(
            next(iter(kwargs))
        )
        self.session_portal_partial_sync.side_effect = lambda data: order.append(data)
        self.tell(samples.item(1))
        mark = {"n": 1, "nid": "L1:1"}
        self.assertEqual(order[:2], ["text", {1: {"protocol_flags": {delivery.MARK: mark}}}])
        self.assertEqual(order[2], "costs_ack")

    def test_killed_before_the_text_went_out_it_is_shown_by_the_next_server(self):
        self.store.take([{**samples.item(1), "data": {"reset": None, "about": None}}])
        self.restart()
        self.assertEqual(self.texts(), ["Costs, Note: notice 1"])

    def test_killed_before_the_cursor_was_saved_it_is_not_shown_again(self):
        self.tell(samples.item(1))
        self.assertIsNone(self.account.attributes.get("cursor", category=CATEGORY))
        self.restart()
        self.assertEqual(self.texts(), [])
        self.assertEqual(self.account.attributes.get("cursor", category=CATEGORY), 1)

    def test_a_mark_from_before_the_database_was_restored_is_not_believed(self):
        self.tell(samples.item(1))
        self.store.attributes.remove("log", category=CATEGORY)
        self.restart()
        self.greet()
        self.tell(samples.item(1, nid="another", text="another"))
        self.assertEqual(self.texts(), ["Costs, Note: another"])

    def test_a_mark_of_the_same_notice_under_another_number_is_not_believed(self):
        self.tell(samples.item(1))
        self.store.attributes.remove("log", category=CATEGORY)
        self.store.ndb.log = None
        own = {**samples.item(0, nid="own", text="own"), "data": {"reset": None, "about": None}}
        self.store.add_own(own)
        self.store.open_stream("L1.0", 1)
        self.store.take([{**samples.item(1), "data": {"reset": None, "about": None}}])
        self.restart()
        self.assertEqual(self.texts(), ["Costs, Note: own", "Costs, Note: notice 1"])

    def test_a_cursor_beyond_the_log_counts_for_nothing(self):
        self.account.attributes.add("cursor", 99, category=CATEGORY)
        self.account.ndb.costs_cursor = None
        self.tell(samples.item(1))
        self.assertEqual(self.texts(), ["Costs, Note: notice 1"])

    def test_cursors_are_saved_soon_and_when_the_server_stops(self):
        self.tell(samples.item(1))
        self.delay.assert_called_once_with(delivery.SAVE_SECONDS, delivery.save_cursors)
        self.store.at_server_reload()
        self.assertEqual(self.account.attributes.get("cursor", category=CATEGORY), 1)
        self.tell(samples.item(2))
        with patch.object(delivery, "_closed", False):
            delivery.close()
            self.assertEqual(self.account.attributes.get("cursor", category=CATEGORY), 2)
            self.tell(samples.item(3))
            self.assertNotIn("Costs, Note: notice 3", self.texts())

    def test_after_a_start_the_bridge_is_asked_to_go_on_and_players_have_the_commands(self):
        self.tell(samples.item(1))
        self.restart()
        resync = self.sent("costs_resync", self.bridge)[0][1]
        self.assertEqual((resync["cursor"], resync["rev"]), (1, 0))
        self.assertTrue(self.account.cmdset.has(CostsCmdSet))

    def test_the_trouble_of_one_account_is_not_that_of_others(self):
        other = self.connect(self.account2, 20)
        show = delivery._show

        def fail(account, *args):
            if account == self.account:
                raise RuntimeError("broken")
            show(account, *args)

        with (
            patch.object(delivery, "_show", fail),
            patch.object(delivery.logger, "log_trace") as log,
        ):
            self.assertEqual(self.tell(samples.item(1))[0], "costs_ack")
            self.assertEqual(self.texts(other), ["Costs, Note: notice 1"])
            self.assertIn("could not be shown a notice", log.call_args[0][0])
            self.connect(self.account, 21)
            self.assertIn("what was missed", log.call_args[0][0])

    def test_whom_the_lock_keeps_out_is_told_nothing(self):
        self.store.locks.add("read:perm(Admin)")
        session = self.connect(self.account2, 20)
        self.tell(samples.item(1))
        self.assertEqual(self.texts(session), [])
        self.assertEqual(self.texts(), ["Costs, Note: notice 1"])
        self.assertEqual(self.texts(self.bridge), [])

    def test_login_without_a_store_goes_on(self):
        self.store.delete()
        self.assertEqual(self.texts(self.connect(self.account2, 20)), [])

    def test_login_gives_the_commands(self):
        self.connect(self.account2, 20)
        self.connect(self.account2, 21)
        self.assertEqual([one.key for one in self.account2.cmdset.all()].count("CostsCmdSet"), 1)


class StickyTest(CostsTest):
    TEXT = "Costs, ALERT: Cloud budget exhausted, operating local-only until 2026-12-01 05:00 UTC"

    def setUp(self):
        super().setUp()
        self.greet()
        self.tell(samples.local_only(1))

    def test_it_comes_back_at_each_login(self):
        for sessid in (20, 21):
            self.assertEqual(
                self.texts(self.connect(self.account, sessid)), [f"Still so: {self.TEXT}"]
            )

    def test_it_is_said_once_to_who_has_missed_it(self):
        session = self.connect(self.account2, 20)
        self.assertEqual(self.texts(session), ["While you were away:", self.TEXT])

    def test_it_stays_away_when_it_is_cleared(self):
        self.tell(samples.restored(2))
        self.assertEqual(self.texts(self.connect(self.account, 20)), [])

    def test_it_stays_away_from_who_has_dismissed_it(self):
        held = delivery.sticky_notices(self.store, self.account)
        delivery.dismiss(self.store, self.account, held)
        self.assertEqual(self.texts(self.connect(self.account, 20)), [])
        self.assertEqual(len(self.texts(self.connect(self.account2, 21))), 2)
        self.tell(samples.local_only(2))
        self.assertEqual(self.texts(self.connect(self.account, 22)), [f"Still so: {self.TEXT}"])

    def test_only_what_is_still_open_is_remembered_as_dismissed(self):
        held = delivery.sticky_notices(self.store, self.account)
        delivery.dismiss(self.store, self.account, held)
        self.tell(samples.restored(2))
        delivery.dismiss(self.store, self.account, [])
        self.assertEqual(list(self.account.attributes.get("dismissed", category=CATEGORY)), [])

    def test_the_date_is_in_the_players_zone(self):
        self.account2.options.set("timezone", "America/New_York")
        self.assertIn("until 2026-12-01 00:00 EST", self.texts(self.connect(self.account2, 20))[1])
        with self.settings(TIME_ZONE="Asia/Tokyo"):
            self.tell(samples.local_only(2))
            self.assertIn("until 2026-12-01 14:00 JST", self.texts()[-1])

    def test_without_a_date_the_routers_own_words_are_shown(self):
        self.tell(
            samples.item(2, kind="local-only", text="until a limit is raised", data={"reset": None})
        )
        self.assertEqual(self.texts()[-1], "Costs, Note: until a limit is raised")


class FiguresTest(CostsTest):
    def setUp(self):
        super().setUp()
        self.greet()

    def test_clients_that_take_out_of_band_data_get_the_summary_when_it_changes(self):
        self.session.protocol_flags["OOB"] = True
        plain = self.connect(self.account2, 20)
        for rev in (1, 2):
            self.say("costs_snapshot", samples.snapshot(rev=rev))
        self.say("costs_snapshot", samples.snapshot(rev=3, local_only=LOCAL_ONLY))
        first, second = (one[1] for one in self.sent("cloud_budget", self.session))
        self.assertEqual(
            (first["today"], first["month"], first["local_only"]), ("$1.23", "$18.50", False)
        )
        self.assertEqual(
            first["limits"][1], {"name": "claude.month", "spent": 0.82, "standing": "near"}
        )
        self.assertEqual(first["quotas"][0]["pace"], 0.62)
        self.assertEqual((second["local_only"], second["until"]), (True, LOCAL_ONLY["until"]))
        self.assertEqual(self.sent("cloud_budget", plain), [])

    def test_evennias_own_webclient_which_would_show_it_as_an_error_does_not(self):
        self.session.protocol_flags["OOB"] = True
        self.session.protocol_flags["CLIENTNAME"] = "Evennia Webclient (websocket:chrome)"
        self.say("costs_snapshot", samples.snapshot())
        self.assertEqual(self.sent("cloud_budget", self.session), [])

    def test_they_get_it_at_login_too(self):
        self.say("costs_snapshot", samples.snapshot())
        session = self.connect(None, 20)
        session.protocol_flags["OOB"] = True
        evennia.SESSION_HANDLER.login(session, self.account2, testmode=True)
        self.assertEqual(len(self.sent("cloud_budget", session)), 1)


LOCAL_ONLY = {
    "since": samples.AT,
    "until": "2026-12-01T05:00:00.000Z",
    "text": "Cloud budget exhausted",
}
