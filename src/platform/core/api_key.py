"""API keys: `eup_<random>_<checksum>`, and what each scope lets a machine do.

The checksum lets a scanner recognise a leaked key, and the API refuse a mistyped one, without a look-up.
"""

import re
import zlib
from collections.abc import Iterable
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

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
        return address is not None and any(ip_address(address) in network for network in allowed)
    except ValueError:
        return False


def _base62(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
