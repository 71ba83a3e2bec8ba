"""Looking for erased people in texts: by e-mail address, by full name, and by id."""

import re
import unicodedata
from collections import Counter
from enum import StrEnum
from uuid import UUID

import msgspec

from core.erasure import Identifiers

LEAST_WORDS = 2
"""Of a name that is looked for: a single word names too many others."""

ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)+")
ID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")


class Trace(StrEnum):
    """What was found of a person."""

    EMAIL = "email"
    NAME = "name"
    USER_ID = "user_id"


class Finding(msgspec.Struct, frozen=True, order=True):
    """How often something was found in a place: a column, a key's pattern, a file."""

    place: str
    kind: Trace
    count: int


class Wanted(msgspec.Struct, frozen=True):
    """Whom to look for, in the form in which it is compared."""

    emails: frozenset[str]
    names: dict[str, list[tuple[str, ...]]]
    user_ids: frozenset[UUID]


def wanted(identifiers: Identifiers) -> Wanted:
    """Whom to look for; names of one word are not."""
    names: dict[str, list[tuple[str, ...]]] = {}
    for name in identifiers.names:
        words = tuple(_words(name))
        if len(words) >= LEAST_WORDS:
            names.setdefault(words[0], []).append(words)
    return Wanted(frozenset(email.lower() for email in identifiers.emails), names, identifiers.user_ids)


def found_in(text: str, whom: Wanted) -> Counter[Trace]:
    """What of these people a text has, also where it is escaped as JSON or in a URL."""
    text = text.replace("%40", "@").lower()
    if "\\u" in text:
        text = ESCAPED.sub(lambda match: chr(int(match[1], 16)), text).lower()
    found: Counter[Trace] = Counter()
    if "@" in text and whom.emails:
        found[Trace.EMAIL] = sum(_is_wanted(match, whom.emails) for match in EMAIL.findall(text))
    if whom.user_ids:
        found[Trace.USER_ID] = sum(UUID(match) in whom.user_ids for match in ID.findall(text))
    if whom.names:
        found[Trace.NAME] = _names_in(_words(text), whom.names)
    return +found


def _is_wanted(address: str, emails: frozenset[str]) -> bool:
    """Whether an address, or what follows a sign that may stand before one (`to=ada@…`), is wanted."""
    return address in emails or any(
        address[at + 1 :] in emails for at, sign in enumerate(address) if sign in "='`{|/"
    )


def _names_in(words: list[str], names: dict[str, list[tuple[str, ...]]]) -> int:
    return sum(
        tuple(words[at : at + len(name)]) == name
        for at, word in enumerate(words)
        if word in names
        for name in names[word]
    )


def _words(text: str) -> list[str]:
    return WORD.findall(unicodedata.normalize("NFC", text).casefold())
