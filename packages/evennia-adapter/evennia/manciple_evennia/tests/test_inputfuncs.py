"""Only the bridge gets through the guard, and only in order."""

from unittest.mock import patch

import evennia
from django.db import OperationalError
from evennia.utils.create import create_account
from evennia.utils.utils import callables_from_module

from .. import guard, inputfuncs
from ..accounts import CostsBridge
from ..store import BRIDGE_TAG, CATEGORY
from . import samples
from .base import CostsTest


class GuardTest(CostsTest):
    def messages(self):
        return (
            ("costs_hello", samples.hello()),
            ("costs_snapshot", samples.snapshot()),
            ("costs_notices", samples.notices(samples.item(1))),
        )

    def assert_nothing_stored(self):
        self.store.ndb.log = self.store.ndb.snapshot = None
        self.assertIsNone(self.store.attributes.get("log", category=CATEGORY))
        self.assertIsNone(self.store.attributes.get("snapshot", category=CATEGORY))

    def test_the_module_has_these_input_functions_and_no_other(self):
        names = set(callables_from_module("manciple_evennia.inputfuncs"))
        self.assertEqual(names, {"costs_hello", "costs_snapshot", "costs_notices"})

    def test_nobody_else_gets_through(self):
        builder = create_account("builder", None, "a-long-password", permissions=["Builder"])
        developer = create_account("dev", None, "a-long-password", permissions=["Developer"])
        root = create_account("root", None, "a-long-password", is_superuser=True)
        tagged = create_account(
            "tagged", None, "a-long-password", tags=[(BRIDGE_TAG, CATEGORY)], is_superuser=True
        )
        untagged = create_account("untagged", None, "a-long-password", typeclass=CostsBridge)
        posing = create_account(
            "posing", None, "a-long-password", typeclass=CostsBridge, is_superuser=True
        )
        who = (None, self.account2, builder, developer, root, tagged, untagged, posing)
        for sessid, account in enumerate(who, start=20):
            for name, message in self.messages():
                session = self.connect(account, sessid)
                answer = self.say(name, message, session)
                self.assertEqual(answer[0], "costs_nak", account)
                self.assertEqual(answer[1]["code"], "denied")
                self.assertNotIn("cursor", answer[1])
        self.assert_nothing_stored()

    def test_a_session_that_has_an_account_and_is_not_logged_in_is_refused(self):
        session = self.connect(None, 20)
        session.account = self.bridge_account
        self.assertEqual(self.say("costs_hello", samples.hello(), session)[1]["code"], "denied")

    def test_refusals_are_answered_and_logged_once_in_a_while(self):
        session = self.connect(self.account2, 20)
        with patch.object(guard.logger, "log_sec") as log:
            answers = [self.say("costs_hello", samples.hello(), session) for _ in range(50)]
            self.assertEqual(len([one for one in answers if one]), 1)
            self.assertEqual(log.call_count, 1)
            session.ndb.costs_refused -= guard.REFUSAL_SECONDS
            self.assertIsNotNone(self.say("costs_hello", samples.hello(), session))

    def test_without_a_store_all_are_refused(self):
        self.store.delete()
        self.assertEqual(self.greet()[1]["code"], "denied")

    def test_a_key_of_any_name_is_only_a_key(self):
        session = self.connect(self.account2, 20)
        answer = self.say("costs_hello", {"session": 1, "store": 2, "self": 3}, session)
        self.assertEqual(answer[1]["code"], "denied")

    def test_a_malformed_message_of_the_bridge_is_answered_each_time_and_logged_once(self):
        with patch.object(guard.logger, "log_warn") as log:
            for _ in range(3):
                answer = self.say("costs_hello", {"v": 1, "id": 4})
                self.assertEqual(answer[0], "costs_nak")
                self.assertEqual((answer[1]["code"], answer[1]["id"]), ("schema", 4))
            self.assertEqual(log.call_count, 1)
        self.assert_nothing_stored()

    def test_a_database_that_fails_asks_for_a_repeat(self):
        self.greet()
        with (
            patch.object(self.store.attributes, "add", side_effect=OperationalError("locked")),
            patch.object(guard.logger, "log_trace"),
        ):
            self.assertEqual(self.tell(samples.item(1))[1]["code"], "busy")
        self.assertEqual(self.store.cursor, 0)
        self.assertEqual(self.tell(samples.item(1))[1]["cursor"], 1)


class LanesTest(CostsTest):
    def test_hello_is_answered_with_what_the_game_has(self):
        name, welcome = self.greet(oldest=5)
        self.assertEqual(name, "costs_welcome")
        self.assertEqual((welcome["stream"], welcome["cursor"], welcome["rev"]), ("L1.0", 4, 0))
        self.assertEqual((welcome["max_batch"], welcome["max_bytes"]), (50, 65_536))

    def test_notices_are_stored_in_order_and_acknowledged(self):
        self.greet()
        self.assertEqual(
            self.tell(samples.item(1), samples.item(2)),
            ("costs_ack", {"id": 5, "cursor": 2, "rev": 0}),
        )
        self.assertEqual([one["text"] for one in self.store.notices], ["notice 1", "notice 2"])

    def test_what_is_known_is_dropped_and_acknowledged(self):
        self.greet()
        self.tell(samples.item(1), samples.item(2))
        self.assertEqual(self.tell(samples.item(1, text="forged"))[1]["cursor"], 2)
        self.assertEqual(self.tell(samples.item(2), samples.item(3))[1]["cursor"], 3)
        self.assertEqual([one["n"] for one in self.store.notices], [1, 2, 3])
        self.assertEqual(self.tell()[0], "costs_ack")

    def test_a_gap_is_refused_and_nothing_of_it_stored(self):
        self.greet()
        for items in (
            [samples.item(2)],
            [samples.item(1), samples.item(3)],
            [samples.item(2**40)],
            [samples.item(1), samples.item(1)],
        ):
            name, answer = self.tell(*items)
            self.assertEqual((name, answer["code"], answer["cursor"]), ("costs_nak", "gap", 0))
        self.assertEqual(self.store.notices, [])

    def test_a_stream_without_a_hello_is_refused(self):
        self.assertEqual(self.tell(samples.item(1))[1]["code"], "stream")
        self.greet()
        forged = samples.notices(samples.item(1), stream="L2.0")
        self.assertEqual(self.say("costs_notices", forged)[1]["code"], "stream")
        forged = samples.snapshot(stream="L2.0")
        self.assertEqual(self.say("costs_snapshot", forged)[1]["code"], "stream")
        self.assertIsNone(self.store.figures)

    def test_a_ledger_that_is_behind_the_game_must_open_another_stream(self):
        self.greet()
        self.tell(samples.item(1), samples.item(2))
        self.assertEqual(self.greet(coming=2)[1]["code"], "stream")
        self.assertEqual(self.greet(coming=3)[1]["cursor"], 2)
        self.assertEqual(self.greet(stream="L1.0~1", coming=2)[1]["cursor"], 0)

    def test_the_oldest_notice_cannot_come_after_the_next(self):
        self.assertEqual(self.greet(oldest=9, coming=8)[1]["code"], "schema")

    def test_a_snapshot_replaces_the_figures(self):
        self.greet()
        answer = self.say("costs_snapshot", samples.snapshot(rev=3))
        self.assertEqual(answer, ("costs_ack", {"id": 7, "cursor": 0, "rev": 3}))
        self.say("costs_snapshot", samples.snapshot(rev=4, policy="new"))
        self.assertEqual((self.store.rev, self.store.figures["policy"]), (4, "new"))

    def test_hostile_names_are_one_line_in_the_store(self):
        self.greet()
        self.say("costs_snapshot", samples.snapshot(backends=[samples.backend("a\nb\x1b[2Jc")]))
        self.assertEqual(self.store.figures["backends"][0]["name"], "a b [2Jc")


class BridgeAccountTest(CostsTest):
    def test_it_has_no_commands_and_keeps_none_when_it_is_loaded_again(self):
        self.bridge_account.cmdset.add_default(
            "evennia.commands.default.cmdset_account.AccountCmdSet"
        )
        self.bridge_account.at_init()
        commands = [cmd.key for cmdset in self.bridge_account.cmdset.all() for cmd in cmdset]
        self.assertEqual(commands, [])

    def test_it_is_told_that_it_is_in_and_takes_no_text(self):
        session = self.connect(self.bridge_account, 30)
        self.assertEqual(len(self.sent("logged_in", session)), 1)
        evennia.SESSION_HANDLER.data_out.reset_mock()
        self.bridge_account.msg("hello")
        self.assertEqual(self.sent("text", session), [])
        self.bridge_account.at_post_login()

    def test_it_may_stay_idle_and_may_not_be_paged(self):
        access = self.bridge_account.access
        self.assertTrue(access(self.bridge_account, "noidletimeout"))
        self.assertFalse(access(self.account2, "msg"))
        self.assertEqual(inputfuncs.costs_hello.__module__, "manciple_evennia.inputfuncs")
