"""Second factors: time steps of RFC 6238, recovery codes, and how long a shown factor counts."""

import re
from datetime import datetime
from enum import StrEnum

from core.errors import PlatformError, SecondFactorMissing, SecondFactorRequired, SecondFactorWrong

STEP_SECONDS = 30
WINDOW = 1
"""How many steps a clock may be off in either direction (RFC 6238, 5.2)."""

MAX_CODE_LENGTH = 40
RECOVERY_CODES = 10
RECOVERY_BYTES = 15
"""120 random bits: too many to guess, so that a fast hash of them is enough."""

TOTP_CODE = re.compile(r"[0-9]{6}")
RECOVERY_CODE = re.compile(r"[A-Z2-7]{24}")
_SEPARATORS = re.compile(r"[\s-]+")


class Showing(StrEnum):
    """What came of asking an account for its second factor."""

    NOT_NEEDED = "not needed"
    MISSING = "missing"
    WRONG = "wrong"
    CODE = "code"
    RECOVERY_CODE = "recovery code"

    @property
    def is_good(self) -> bool:
        """Whether a second factor was shown."""
        return self in {Showing.CODE, Showing.RECOVERY_CODE}


def refusal_of(showing: Showing) -> PlatformError:
    """Why a showing that is not good is refused where a second factor is needed."""
    match showing:
        case Showing.NOT_NEEDED:
            return SecondFactorMissing()
        case Showing.MISSING:
            return SecondFactorRequired()
        case _:
            return SecondFactorWrong()


def steps_around(now: datetime) -> range:
    """The time steps whose codes are taken at an instant, the earliest first."""
    step = int(now.timestamp()) // STEP_SECONDS
    return range(step - WINDOW, step + WINDOW + 1)


def normalised_code(text: str) -> str:
    """A code as it is compared: without spaces and hyphens, in capitals."""
    return _SEPARATORS.sub("", text).upper()


def readable_code(code: str) -> str:
    """A recovery code as it is shown: in groups of four."""
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4)).lower()


def is_stepped_up(second_factor_at: int | None, now: datetime, *, minutes: int) -> bool:
    """Whether a second factor was shown within the last minutes."""
    return second_factor_at is not None and now.timestamp() - second_factor_at <= minutes * 60
