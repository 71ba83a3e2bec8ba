"""How requests show who sends them: an API key, or an account's tokens, which are renewed in time."""

import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field

import httpx
from eu_platform_client.problem import problem_of
from eu_platform_client.retry import NEVER_SENT

REFRESH = "/api/v1/auth/refresh"
LOGIN = "/api/v1/auth/login"
EARLY_SECONDS = 30.0
"""How long before its end an access token is renewed: a request takes time, and clocks differ."""

REFUSED_TOKEN = "not-authenticated"  # noqa: S105 -- the name of a problem


class SessionEnded(Exception):
    """The session cannot be renewed any more: log in again."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a login or a renewal gave; `expires_at` is on the monotonic clock."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_at: float


class ApiKeyAuth(httpx.Auth):
    """Sends an API key."""

    def __init__(self, key: str) -> None:
        """The key as it was shown when it was made."""
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the key."""
        request.headers["Authorization"] = f"Bearer {self._key}"
        yield request


class AccountAuth(httpx.Auth):
    """Sends an account's access token; any number of threads share one renewal.

    A refresh token is used once: a second use would end the session. So it is renewed under a lock, and
    never sent again unless it is certain that it did not arrive.
    """

    def __init__(self, http: httpx.Client, tokens: Tokens) -> None:
        """`http` sends renewals; it must not authenticate by this."""
        self._http = http
        self._tokens = tokens
        self._ended: str | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connection for renewals."""
        self._http.close()

    @property
    def refresh_token(self) -> str:
        """The token that logging out takes."""
        return self._tokens.refresh

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the token, and where it is refused all the same, a new one."""
        token = self._valid()
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return
        response.read()
        if problem_of(response).kind == REFUSED_TOKEN:
            request.headers["Authorization"] = f"Bearer {self._renewed(instead_of=token)}"
            yield request

    def _valid(self) -> str:
        tokens = self._tokens
        if time.monotonic() < tokens.expires_at - EARLY_SECONDS:
            return tokens.access
        return self._renewed(instead_of=tokens.access)

    def _renewed(self, *, instead_of: str) -> str:
        """A token other than the one that is no longer good; raises SessionEnded, ApiProblem, httpx's
        errors.
        """
        with self._lock:
            if self._tokens.access != instead_of:
                return self._tokens.access
            if self._ended is not None:
                raise SessionEnded(self._ended)
            self._tokens = self._exchanged()
            return self._tokens.access

    def _exchanged(self) -> Tokens:
        try:
            response = self._http.post(REFRESH, json={"refresh_token": self._tokens.refresh})
        except NEVER_SENT:
            raise
        except httpx.TransportError as error:
            self._ended = "The answer to a renewal was lost, and with it the next token; log in again."
            raise SessionEnded(self._ended) from error
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._ended = f"{problem_of(response).detail or 'The refresh token was refused.'} Log in again."
            raise SessionEnded(self._ended)
        return tokens_of(response)


def tokens_of(response: httpx.Response) -> Tokens:
    """The tokens in an answer; raises ApiProblem where it is an error."""
    if response.is_error:
        raise problem_of(response)
    body = response.json()
    return Tokens(body["access_token"], body["refresh_token"], time.monotonic() + body["expires_in"])
