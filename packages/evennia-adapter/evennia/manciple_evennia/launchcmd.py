"""
`evennia costs_setup`: makes the store, the watch and the bridge's account, and with `--observatory`
the room. Add it to the settings:

    EXTRA_LAUNCHER_COMMANDS["costs_setup"] = "manciple_evennia.launchcmd.costs_setup"

It can be run again at any time: what is there stays.
"""

import os
import secrets
import sys
import time
from argparse import ArgumentParser, Namespace
from typing import Any

DEFAULT_NAME = "manciple"
ROOM_NAME = "The Observatory"
ROOM_TAG = "observatory"
# `evennia start` says that it has started before it has set the game up.
WAIT_SECONDS = 30


def costs_setup(*args: str) -> None:
    """
    Run the launcher command.

    Args:
        *args: What stands after `evennia costs_setup`.

    """
    options = _parse(args)
    _start_evennia()
    if not _is_set_up():
        sys.exit("Start the game once first, so that it makes what is its own: evennia start")
    _make_scripts()
    _make_account(options)
    if options.observatory:
        _make_observatory()
    print("Done. A server that is running takes it up with: evennia reload")


def _parse(args: tuple[str, ...]) -> Namespace:
    parser = ArgumentParser(
        prog="evennia costs_setup",
        description="Make what the game needs to show the costs and budgets of a Manciple router.",
    )
    parser.add_argument("--observatory", action="store_true", help="make the room, too")
    parser.add_argument(
        "--account", default=DEFAULT_NAME, metavar="NAME", help="the bridge's account"
    )
    parser.add_argument("--new-password", action="store_true", help="give it a new password")
    parser.add_argument(
        "--password-file",
        metavar="PATH",
        help="write the password there, readable for you alone, and do not print it",
    )
    return parser.parse_args(args)


def _start_evennia() -> None:
    """The launcher has set Django up, but not Evennia."""
    import evennia

    evennia._init()


def _is_set_up() -> bool:
    """The first account and the first rooms must be Evennia's own, of its first start."""
    from evennia.accounts.models import AccountDB
    from evennia.server.models import ServerConfig

    if not AccountDB.objects.filter(id=1, is_superuser=True).exists():
        return False
    until = time.monotonic() + WAIT_SECONDS
    while ServerConfig.objects.conf("last_initial_setup_step") != "done":
        if time.monotonic() > until:
            return False
        time.sleep(0.5)
        # Another process writes it.
        ServerConfig.flush_instance_cache()
    return True


def _make_scripts() -> None:
    from evennia.utils.create import create_script

    from .alerts import WATCH_KEY, CostsWatch
    from .store import STORE_KEY, CostsStore

    for typeclass, key in ((CostsStore, STORE_KEY), (CostsWatch, WATCH_KEY)):
        if not typeclass.objects.filter(db_key=key).exists():
            create_script(typeclass, key=key)
            print(f"Made the script {key}.")


def _make_account(options: Namespace) -> None:
    from evennia.accounts.models import AccountDB

    from .accounts import CostsBridge

    account = AccountDB.objects.filter(username__iexact=options.account).first()
    if account is None:
        account = _create_bridge(options.account)
        print(f"Made the account {account.key}.")
    elif not isinstance(account, CostsBridge):
        sys.exit(f"The account {account.key} is a player's: give another name with --account NAME")
    elif not options.new_password:
        print(f"The account {account.key} is there; --new-password gives it a new password.")
        return
    password = secrets.token_urlsafe(24)
    account.set_password(password)
    account.save()
    _tell(password, options.password_file)


def _create_bridge(name: str) -> Any:
    from evennia.utils.create import create_account

    from .accounts import CostsBridge
    from .store import BRIDGE_TAG, CATEGORY

    return create_account(
        name,
        email=None,
        password=secrets.token_urlsafe(24),
        typeclass=CostsBridge,
        permissions=["Guest"],
        tags=[(BRIDGE_TAG, CATEGORY)],
    )


def _tell(password: str, path: str | None) -> None:
    if path is None:
        print(f"Its password, shown this once: {password}")
        return
    # Made anew, so that a file that others can read does not get it.
    new = f"{path}.{os.getpid()}"
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f"{password}\n")
    os.replace(new, path)
    print(f"Its password is in {path}.")


def _make_observatory() -> None:
    from django.conf import settings
    from evennia.objects.models import ObjectDB
    from evennia.utils.create import create_object

    from .rooms import Observatory
    from .store import CATEGORY

    if Observatory.objects.get_by_tag(ROOM_TAG, category=CATEGORY).exists():
        print(f"{ROOM_NAME} is there.")
        return
    room = create_object(Observatory, key=ROOM_NAME, tags=[(ROOM_TAG, CATEGORY)])
    outside = ObjectDB.objects.filter(id=str(settings.START_LOCATION).lstrip("#")).first()
    if outside is None:
        print(f"Made {ROOM_NAME} ({room.dbref}).")
        return
    ways = (("observatory", ["obs"], outside, room), ("out", ["o"], room, outside))
    for key, aliases, here, there in ways:
        create_object(
            settings.BASE_EXIT_TYPECLASS, key=key, aliases=aliases, location=here, destination=there
        )
    print(f"Made {ROOM_NAME} ({room.dbref}), by the exit `observatory` of {outside.key}.")
