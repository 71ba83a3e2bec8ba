"""API keys: `eup_<random>_<checksum>`, and what each scope lets a machine do.

The checksum lets a scanner recognise a leaked key, and the API refuse a mistyped one, without a look-up.
"""

import re
import zlib
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from core.permission import Permission

PREFIX = "eup_"
RANDOM_BYTES = 24
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CHECKSUM_LENGTH = 6
_FORM = re.compile(r"eup_([0-9A-Za-z]{32,44})_([0-9A-Za-z]{6})")


class Scope(StrEnum):
    """What a key may be used for."""

    USAGE_WRITE = "usage:write"
    USAGE_READ = "usage:read"
    COSTS_READ = "costs:read"
    USAGE_BACKFILL = "usage:backfill"


SCOPES: dict[Scope, frozenset[Permission]] = {
    Scope.USAGE_WRITE: frozenset({Permission.USAGE_WRITE}),
    Scope.USAGE_READ: frozenset({Permission.USAGE_READ}),
    Scope.COSTS_READ: frozenset({Permission.BILLING_READ, Permission.ANOMALIES_READ, Permission.PRICES_READ}),
    Scope.USAGE_BACKFILL: frozenset({Permission.USAGE_WRITE, Permission.USAGE_BACKFILL}),
}


def compose_key(random: bytes) -> str:
    """The key for some random bytes, of which there must be 24; raises ValueError otherwise."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"{RANDOM_BYTES} random bytes are needed")
    body = _base62(int.from_bytes(random)).rjust(32, "0")
    return f"{PREFIX}{body}_{checksum(body)}"


def is_well_formed(text: str) -> bool:
    """Whether a text has the form of a key and the checksum that belongs to it."""
    found = _FORM.fullmatch(text)
    return found is not None and checksum(found[1]) == found[2]


def checksum(body: str) -> str:
    """CRC-32 of the random part, in base 62."""
    return _base62(zlib.crc32(body.encode())).rjust(CHECKSUM_LENGTH, "0")


def permissions_of(scopes: Iterable[Scope]) -> frozenset[Permission]:
    """What a key with these scopes may do."""
    return frozenset[Permission]().union(*(SCOPES[scope] for scope in scopes))


def parse_networks(texts: Iterable[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks that a key may be used from; raises ValueError for a text that is none."""
    return tuple(ip_network(text) for text in texts)


def is_from(address: str | None, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    """Whether an address lies in one of the networks; from anywhere where there is none."""
    allowed = tuple(networks)
    if not allowed:
        return True
    try:
        return address is not None and any(_plain(address) in network for network in allowed)
    except ValueError:
        return False


def key_objections(
    *, networks: Iterable[str], expires_at: datetime | None, now: datetime
) -> list[tuple[str, str]]:
    """What is wrong with the fields of a key to be made, if anything."""
    found = [
        (f"networks[{index}]", "is not a network in CIDR notation")
        for index, text in enumerate(networks)
        if not _is_network(text)
    ]
    if expires_at is not None and expires_at <= now:
        found.append(("expires_at", "must be in the future"))
    return found


def _plain(address: str) -> IPv4Address | IPv6Address:
    """The address; an IPv4 address that a socket of both kinds shows as IPv6 is itself again."""
    parsed = ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return parsed if mapped is None else mapped


def _is_network(text: str) -> bool:
    try:
        parse_networks([text])
    except ValueError:
        return False
    return True


def _base62(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
