"""Resealing: what is sealed or signed for long, sealed and signed anew under the current secret key.

What neither key opens stays as it is and is named: it must not keep the rest from being resealed.
"""

from typing import Final

import msgspec

from shell import certificates, erasures, legal_archive
from shell.queries import SQL
from shell.sealing import Seal, SealBroken, SecretKeys
from shell.session import Session

SECOND_FACTORS: Final = {"lock": "lock_second_factors", "write": "reseal_second_factors"}

SHARED: Final = {
    legal_archive.PURPOSE: ("lock_wrapped_keys", "rewrap_keys"),
    erasures.PURPOSE: ("lock_kept_identifiers", "reseal_identifiers"),
}
"""What the shared schema holds, bound to its tenant's id, by purpose: how it is read and written back."""


class Resealed(msgspec.Struct, frozen=True):
    """How many things are under the current key, and which are under neither: their purpose and id."""

    number: int = 0
    unopened: tuple[str, ...] = ()

    def __add__(self, other: "Resealed") -> "Resealed":
        """Both together."""
        return Resealed(self.number + other.number, self.unopened + other.unopened)


async def reseal_shared(session: Session, keys: SecretKeys) -> Resealed:
    """Reseal what the shared schema holds, in the owner's session."""
    signed, unopened = await certificates.sign_anew(session, keys)
    resealed = Resealed(signed, tuple(f"certificate of erasure {tenant_id}" for tenant_id in unopened))
    for purpose, (lock, write) in SHARED.items():
        resealed += await reseal(session, Seal(keys, purpose), purpose, lock=lock, write=write)
    return resealed


async def reseal(session: Session, seal: Seal, purpose: str, *, lock: str, write: str) -> Resealed:
    """Reseal what a named query reads as (id, sealed), by another that writes two arrays back."""
    ids, anew, unopened = [], [], []
    for row in await session.connection.fetch(SQL[lock]):
        thing = row["id"].bytes
        try:
            anew.append(seal.seal(seal.open(row["sealed"], belongs_to=thing), belongs_to=thing))
        except SealBroken:
            unopened.append(f"{purpose} {row['id']}")
        else:
            ids.append(row["id"])
    await session.connection.execute(SQL[write], ids, anew)
    return Resealed(len(ids), tuple(unopened))
