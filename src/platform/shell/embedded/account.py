"""The operating-system user whom PostgreSQL runs as: the user who starts it, or `nobody` if that is root."""

import os
import pwd
from pathlib import Path

import msgspec

from shell.embedded.errors import AccountMissing
from shell.embedded.folder import blamed_on


class Account(msgspec.Struct, frozen=True):
    """An operating-system user."""

    name: str
    uid: int
    gid: int


def server_account() -> Account:
    """The user whom the server runs as; PostgreSQL needs one that has a name."""
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else _own_entry()
    return Account(name=user.pw_name, uid=user.pw_uid, gid=user.pw_gid)


def own_name() -> str:
    """The name of the user of this process."""
    return _own_entry().pw_name


def options_of(account: Account) -> list[str]:
    """The setpriv options that turn root into the account; none for the user of this process.

    It keeps the right to pass folders it does not own, since data folder and programs may lie below /root:
    so no mode of a foreign folder has to change. (CAP_DAC_READ_SEARCH would do, but containers withhold it.)
    """
    if account.uid == os.geteuid():
        return []
    identity = [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
    return [*identity, "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--no-new-privs"]


def give(folder: Path, account: Account) -> None:
    """Make the account the folder's owner."""
    if account.uid != os.geteuid():
        with blamed_on(folder):
            os.chown(folder, account.uid, account.gid)


def _own_entry() -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(os.geteuid())
    except KeyError as error:
        raise AccountMissing(uid=os.geteuid()) from error
