"""Resealing: what is sealed or signed for long, sealed and signed anew under the current secret key."""

from typing import Final

from core.errors import PlatformError
from shell import certificates, erasures, legal_archive
from shell.queries import SQL
from shell.sealing import Seal, SealBroken, SecretKeys
from shell.session import Session


class NotResealed(PlatformError):
    """What {query} reads of {id} is sealed under neither the current nor the previous secret key."""

    fields = ("query", "id")


SECOND_FACTORS: Final = {"lock": "lock_second_factors", "write": "reseal_second_factors"}

SHARED: Final = {
    legal_archive.PURPOSE: ("lock_wrapped_keys", "rewrap_keys"),
    erasures.PURPOSE: ("lock_kept_identifiers", "reseal_identifiers"),
}
"""What the shared schema holds, bound to its tenant's id, by purpose: how it is read and written back."""


async def reseal_shared(session: Session, keys: SecretKeys) -> int:
    """Reseal what the shared schema holds, in the owner's session; gives how many things that are."""
    number = await certificates.sign_anew(session, keys)
    for purpose, (lock, write) in SHARED.items():
        number += await reseal(session, Seal(keys, purpose), lock=lock, write=write)
    return number


async def reseal(session: Session, seal: Seal, *, lock: str, write: str) -> int:
    """Reseal what a named query reads as (id, sealed), by another that writes two arrays back.

    Raises NotResealed where something is under neither key.
    """
    rows = await session.connection.fetch(SQL[lock])
    ids, anew = [row["id"] for row in rows], []
    for row in rows:
        thing = row["id"].bytes
        try:
            anew.append(seal.seal(seal.open(row["sealed"], belongs_to=thing), belongs_to=thing))
        except SealBroken as error:
            raise NotResealed(query=lock, id=row["id"]) from error
    await session.connection.execute(SQL[write], ids, anew)
    return len(rows)
