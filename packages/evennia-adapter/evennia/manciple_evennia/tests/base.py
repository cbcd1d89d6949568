"""What the tests of the package share."""

import gc
from typing import Any
from unittest.mock import Mock, patch

import evennia
from django.test import override_settings
from evennia.utils.ansi import strip_ansi
from evennia.utils.create import create_account, create_script
from evennia.utils.test_resources import EvenniaCommandTestMixin, EvenniaTest

from .. import delivery, inputfuncs
from ..accounts import CostsBridge
from ..store import BRIDGE_TAG, CATEGORY, STORE_KEY, CostsStore
from . import samples


@override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"])
class CostsTest(EvenniaTest):
    """A game with the store, a player who is online in one session, and a bridge."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        # Evennia collects garbage after each test; what was loaded before need not be looked at.
        gc.freeze()

    def create_objs(self) -> None:
        """None of Evennia's own."""

    def setUp(self) -> None:
        super().setUp()
        for target, name in (
            (evennia.SESSION_HANDLER, "session_portal_partial_sync"),
            (delivery, "delay"),
        ):
            patcher = patch.object(target, name)
            setattr(self, name, patcher.start())
            self.addCleanup(patcher.stop)
        delivery._unsaved.clear()
        self.store: CostsStore = create_script(CostsStore, key=STORE_KEY)
        self.bridge_account = create_account(
            "manciple",
            email=None,
            password="a-long-password",
            typeclass=CostsBridge,
            permissions=["Guest"],
            tags=[(BRIDGE_TAG, CATEGORY)],
        )
        self.bridge = self.connect(self.bridge_account, 9)
        evennia.SESSION_HANDLER.data_out.reset_mock()

    def tearDown(self) -> None:
        for sessid in [one for one in evennia.SESSION_HANDLER if one != 1]:
            del evennia.SESSION_HANDLER[sessid]
        self.bridge_account.delete()
        super().tearDown()

    def connect(self, account: Any, sessid: int) -> Any:
        """Open a session, logged in as the account unless that is None."""
        handler = evennia.SESSION_HANDLER
        made = evennia.server.serversession.ServerSession()
        made.init_session("telnet", ("localhost", "testmode"), handler)
        made.sessid = sessid
        handler.portal_connect(made.get_sync_data())
        session = handler.session_from_sessid(sessid)
        if account is not None:
            handler.login(session, account, testmode=True)
        return session

    def sent(self, name: str, session: Any) -> list[Any]:
        """What a session was sent under this name, in order."""
        calls = evennia.SESSION_HANDLER.data_out.call_args_list
        return [
            call.kwargs[name] for call in calls if call.args[0] is session and name in call.kwargs
        ]

    def texts(self, session: Any | None = None) -> list[str]:
        """Lines of costs that a player was shown, without colours."""
        sent = self.sent("text", session or self.session)
        shown = [one[0] for one in sent if isinstance(one, tuple) and one[1] == {"type": "costs"}]
        return [line for text in shown for line in strip_ansi(text).split("\n")]

    def say(self, name: str, message: dict[str, Any], session: Any | None = None) -> Any:
        """Call an input function, as the bridge unless told otherwise; give the answer."""
        who = session or self.bridge
        before = evennia.SESSION_HANDLER.data_out.call_count
        getattr(inputfuncs, name)(who, **message)
        calls = evennia.SESSION_HANDLER.data_out.call_args_list[before:]
        answers = [
            (key, value[1])
            for call in calls
            if call.args[0] is who
            for key, value in call.kwargs.items()
            if key.startswith("costs_")
        ]
        return answers[-1] if answers else None

    def greet(self, **changes: Any) -> Any:
        return self.say("costs_hello", samples.hello(**changes))

    def tell(self, *items: dict[str, Any]) -> Any:
        return self.say("costs_notices", samples.notices(*items))


class CostsCommandTest(EvenniaCommandTestMixin, CostsTest):
    """With `call` for commands."""

    def shown(self, command: Any, args: str = "", **flags: Any) -> str:
        """Run a command in a window of 80 columns, or as the flags say."""
        self.session.protocol_flags.update({"SCREENWIDTH": {0: 80}, "SCREENHEIGHT": {0: 500}})
        self.session.protocol_flags.update(flags)
        evennia.SESSION_HANDLER.data_out.reset_mock()
        command.caller = self.char1
        command.session = self.session
        command.account = self.account
        command.cmdstring = command.cmdname = command.raw_cmdname = command.key
        command.args = args
        command.raw_string = command.key + args
        command.parse()
        command.func()
        shown = [
            one[0] if isinstance(one, tuple) else one for one in self.sent("text", self.session)
        ]
        return strip_ansi("\n".join(shown))


__all__ = ["CostsCommandTest", "CostsTest", "Mock", "samples"]
