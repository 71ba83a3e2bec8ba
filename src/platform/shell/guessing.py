"""How easily a password is guessed: by zxcvbn, which knows common passwords, words, dates and keyboards."""

import re
from collections.abc import Iterable
from threading import Lock

from zxcvbn import zxcvbn  # type: ignore[import-untyped]  # it has no types of its own
from zxcvbn.matching import RANKED_DICTIONARIES  # type: ignore[import-untyped]  # nor here

WEIGHED_CHARACTERS = 48
"""More would take ever longer to weigh; a password is at least as hard to guess as its beginning."""

LEAST_SCORE = 3
"""Safely unguessable, which is more than 10^8 guesses."""

LEAST_OWN_CHARACTERS = 8
"""What a password must have besides the words that belong to its account."""

MOST_WORDS = 24
MOST_CHARACTERS = 200

_WORD = re.compile(r"[^\W_]{3,}")
_weighing = Lock()


def is_easy_to_guess(password: str, about: Iterable[str] = ()) -> bool:
    """Whether a password would be guessed soon, also by somebody who knows these texts about the account.

    It takes 2 to 50 ms of pure Python, and so belongs into a thread.
    """
    words = _words(about)
    if len(_without(words, password.casefold())) < LEAST_OWN_CHARACTERS:
        return True
    with _weighing:  # the library keeps the words in a global while it weighs
        try:
            found = zxcvbn(password[:WEIGHED_CHARACTERS], user_inputs=words)
        finally:
            RANKED_DICTIONARIES.pop("user_inputs", None)  # and would keep them afterwards
    return int(found["score"]) < LEAST_SCORE


def _words(about: Iterable[str]) -> list[str]:
    """The words in some texts, the longest first."""
    found = {word for text in about for word in _WORD.findall(text[:MOST_CHARACTERS].casefold())}
    return sorted(found, key=lambda word: (-len(word), word))[:MOST_WORDS]


def _without(words: Iterable[str], password: str) -> str:
    """What remains of a password: zxcvbn takes a few known words in a row, and a year, for a good one."""
    for word in words:
        password = password.replace(word, "")
    return password
