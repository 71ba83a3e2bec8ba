"""Mail: by SMTP where it is set, else as files in the data folder."""

import asyncio
import email
import email.errors
import email.policy
import secrets
import smtplib
import ssl
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from core.errors import PlatformError
from shell.keys import write_private
from shell.measures import MAILS
from shell.settings import Secret, Settings

TIMEOUT_SECONDS = 10
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


NO_ADDRESS = (ValueError, IndexError, email.errors.MessageError)
"""What the parser of addresses raises for what is none, in one version of Python or another."""


class MailNotSent(PlatformError):
    """The mail was not sent: {reason}."""

    fields = ("reason",)


class Mail(msgspec.Struct, frozen=True):
    """What to send to one person; its repr shows none of it."""

    to: str
    subject: str
    text: str

    def __repr__(self) -> str:
        """Neither whom it is for nor what it says."""
        return "Mail(***)"


async def send(settings: Settings, mail: Mail) -> None:
    """Send a mail; raises MailNotSent, which tells nothing of it."""
    try:
        await asyncio.to_thread(_send, settings, mail)
    except (OSError, smtplib.SMTPException, *NO_ADDRESS) as error:
        # Not `from error`: what the mail server says, and logs would show, repeats the recipient's address.
        MAILS.labels("failed").inc()
        raise MailNotSent(reason=type(error).__name__) from None
    MAILS.labels("sent").inc()


def forget(settings: Settings, addresses: frozenset[str]) -> int:
    """Delete the mails to these addresses that are kept as files; gives how many."""
    forgotten = 0
    for file in settings.mail_folder.glob("*.eml"):
        message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        if str(message["To"]).lower() in addresses:
            file.unlink(missing_ok=True)
            forgotten += 1
    return forgotten


def _send(settings: Settings, mail: Mail) -> None:
    message = _composed(mail, settings.mail_from)
    if settings.smtp_url is None:
        _keep(settings.mail_folder, message)
    else:
        _transmit(settings.smtp_url, message)


def _composed(mail: Mail, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = Address(addr_spec=mail.to)  # one recipient, whatever commas the address has
    message["Subject"] = mail.subject
    message["Date"] = datetime.now(UTC)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notices, please
    message.set_content(mail.text)
    return message


def _keep(folder: Path, message: EmailMessage) -> None:
    """A file for each mail, readable by its owner only, as all that has a secret in it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(4)}.eml"
    write_private(folder / name, message.as_bytes())


def _transmit(smtp_url: Secret, message: EmailMessage) -> None:
    """Encrypted, except to this machine: `smtps://` from the start, `smtp://` after STARTTLS."""
    parts, context = urlsplit(smtp_url.value), ssl.create_default_context()
    host = parts.hostname or "localhost"
    if parts.scheme == "smtps":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(
            host, parts.port or 465, timeout=TIMEOUT_SECONDS, context=context
        )
    else:
        connection = smtplib.SMTP(host, parts.port or 587, timeout=TIMEOUT_SECONDS)
    with connection:
        if parts.scheme == "smtp" and host not in LOOPBACK:
            connection.starttls(context=context)
        if parts.username is not None:
            connection.login(unquote(parts.username), unquote(parts.password or ""))
        connection.send_message(message)
