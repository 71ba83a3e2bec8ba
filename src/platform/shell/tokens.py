"""Access tokens: RS256 JSON Web Tokens (RFC 7519, RFC 8725), issued and verified."""

import secrets
from collections import OrderedDict
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError

from core.errors import NotAuthenticated
from core.identity import Account, Identity
from core.permission import PLATFORM_ROLES, Role
from core.tenant import Tenant
from shell.keys import LEEWAY_SECONDS, KeyRing
from shell.settings import Settings

ALGORITHMS = ["RS256"]
MAX_TOKEN_LENGTH = 4_096
REMEMBERED = 10_000


class Claims(msgspec.Struct, frozen=True):
    """What a token must say; a token that lacks one of these, or has another type in it, is refused."""

    iss: str
    aud: str
    sub: UUID
    tenant_id: UUID | None
    tenant: str | None
    role: Role
    email: str
    jti: str
    iat: int
    nbf: int
    exp: int
    sid: UUID
    mfa_at: int | None


class AccessTokens:
    """Issues tokens with the signing key, and verifies those of any known key."""

    def __init__(self, ring: KeyRing, settings: Settings) -> None:
        """Remember nothing yet."""
        self._ring = ring
        self._settings = settings
        self._verified: OrderedDict[str, tuple[Claims, Identity]] = OrderedDict()
        self._verified_with = ring.keys

    def issue(
        self,
        account: Account,
        tenant: Tenant | None,
        now: datetime,
        *,
        session_id: UUID,
        second_factor_at: datetime | None = None,
    ) -> str:
        """A token for a session of an account, valid for as long as the settings say."""
        issued = int(now.timestamp())
        claims = {
            "iss": self._settings.token_issuer,
            "aud": self._settings.token_audience,
            "sub": str(account.id),
            "tenant_id": None if tenant is None else str(tenant.id),
            "tenant": None if tenant is None else tenant.slug,
            "role": account.role.value,
            "email": account.email,
            "jti": secrets.token_urlsafe(16),
            "iat": issued,
            "nbf": issued,
            "exp": issued + self._settings.access_token_seconds,
            "sid": str(session_id),
            "mfa_at": None if second_factor_at is None else int(second_factor_at.timestamp()),
        }
        keys = self._ring.keys
        return jwt.encode({"alg": "RS256", "kid": keys.kid}, claims, keys.signing, ALGORITHMS)

    def verify(self, token: str, now: datetime) -> Identity:
        """Whom a token speaks for; raises NotAuthenticated for any that is not ours and current."""
        keys = self._ring.keys
        if keys is not self._verified_with:
            self._verified.clear()
            self._verified_with = keys
        found = self._verified.get(token)
        if found is None:
            claims = self._checked(token)
            found = claims, _identity_of(claims)
            self._remember(token, found)
        claims, identity = found
        _require_current(claims, now)
        return identity

    def _checked(self, token: str) -> Claims:
        """The claims of a token with a good signature by a known key."""
        if len(token) > MAX_TOKEN_LENGTH:
            raise NotAuthenticated(reason="the token is too long")
        try:
            decoded = self._decoded(token)
            claims = msgspec.convert(decoded.claims, Claims)
        except (JoseError, msgspec.ValidationError, ValueError, TypeError) as error:
            raise NotAuthenticated(reason="the token is not valid") from error
        named = decoded.header.get("kid") in self._ring.keys.kids
        ours = claims.iss == self._settings.token_issuer and claims.aud == self._settings.token_audience
        placed = (claims.tenant_id is None) == (claims.role in PLATFORM_ROLES)
        if not (named and ours and placed):
            raise NotAuthenticated(reason="the token is not valid")
        return claims

    def _decoded(self, token: str) -> jwt.Token:
        """A token whose signature is good; one by an unknown key may be by one that was made a moment ago."""
        try:
            return jwt.decode(token, self._ring.keys.verifying, ALGORITHMS)
        except (JoseError, ValueError):
            if not self._ring.read_again(after_seconds=1.0):
                raise
            return jwt.decode(token, self._ring.keys.verifying, ALGORITHMS)

    def _remember(self, token: str, found: tuple[Claims, Identity]) -> None:
        """Checking a signature costs more than everything else in a request, so it is done once per token.

        The whole text is the key: a text that differs anywhere is checked on its own.
        """
        self._verified[token] = found
        if len(self._verified) > REMEMBERED:
            self._verified.popitem(last=False)


def _identity_of(claims: Claims) -> Identity:
    return Identity(
        user_id=claims.sub,
        tenant_id=claims.tenant_id,
        tenant_slug=claims.tenant,
        role=claims.role,
        jti=claims.jti,
        session_id=claims.sid,
        second_factor_at=claims.mfa_at,
    )


def _require_current(claims: Claims, now: datetime) -> None:
    seconds = now.timestamp()
    if seconds > claims.exp + LEEWAY_SECONDS:
        raise NotAuthenticated(reason="the token has expired")
    if seconds < claims.nbf - LEEWAY_SECONDS:
        raise NotAuthenticated(reason="the token is not valid yet")


class RefreshToken(msgspec.Struct, frozen=True):
    """A new opaque token, and when it ends; its text is shown once and kept as a hash."""

    text: str
    expires_at: datetime

    def __repr__(self) -> str:
        """Not the text."""
        return "RefreshToken(***)"


def new_refresh_token(slug: str, now: datetime, lifetime: timedelta) -> RefreshToken:
    """256 random bits, and the slug of the tenant in whose schema their hash is kept."""
    return RefreshToken(f"eur_{slug}_{secrets.token_urlsafe(32)}", now + lifetime)


def slug_in_refresh_token(text: str) -> str:
    """The slug that a refresh token names; an empty text where it has not the form of one."""
    prefix, _, rest = text.partition("_")
    return rest.partition("_")[0] if prefix == "eur" else ""
