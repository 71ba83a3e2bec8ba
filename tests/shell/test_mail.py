"""Mail as files, and to a server of our own that speaks just enough SMTP."""

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest

from core.errors import SettingInvalid
from shell.mail import Mail, MailNotSent, forget, send
from shell.settings import Secret, Settings, load_settings

MAIL = Mail("ada@example.com", "Reset your password", "The token: epr_acme_x — soon over.\n")


class Received:
    """What a server was told, and the mail that it took."""

    def __init__(self, refusal: bytes | None = None) -> None:
        self.commands: list[str] = []
        self.message = b""
        self.refusal = refusal

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        while line := await reader.readline():
            command = line.decode().strip().upper()
            self.commands.append(command)
            if command == "DATA":
                writer.write(b"354 go on\r\n")
                self.message = await reader.readuntil(b"\r\n.\r\n")
            if command == "QUIT":
                break
            writer.write(self.refusal if self.refusal and command.startswith("RCPT") else b"250 ok\r\n")
        writer.close()


@asynccontextmanager
async def mail_server(received: Received) -> AsyncIterator[Settings]:
    server = await asyncio.start_server(received.converse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield Settings(smtp_url=Secret(f"smtp://127.0.0.1:{port}"), mail_from="cloud@example.com")


def parsed(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


async def test_without_a_server_mail_is_kept_as_files_that_only_the_owner_reads(tmp_path: Path) -> None:
    for _ in range(2):
        await send(Settings(data=tmp_path), MAIL)
    files = list((tmp_path / "mail").iterdir())
    assert [file.suffix for file in files] == [".eml", ".eml"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert (tmp_path / "mail").stat().st_mode & 0o777 == 0o700
    message = parsed(files[0].read_bytes())
    assert (message["To"], message["Subject"]) == (MAIL.to, MAIL.subject)
    assert message.get_content() == MAIL.text


async def test_mails_that_are_kept_are_forgotten_by_their_recipient(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    assert forget(settings, frozenset({MAIL.to})) == 0
    for to in (MAIL.to, "Ada@Example.com", "grace@example.com"):
        await send(settings, Mail(to, MAIL.subject, MAIL.text))
    assert forget(settings, frozenset({MAIL.to})) == 2
    (left,) = settings.mail_folder.iterdir()
    assert parsed(left.read_bytes())["To"] == "grace@example.com"


async def test_a_server_is_handed_the_mail_for_its_one_recipient() -> None:
    received = Received()
    async with mail_server(received) as settings:
        await send(settings, MAIL)
    assert "RCPT TO:<ADA@EXAMPLE.COM>" in received.commands
    assert any(command.startswith("MAIL FROM:<CLOUD@EXAMPLE.COM>") for command in received.commands)
    assert parsed(received.message)["Subject"] == MAIL.subject


@pytest.mark.parametrize("to", ["bob,ada@example.com", "ada@example.com\r\nBcc: b@example.com", "ada", ""])
async def test_an_address_that_is_no_single_mailbox_gets_no_mail(tmp_path: Path, to: str) -> None:
    with pytest.raises(MailNotSent):
        await send(Settings(data=tmp_path), Mail(to, "s", "t"))
    assert not (tmp_path / "mail").exists()


async def test_a_refusal_does_not_tell_whom_the_mail_was_for() -> None:
    async with mail_server(Received(refusal=b"550 no such user ada@example.com\r\n")) as settings:
        with pytest.raises(MailNotSent) as raised:
            await send(settings, MAIL)
    assert str(raised.value) == "The mail was not sent: SMTPRecipientsRefused."
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


async def test_nothing_goes_to_another_machine_unencrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    received = Received()
    monkeypatch.setattr("shell.mail.LOOPBACK", frozenset())  # the server counts as another machine
    async with mail_server(received) as settings:
        with pytest.raises(MailNotSent, match="SMTPNotSupportedError"):
            await send(settings, MAIL)
    assert not any(command.startswith(("MAIL", "RCPT", "DATA")) for command in received.commands)


async def test_an_absent_server_is_an_error() -> None:
    with pytest.raises(MailNotSent):
        await send(Settings(smtp_url=Secret("smtp://127.0.0.1:1")), MAIL)


def test_a_mail_does_not_show_itself() -> None:
    assert repr(MAIL) == "Mail(***)"


def test_the_address_of_a_mail_server_is_checked_and_kept_secret() -> None:
    with pytest.raises(SettingInvalid, match="PLATFORM_SMTP_URL"):
        load_settings({"PLATFORM_SMTP_URL": "http://mail.example"})
    settings = load_settings({"PLATFORM_SMTP_URL": "smtps://me:secret@mail.example"})
    assert "secret" not in repr(settings.smtp_url)
