"""The header fields RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers)."""

from collections.abc import Iterable

from core.throttling import Verdict


def rate_limit_fields(verdicts: Iterable[Verdict]) -> dict[str, str]:
    """Which quotas there are, and what is left of them: requests, and seconds until there are more."""
    found = tuple(verdicts)
    return {
        "RateLimit-Policy": ", ".join(f'"{one.policy}";q={one.quota};w={one.window}' for one in found),
        "RateLimit": ", ".join(f'"{one.policy}";r={one.remaining};t={one.reset}' for one in found),
    }
