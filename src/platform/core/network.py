"""Addresses: where a request comes from, when it came through proxies, and which addresses count as one."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

OWN_IPV6_PREFIX = 64
"""One customer of a provider has at least this much of IPv6, so that single addresses say nothing."""


def parsed_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """The networks in CIDR notation; raises ValueError."""
    return tuple(ip_network(text) for text in texts)


def client_address(peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> str | None:
    """Who sent a request that a peer delivered with these X-Forwarded-For entries, the oldest first.

    Each trusted proxy appended whom it heard from: read from the right, the first address that is not a
    trusted proxy is the client. What stands to its left was written by the client itself and means nothing.
    """
    current = peer
    for entry in reversed(forwarded):
        if not is_within(current, trusted):
            return current
        address = _address_in(entry)
        if address is None:
            return current
        current = str(address)
    return current


def is_within(address: str | None, networks: Sequence[Network]) -> bool:
    """Whether an address lies in one of the networks."""
    parsed = None if address is None or not networks else _address_in(address)
    return parsed is not None and any(parsed in network for network in networks)


def network_of(address: str | None) -> str:
    """What limits count as one caller: an IPv4 address, or an IPv6 network of one customer."""
    parsed = None if address is None else _address_in(address)
    if parsed is None:
        return "unknown"
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    return str(IPv6Network((int(parsed), OWN_IPV6_PREFIX), strict=False))


def _address_in(entry: str) -> IPv4Address | IPv6Address | None:
    """The address in an entry, which may have a port; an IPv4 address written as IPv6 is itself again."""
    try:
        parsed = ip_address(_without_port(entry.strip()))
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return parsed if mapped is None else mapped


def _without_port(entry: str) -> str:
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
