"""Resetting a password: what is asked for, and for how long its token can be used."""

from datetime import timedelta

import msgspec

LIFETIME = timedelta(minutes=30)
TOKEN_PREFIX = "epr"  # noqa: S105 -- the beginning of every reset token
MAX_TOKEN_LENGTH = 200


class ResetRequest(msgspec.Struct, frozen=True):
    """Somebody has lost the password of an account, or says so; its repr shows no address."""

    tenant: str
    email: str
    asked_from: str | None = None

    def __repr__(self) -> str:
        """Only the tenant."""
        return f"ResetRequest(tenant={self.tenant})"


def slug_in_reset_token(text: str) -> str:
    """The slug that a reset token names; an empty text where it has not the form of one."""
    prefix, _, rest = text.partition("_")
    return rest.partition("_")[0] if prefix == TOKEN_PREFIX else ""


def reset_mail(*, token: str, public_url: str | None) -> str:
    """What the account's owner reads; the token stands behind `#`, where no server's log sees it."""
    link = "" if public_url is None else f"    {public_url.rstrip('/')}/reset-password#token={token}\n\n"
    minutes = int(LIFETIME.total_seconds()) // 60
    return (
        "Somebody, perhaps you, has asked to reset the password of your account.\n\n"
        f"{link}"
        f"Within {minutes} minutes, a new password can be set once with this token:\n\n"
        f"    {token}\n\n"
        "If it was not you, do nothing: your password stays as it is.\n"
    )
