"""Statements that travel with another: BEGIN with the first of a transaction, COMMIT with the last.

asyncpg sends a statement and waits for its answer before it sends the next, so that a transaction of two
statements costs four round trips. PostgreSQL's protocol asks for less: it works off all messages up to a
Sync and answers them together (PostgreSQL, "Frontend/Backend Protocol", Extended Query, Pipelining). Here a
connection's transport writes more messages before or after those of the driver, in front of the same Sync.

The driver, waiting for the answer to its own statement, passes over what the others are answered with
(BindComplete, CommandComplete); tests/shell/test_pipelining.py holds it to that. An error in one of them is
an error of its statement, and nothing after an error is executed.
"""

import asyncio
from asyncio import AbstractEventLoop, BaseProtocol, Transport
from collections.abc import Callable, Iterable
from typing import Any, cast

import asyncpg

_BIND, _PARSE = b"B", b"P"
_BESIDE = (b"C", b"S", b"X")
"""Close, Sync and Terminate: the driver drops a statement of many, recovers from an error, or hangs up."""
_SYNC = b"S\x00\x00\x00\x04"
_ALL_TEXT = b"\x00" * 2
"""No formats: all parameters, or results, are texts."""
_ALL_ROWS = b"\x00" * 4


def execution(statement: str, *parameters: str) -> bytes:
    """The messages that execute a prepared statement in the unnamed portal, with parameters as texts."""
    texts = [parameter.encode() for parameter in parameters]
    given = b"".join(len(text).to_bytes(4, "big") + text for text in texts)
    bound = _ALL_TEXT + len(texts).to_bytes(2, "big") + given + _ALL_TEXT
    return _message(_BIND, b"\x00" + statement.encode() + b"\x00" + bound) + _message(
        b"E", b"\x00" + _ALL_ROWS
    )


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body


class PipeliningTransport:
    """A transport that sends more with the next statement: what `take_along` was given, once.

    `write` and `writelines` are those of the real transport, except where something is to be taken along.
    """

    write: Callable[[bytes | memoryview], None]
    writelines: Callable[[Iterable[bytes | memoryview]], None]
    has_sent_last = False
    """Whether messages were sent after which there may be no more."""

    def __init__(self, transport: Transport) -> None:
        self.real = transport
        self._before = self._after = b""
        self.take_nothing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def take_along(self, *, before: bytes = b"", after: bytes = b"") -> None:
        """Send these messages with the next statement that is executed; after the latter ones, no more."""
        self._before, self._after = before, after
        self.write, self.writelines = self._write_accompanied, self._refuse

    def take_nothing(self) -> None:
        """Send what comes alone, as a transport does."""
        self.write, self.writelines = self.real.write, self.real.writelines
        self.has_sent_last = False

    def _write_accompanied(self, data: bytes | memoryview) -> None:
        """What goes before goes already with what prepares a statement, which may name what it enters."""
        kind = bytes(data[:1])
        if kind in _BESIDE:
            self.real.write(data)
        elif kind == _PARSE and not self.has_sent_last:
            before, self._before = self._before, b""
            self.real.write(before + data)
        elif kind == _BIND and data[-len(_SYNC) :] == _SYNC and not self.has_sent_last:
            if self._after:
                self.has_sent_last = True
            else:
                self.take_nothing()
            self.real.write(b"".join((self._before, data[: -len(_SYNC)], self._after, _SYNC)))
        else:
            self._refuse(data)

    def _refuse(self, _: object) -> None:
        reason = "only a statement that is fetched, or executed with arguments, takes others along"
        if self.has_sent_last:
            reason = "the transaction has ended with the statement before this one"
        raise RuntimeError(reason)


class _Introduction(asyncio.Protocol):
    """What the event loop connects: it hands the connection over to the driver's protocol, and leaves."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self.protocol = protocol
        self.transport: PipeliningTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        real = cast("Transport", transport)
        self.transport = PipeliningTransport(real)
        real.set_protocol(self.protocol)
        self.protocol.connection_made(cast("Transport", self.transport))


class _PipeliningLoop:
    """The running event loop, whose connections have a PipeliningTransport each."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self.create_future = loop.create_future
        self.call_later = loop.call_later

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def create_connection(self, *arguments: Any, **options: Any) -> tuple[Any, BaseProtocol | None]:
        return await self._introduced(self._loop.create_connection, *arguments, **options)

    async def create_unix_connection(
        self, *arguments: Any, **options: Any
    ) -> tuple[Any, BaseProtocol | None]:
        return await self._introduced(self._loop.create_unix_connection, *arguments, **options)

    async def start_tls(self, transport: PipeliningTransport, *arguments: Any, **options: Any) -> Any:
        encrypted = await self._loop.start_tls(transport.real, *arguments, **options)
        return encrypted and PipeliningTransport(encrypted)

    async def _introduced(
        self, connect: Any, factory: Callable[[], asyncio.Protocol], *arguments: Any, **options: Any
    ) -> tuple[Any, BaseProtocol | None]:
        _, introduction = await connect(lambda: _Introduction(factory()), *arguments, **options)
        return introduction.transport, introduction.protocol


async def connect(*arguments: Any, loop: AbstractEventLoop | None = None, **options: Any) -> Any:
    """What `asyncpg.connect` gives, over a PipeliningTransport."""
    pipelining = _PipeliningLoop(loop or asyncio.get_running_loop())
    return await asyncpg.connect(*arguments, loop=cast("AbstractEventLoop", pipelining), **options)
