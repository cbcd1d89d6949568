"""The account that the bridge logs in with."""

from typing import Any

from evennia.accounts.accounts import DefaultAccount


class CostsBridge(DefaultAccount):
    """
    An account for a program: it has no character, no commands, and joins no channel.

    `evennia costs_setup` makes it. Logged in, it can do nothing but call the input functions that
    the store's lock opens for it.

    """

    def basetype_setup(self) -> None:
        """Leave out the account's default command set."""
        self.locks.add(
            "examine:perm(Developer);edit:false();delete:perm(Developer);boot:perm(Admin);"
            "msg:false();noidletimeout:true()"
        )

    def at_init(self) -> None:
        """Keep the command set empty, also where the game's default one has changed."""
        super().at_init()
        self.cmdset.clear()
        self.cmdset.remove_default()

    def at_post_login(self, session: Any = None, **kwargs: Any) -> None:
        """
        Tell the client that it is in, and nothing else.

        Args:
            session (Session, optional): The session that has logged in.
            **kwargs: Not used.

        """
        if session:
            session.msg(logged_in={})

    def at_msg_receive(self, text: Any = None, **kwargs: Any) -> bool:
        """
        Take no text, so that what the game says to everybody is not sent to a program.

        Args:
            text (str or tuple, optional): The text.
            **kwargs: Other instructions, which pass.

        Returns:
            bool: Whether the message may pass.

        """
        return text is None
