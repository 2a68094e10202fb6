"""Tokens as values: made from random bytes that are passed in, kept as a hash, found by that hash.

A token has 256 random bits, so a plain SHA-256 of it is as good as a slow password hash: there is nothing to guess.
The prefix ``mdg_`` lets secret scanners find one that was pasted where it should not be.
"""

from base64 import urlsafe_b64encode
from hashlib import sha256
from hmac import compare_digest

from msgspec import Struct

from madang.model.tenant import DEFAULT_TENANT
from madang.model.time import Instant

PREFIX = "mdg_"
RANDOM_BYTES = 32
"""256 bits; fewer than 24 bytes (192 bits) are refused."""
RANDOM_BYTES_MIN = 24
TOKEN_LENGTH_MAX = 200
"""Characters of a presented secret; longer ones are not hashed."""
NAME_LENGTH_MAX = 64


class Token(Struct, frozen=True):
    """What is kept of a token. The token itself is shown once and never stored."""

    name: str
    role: str
    hash: str
    """SHA-256 of the token, hexadecimal."""
    created_at: Instant
    party: str | None = None
    """Entity id of the farm, carrier or plant that its holder acts for."""
    expires_at: Instant | None = None
    """None: until revoked."""
    last_used_at: Instant | None = None
    created_by: str = ""
    tenant: str = DEFAULT_TENANT
    """Where it works; an administrator's of the default tenant works in all."""

    def is_expired(self, now: Instant) -> bool:
        return self.expires_at is not None and now >= self.expires_at


class Session(Struct, frozen=True):
    """A browser's log-in: stands for a token, for at most some hours."""

    hash: str
    """SHA-256 of the cookie's value, hexadecimal."""
    token_hash: str
    created_at: Instant
    expires_at: Instant


def render_token(random_bytes: bytes) -> str:
    """The token made of these random bytes. Raises ValueError for fewer than 192 bits (our mistake).

    >>> render_token(bytes(32))
    'mdg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    """
    if len(random_bytes) < RANDOM_BYTES_MIN:
        raise ValueError(f"a token needs at least {RANDOM_BYTES_MIN * 8} random bits")
    return PREFIX + urlsafe_b64encode(random_bytes).rstrip(b"=").decode("ascii")


def hash_secret(secret: str) -> str:
    """SHA-256 in hexadecimal of a token or cookie value."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def is_same(hash_a: str, hash_b: str) -> bool:
    """Equality that takes the same time wherever they differ."""
    return compare_digest(hash_a, hash_b)


def check_name(name: str) -> str:
    """The name of a token: 1 to 64 letters, digits, ``-``, ``_``, ``.`` or ``@``. Raises ValueError."""
    if not 1 <= len(name) <= NAME_LENGTH_MAX or not all(c.isalnum() or c in "-_.@" for c in name):
        raise ValueError(f"a token's name has 1 to {NAME_LENGTH_MAX} letters, digits, '-', '_', '.' or '@'")
    return name
