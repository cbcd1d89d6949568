"""`evennia costs_setup`."""

import os
import stat
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from unittest.mock import patch

from django.test import override_settings
from evennia.accounts.models import AccountDB
from evennia.utils.test_resources import EvenniaTest

from .. import launchcmd
from ..accounts import CostsBridge
from ..alerts import WATCH_KEY, CostsWatch
from ..guard import may_feed
from ..rooms import Observatory
from ..store import CATEGORY, get_store


@override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"])
class SetupTest(EvenniaTest):
    def setUp(self):
        super().setUp()
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.file = os.path.join(self.folder.name, "password")

    def setup_game(self, *args, is_set_up=True):
        out = StringIO()
        with (
            patch.object(launchcmd, "_is_set_up", return_value=is_set_up),
            patch("evennia._init"),
            redirect_stdout(out),
        ):
            launchcmd.costs_setup(*args)
        for watch in CostsWatch.objects.all():
            watch.stop()
        return out.getvalue()

    def made(self, name="manciple"):
        return AccountDB.objects.get(username=name)

    def test_it_makes_the_scripts_and_the_account(self):
        said = self.setup_game()
        account = self.made()
        self.assertIsInstance(account, CostsBridge)
        self.assertEqual(account.permissions.all(), ["guest"])
        self.assertEqual(len(account.characters.all() if hasattr(account, "characters") else []), 0)
        self.assertTrue(get_store().access(account, "feed", no_superuser_bypass=True))
        self.assertTrue(CostsWatch.objects.filter(db_key=WATCH_KEY).exists())
        password = said.split("shown this once: ")[1].split()[0]
        self.assertGreaterEqual(len(password), 32)
        self.assertTrue(account.check_password(password))

    def test_what_it_makes_gets_through_the_guard(self):
        self.setup_game()
        self.session.account = self.made()
        self.assertTrue(may_feed(get_store(), self.session))

    def test_again_it_changes_nothing(self):
        self.setup_game("--observatory", "--password-file", self.file)
        before = self.made().password
        said = self.setup_game("--observatory")
        self.assertIn("is there; --new-password", said)
        self.assertIn("The Observatory is there.", said)
        self.assertNotIn("shown this once", said)
        self.assertEqual(self.made().password, before)
        self.assertEqual(Observatory.objects.count(), 1)
        self.assertEqual(CostsWatch.objects.count(), 1)

    def test_the_password_goes_to_a_file_for_its_owner_alone(self):
        with open(self.file, "w") as file:
            file.write("old")
        os.chmod(self.file, 0o666)
        said = self.setup_game(f"--password-file={self.file}")
        with open(self.file) as file:
            password = file.read()
        self.assertTrue(self.made().check_password(password.strip()))
        self.assertNotIn(password.strip(), said)
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o600)
        self.assertEqual(os.listdir(self.folder.name), ["password"])

    def test_a_new_password(self):
        self.setup_game()
        before = self.made().password
        self.setup_game("--new-password")
        self.assertNotEqual(self.made().password, before)

    def test_the_room_is_reached_from_where_the_game_begins(self):
        with override_settings(START_LOCATION=f"#{self.room1.id}"):
            said = self.setup_game("--observatory")
        room = Observatory.objects.get_by_tag("observatory", category=CATEGORY)[0]
        self.assertIn("exit `observatory` of Room", said)
        ways = {one.key: one.destination for one in self.room1.exits}
        self.assertEqual(ways["observatory"], room)
        self.assertEqual([one.destination for one in room.exits], [self.room1])

    def test_a_game_without_a_first_room(self):
        with override_settings(START_LOCATION="#999999"):
            self.assertIn("Made The Observatory (#", self.setup_game("--observatory"))

    def test_a_players_account_is_never_taken(self):
        for name in ("TestAccount", "testaccount"):
            with self.assertRaisesRegex(SystemExit, "is a player's"):
                self.setup_game("--account", name)
        self.assertNotIsInstance(self.made("TestAccount"), CostsBridge)

    def test_another_name(self):
        self.setup_game("--account", "purser")
        self.assertIsInstance(self.made("purser"), CostsBridge)

    def test_a_game_that_was_never_started(self):
        with self.assertRaisesRegex(SystemExit, "evennia start"):
            self.setup_game(is_set_up=False)
        self.assertIsNone(get_store())

    def test_it_waits_for_the_games_own_setting_up(self):
        has_superuser = patch("evennia.accounts.models.AccountDB.objects.filter")
        steps = iter(["create_objects", "done", "create_objects", "create_objects"])
        with (
            has_superuser as accounts,
            patch("evennia.server.models.ServerConfig.objects.conf", lambda key: next(steps)),
            patch.object(launchcmd.time, "sleep"),
        ):
            self.assertTrue(launchcmd._is_set_up())
            with patch.object(launchcmd, "WAIT_SECONDS", -1):
                self.assertFalse(launchcmd._is_set_up())
            accounts.return_value.exists.return_value = False
            self.assertFalse(launchcmd._is_set_up())

    def test_an_option_that_is_not_known(self):
        with self.assertRaises(SystemExit), redirect_stderr(StringIO()) as err:
            self.setup_game("--observatry")
        self.assertIn("unrecognized", err.getvalue())
