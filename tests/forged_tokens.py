"""Access tokens that must be refused, each for one reason, and the tools that forge them."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from functools import cache
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from shell.keys import SigningKeys

Sign = Callable[[bytes], bytes]
JSON = dict[str, Any]


def encoded(data: bytes) -> str:
    """Base64url without padding (RFC 7515)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(header: JSON, payload: JSON | bytes, sign: Sign) -> str:
    """A token in compact form, whatever it says and whoever signs it."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    signed = f"{encoded(json.dumps(header).encode())}.{encoded(body)}"
    return f"{signed}.{encoded(sign(signed.encode()))}"


@cache
def another_key() -> rsa.RSAPrivateKey:
    """A key that is none of ours."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def own_key(keys: SigningKeys) -> rsa.RSAPrivateKey:
    """Our signing key, as the other library has it."""
    return _private_key(keys.signing.as_pem(private=True))


@cache
def _private_key(pem: bytes) -> rsa.RSAPrivateKey:
    found = serialization.load_pem_private_key(pem, password=None)
    assert isinstance(found, rsa.RSAPrivateKey)
    return found


def rs256(key: rsa.RSAPrivateKey) -> Sign:
    """The signature of RS256."""
    return lambda data: key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    """The public key in the form that everybody may have."""
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def public_jwk(key: rsa.RSAPrivateKey) -> JSON:
    """The public key as a JWK."""
    numbers = key.public_key().public_numbers()
    parts = {"n": numbers.n, "e": numbers.e}
    return {"kty": "RSA"} | {
        name: encoded(value.to_bytes((value.bit_length() + 7) // 8, "big")) for name, value in parts.items()
    }


def signed(keys: SigningKeys, claims: JSON | bytes, **header: Any) -> str:
    """A token with a good signature by our own key."""
    return compact({"alg": "RS256", "kid": keys.kid} | header, claims, rs256(own_key(keys)))


def foreign_signatures(keys: SigningKeys, claims: JSON) -> dict[str, str]:
    """Tokens with the right claims that our signing key has not signed with RS256."""
    ours, other, head = own_key(keys), another_key(), {"kid": keys.kid}
    pem = public_pem(ours)
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    found = {
        "another key": compact(head | {"alg": "RS256"}, claims, rs256(other)),
        "another key under its own name": compact({"kid": "theirs", "alg": "RS256"}, claims, rs256(other)),
        "another key that the header carries": compact(
            head | {"alg": "RS256", "jwk": public_jwk(other)}, claims, rs256(other)
        ),
        "another key that the header points to": compact(
            head | {"alg": "RS256", "jku": "http://127.0.0.1:1/jwks.json"}, claims, rs256(other)
        ),
        "HS256 with the public key": compact(
            head | {"alg": "HS256"}, claims, lambda data: hmac.digest(pem, data, "sha256")
        ),
        "HS256 with an empty key": compact(
            head | {"alg": "HS256"}, claims, lambda data: hmac.digest(b"", data, "sha256")
        ),
        "RS384 with our key": compact(
            head | {"alg": "RS384"}, claims, lambda data: ours.sign(data, padding.PKCS1v15(), hashes.SHA384())
        ),
        "RS512 with our key": compact(
            head | {"alg": "RS512"}, claims, lambda data: ours.sign(data, padding.PKCS1v15(), hashes.SHA512())
        ),
        "PS256 with our key": compact(
            head | {"alg": "PS256"}, claims, lambda data: ours.sign(data, pss, hashes.SHA256())
        ),
        "no algorithm": compact(head, claims, rs256(ours)),
        "an algorithm that is no text": compact(head | {"alg": 1}, claims, rs256(ours)),
        "no signature": compact(head | {"alg": "RS256"}, claims, lambda _: b""),
        "a signature of zeros": compact(head | {"alg": "RS256"}, claims, lambda _: bytes(256)),
        "a digest for a signature": compact(
            head | {"alg": "RS256"}, claims, lambda data: hashlib.sha256(data).digest()
        ),
    }
    nothing = {
        f"alg {alg}": compact(head | {"alg": alg}, claims, lambda _: b"") for alg in ("none", "None", "NONE")
    }
    with_ours = {
        f"alg {alg} and our signature": compact(head | {"alg": alg}, claims, rs256(ours))
        for alg in ("none", "RSA")
    }
    return found | nothing | with_ours


def foreign_headers(keys: SigningKeys, claims: JSON) -> dict[str, str]:
    """Tokens with a good signature whose header names no key of ours, or wants what we do not know."""
    sign = rs256(own_key(keys))
    return {
        "no kid": compact({"alg": "RS256"}, claims, sign),
        "an unknown kid": signed(keys, claims, kid="unknown"),
        "an empty kid": signed(keys, claims, kid=""),
        "no text for a kid": signed(keys, claims, kid=1),
        "null for a kid": signed(keys, claims, kid=None),
        "a list for a kid": signed(keys, claims, kid=[keys.kid]),
        "a critical extension": signed(keys, claims, crit=["exp"], exp=1),
        "unencoded payload": signed(keys, claims, crit=["b64"], b64=False),
    }


def foreign_claims(keys: SigningKeys, claims: JSON) -> dict[str, str]:
    """Tokens with a good signature that say too little, or what no token of ours says."""
    without = {
        f"without {name}": signed(keys, {key: value for key, value in claims.items() if key != name})
        for name in claims
    }
    changed: dict[str, JSON] = {
        "another issuer": {"iss": "https://issuer.example"},
        "another audience": {"aud": "somebody-else"},
        "an audience among others": {"aud": [claims["aud"], "somebody-else"]},
        "a subject that is no id": {"sub": "ada"},
        "a tenant that is no id": {"tenant_id": "acme"},
        "an unknown role": {"role": "GOD"},
        "a role of the platform in a tenant": {"role": "OPERATOR"},
        "a role of a tenant without one": {"tenant_id": None, "tenant": None},
        "a text for its end": {"exp": "tomorrow"},
        "a digit text for its end": {"exp": str(claims["exp"])},
        "an end that is no whole number": {"exp": claims["exp"] + 0.5},
        "no end": {"exp": None},
        "true for its end": {"exp": True},
    }
    return without | {name: signed(keys, claims | change) for name, change in changed.items()}


def foreign_forms(keys: SigningKeys, token: str, claims: JSON) -> dict[str, str]:
    """What is no token in compact form, or another text for a good one."""
    header, payload, signature = token.split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    neighbour = last[last.index(signature[-1]) ^ 1]
    other = encoded(json.dumps(claims | {"sub": str(uuid4())}).encode())
    flipped = "A" if signature[10] != "A" else "B"
    return {
        "no dots": "token",
        "dots alone": "..",
        "two parts": f"{header}.{payload}",
        "an empty signature": f"{header}.{payload}.",
        "four parts": f"{token}.{signature}",
        "five parts": f"{token}.{signature}.{signature}",
        "a header of another": f"{payload}.{payload}.{signature}",
        "another payload under the signature": f"{header}.{other}.{signature}",
        "a changed signature": f"{header}.{payload}.{signature[:10]}{flipped}{signature[11:]}",
        "a shortened signature": token[:-4],
        "a lengthened signature": f"{token}AAAA",
        "unused bits set in the signature": token[:-1] + neighbour,
        "padding behind the signature": f"{token}==",
        "padding behind the payload": f"{header}.{payload}=.{signature}",
        "padding behind the header": f"{header}=.{payload}.{signature}",
        "the other alphabet of base64": token.replace("-", "+").replace("_", "/"),
        "characters outside of base64 in the signature": f"{token[:-8]}!{token[-8:]}",
        "a character outside of ASCII": f"{token}é",
        "a claim set that is a list": signed(keys, b"[]"),
        "a claim set that is null": signed(keys, b"null"),
        "a claim set that is no JSON": signed(keys, b"{"),
        "a claim set that is nested deeply": signed(keys, b"[" * 3_000),
        "an empty claim set": signed(keys, b""),
        "a claim set in another encoding": signed(keys, '{"é": 1}'.encode("latin-1")),
        "a token longer than any of ours": signed(keys, claims | {"more": "x" * 4_096}),
    }
