"""Tokens and sessions: make, list, revoke, and find the Caller behind a presented secret.

Kept as documents of kind ``token`` and ``session``; read through a small cache that is dropped on every change here and
looked at again after `RELOAD_AFTER_S`, because the command line may write tokens too.
"""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

import msgspec

from madang.access.roles import TOKEN_MANAGE, caller_of, permissions_of
from madang.access.tokens import (
    PREFIX,
    RANDOM_BYTES,
    TOKEN_LENGTH_MAX,
    Session,
    Token,
    check_name,
    hash_secret,
    is_same,
    render_token,
)
from madang.hub.ports import Clock, Store, Tx
from madang.model.caller import Caller
from madang.model.tenant import DEFAULT_TENANT, check_tenant_name
from madang.model.time import HOUR, MINUTE, SECOND, Instant

TOKEN, SESSION = "token", "session"
TOKENS_MAX = 10_000
"""Tokens of one city; each is some 300 bytes in memory."""
SESSIONS_MAX = 10_000
"""Open sessions; the oldest end first."""
SESSION_LIFE = 12 * HOUR
"""A shift and its hand-over."""
LAST_USED_EVERY = 5 * MINUTE
"""`last_used_at` is exact to this: a write for every request would be the busiest writer of all."""
RELOAD_AFTER = 2 * SECOND
"""How old the cache may be when a secret is not in it, and how often the whole is read again."""
RELOAD_ALWAYS_AFTER = 15 * SECOND
"""How long a token revoked by another process may live on."""
FAILURES_MAX = 10
"""Failed log-ins of one address within FAILURES_WINDOW before it must wait."""
FAILURES_WINDOW = MINUTE
ADDRESSES_MAX = 4_096
"""Addresses whose failures are remembered; the longest silent is forgotten first."""


class NotAuthenticated(Exception):
    """No valid token or session."""


class TooManyFailures(Exception):
    """This address must wait before it tries again."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many failed log-ins; wait {wait_s} s")
        self.wait_s = wait_s


class TokenExists(Exception):
    """A token of that name is there; revoke it first or choose another name."""


class TokenNotFound(LookupError):
    """No token of that name."""


class TokenForbidden(PermissionError):
    """The caller may not manage tokens."""


class Tokens:
    """See the module's docstring. Thread-safe. `clock` is real time also where the city's clock is simulated: a session
    must not end because the demo runs fast. `random_bytes` is `secrets.token_bytes`."""

    def __init__(self, store: Store, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._store = store
        self._clock = clock
        self._random_bytes = random_bytes
        self._lock = Lock()
        self._tokens: dict[str, Token] = {}
        self._sessions: dict[str, Session] = {}
        self._loaded_at: Instant | None = None
        self._used_at: dict[str, Instant] = {}
        self._failures: OrderedDict[str, list[Instant]] = OrderedDict()

    # ── managing ────────────────────────────────────────────────────────────

    def create(
        self,
        caller: Caller,
        name: str,
        role: str,
        party: str | None = None,
        expires_at: Instant | None = None,
        tenant: str = DEFAULT_TENANT,
    ) -> str:
        """Make a token and return it: the only time it can be seen. Durable when this returns.

        Raises UnknownRole, ValueError (bad name, bad tenant, a party role without party), TokenExists, TokenForbidden."""
        self._require(caller)
        check_name(name)
        check_tenant_name(tenant)
        permissions_of(role)
        caller_of(name, role, party)
        secret = render_token(self._random_bytes(RANDOM_BYTES))
        token = Token(
            name=name,
            role=role,
            hash=hash_secret(secret),
            created_at=self._clock.now(),
            party=party,
            expires_at=expires_at,
            created_by=caller.principal,
            tenant=tenant,
        )

        def op(tx: Tx) -> None:
            if tx.find_document(TOKEN, name) is not None:
                raise TokenExists(f"a token named {name!r} exists; revoke it or choose another name")
            tx.put_document(TOKEN, name, msgspec.json.encode(token))

        self._store.write(op).result()
        self._forget()
        return secret

    def list(self, caller: Caller) -> list[Token]:
        """All tokens by name, also expired ones. Raises TokenForbidden."""
        self._require(caller)
        self._load(force=True)
        with self._lock:
            return sorted(self._tokens.values(), key=lambda token: token.name)

    def revoke(self, caller: Caller, name: str) -> None:
        """End a token and its sessions, at once. Raises TokenNotFound, TokenForbidden."""
        self._require(caller)

        def op(tx: Tx) -> None:
            document = tx.find_document(TOKEN, name)
            if document is None:
                raise TokenNotFound(f"no token named {name!r}")
            token = msgspec.json.decode(document, type=Token)
            tx.put_document(TOKEN, name, None)
            for id_, content in tx.list_documents(SESSION):
                if msgspec.json.decode(content, type=Session).token_hash == token.hash:
                    tx.put_document(SESSION, id_, None)

        self._store.write(op).result()
        self._forget()

    # ── authenticating ──────────────────────────────────────────────────────

    def authenticate(self, secret: str, address: str = "") -> Caller:
        """The Caller of a token. Raises NotAuthenticated, and TooManyFailures when `address` failed too often.

        A good token is never slowed down: behind a proxy many people share an address with one broken device, and 256
        random bits need no protection against guessing; the limit spares the store and the log. Costs one SHA-256 and a
        dictionary look-up while the cache is warm."""
        now = self._clock.now()
        if len(secret) <= TOKEN_LENGTH_MAX and secret.startswith(PREFIX):
            token = self._find_token(hash_secret(secret), now)
            if token is not None:
                self._touch(token, now)
                return _caller(token)
        self._check_failures(address, now)
        self._note_failure(address, now)
        raise NotAuthenticated("the token is not valid (mistyped, expired or revoked)")

    def find_caller(self, name: str) -> Caller | None:
        """The Caller of the token with this name, for what acts for it in the background; None when it was revoked or has expired."""
        now = self._clock.now()
        if self._is_old(now):
            self._load(now=now)
        with self._lock:
            token = next((t for t in self._tokens.values() if t.name == name), None)
        return None if token is None or token.is_expired(now) else _caller(token)

    def open_session(self, secret: str, address: str = "") -> tuple[str, Session]:
        """Log in: the cookie's value and the session. Raises as `authenticate` does, and TokenForbidden for a token of a tenant
        that has no console."""
        caller = self.authenticate(secret, address)
        if caller.tenant != DEFAULT_TENANT:
            raise TokenForbidden(f"this token is of tenant {caller.tenant}: the console shows the default tenant alone")
        now = self._clock.now()
        value = render_token(self._random_bytes(RANDOM_BYTES))
        token_hash = hash_secret(secret)
        token = self._find_token(token_hash, now)
        expires_at = now + SESSION_LIFE
        if token is not None and token.expires_at is not None:
            expires_at = min(expires_at, token.expires_at)
        session = Session(hash=hash_secret(value), token_hash=token_hash, created_at=now, expires_at=expires_at)

        def op(tx: Tx) -> None:
            kept = sorted(
                (msgspec.json.decode(content, type=Session) for _, content in tx.list_documents(SESSION)),
                key=lambda s: s.expires_at,
            )
            surplus = max(0, len(kept) + 1 - SESSIONS_MAX)
            for place, old in enumerate(kept):
                if old.expires_at <= now or place < surplus:
                    tx.put_document(SESSION, old.hash, None)
            tx.put_document(SESSION, session.hash, msgspec.json.encode(session))

        self._store.write(op).result()
        with self._lock:
            self._sessions[session.hash] = session
        return value, session

    def resume_session(self, value: str) -> Caller:
        """The Caller of a session cookie. Raises NotAuthenticated. A wrong cookie is not counted as a failed log-in: an
        expired one comes by itself with every request of a forgotten tab."""
        now = self._clock.now()
        if len(value) > TOKEN_LENGTH_MAX or not value:
            raise NotAuthenticated("no session")
        hash_ = hash_secret(value)
        with self._lock:
            session = self._sessions.get(hash_)
        if session is None or self._is_old(now):
            self._load(now=now)
            with self._lock:
                session = self._sessions.get(hash_)
        if session is None or now >= session.expires_at or not is_same(session.hash, hash_):
            raise NotAuthenticated("the session has ended; log in again")
        token = self._find_token(session.token_hash, now)
        if token is None:
            raise NotAuthenticated("the session's token was revoked or has expired")
        self._touch(token, now)
        return _caller(token)

    def close_session(self, value: str) -> None:
        """Log out. An unknown session is no error."""
        hash_ = hash_secret(value[:TOKEN_LENGTH_MAX])

        def op(tx: Tx) -> None:
            tx.put_document(SESSION, hash_, None)

        self._store.write(op).result()
        with self._lock:
            self._sessions.pop(hash_, None)

    # ── inside ──────────────────────────────────────────────────────────────

    @staticmethod
    def _require(caller: Caller) -> None:
        if not caller.may(TOKEN_MANAGE):
            raise TokenForbidden(f"managing tokens needs the permission {TOKEN_MANAGE}")

    def _find_token(self, hash_: str, now: Instant) -> Token | None:
        with self._lock:
            token = self._tokens.get(hash_)
        if token is None or self._is_old(now):
            self._load(now=now)
            with self._lock:
                token = self._tokens.get(hash_)
        if token is None or not is_same(token.hash, hash_) or token.is_expired(now):
            return None
        return token

    def _is_old(self, now: Instant) -> bool:
        return self._loaded_at is None or now - self._loaded_at >= RELOAD_ALWAYS_AFTER

    def reload(self) -> None:
        """Others have changed tokens or sessions: read them again when the next question comes."""
        self._forget()

    def _forget(self) -> None:
        self._loaded_at = None

    def _load(self, now: Instant | None = None, force: bool = False) -> None:
        """Read all tokens and sessions, but at most once in RELOAD_AFTER unless `force`d or just changed."""
        moment = self._clock.now() if now is None else now
        if not force and self._loaded_at is not None and 0 <= moment - self._loaded_at < RELOAD_AFTER:
            return
        with self._store.read() as read:
            tokens = [msgspec.json.decode(content, type=Token) for _, content in read.list_documents(TOKEN)]
            sessions = [msgspec.json.decode(content, type=Session) for _, content in read.list_documents(SESSION)]
        with self._lock:
            self._tokens = {token.hash: token for token in tokens[:TOKENS_MAX]}
            self._sessions = {session.hash: session for session in sessions}
            self._loaded_at = moment

    def _touch(self, token: Token, now: Instant) -> None:
        last = self._used_at.get(token.hash, token.last_used_at or 0)
        if now - last < LAST_USED_EVERY:
            return
        self._used_at[token.hash] = now

        def op(tx: Tx) -> None:
            document = tx.find_document(TOKEN, token.name)
            if document is None:
                return
            kept = msgspec.json.decode(document, type=Token)
            if kept.hash == token.hash:
                tx.put_document(TOKEN, token.name, msgspec.json.encode(msgspec.structs.replace(kept, last_used_at=now)))

        self._store.write(op)  # not waited for: knowing when a token was used must not delay its use

    def _check_failures(self, address: str, now: Instant) -> None:
        with self._lock:
            failures = self._failures.get(address)
            if failures is None:
                return
            failures[:] = [at for at in failures if 0 <= now - at < FAILURES_WINDOW]
            if len(failures) >= FAILURES_MAX:
                raise TooManyFailures(max(1, -(-(failures[0] + FAILURES_WINDOW - now) // SECOND)))

    def _note_failure(self, address: str, now: Instant) -> None:
        with self._lock:
            failures = self._failures.setdefault(address, [])
            failures.append(now)
            del failures[:-FAILURES_MAX]
            self._failures.move_to_end(address)
            while len(self._failures) > ADDRESSES_MAX:
                self._failures.popitem(last=False)


def _caller(token: Token) -> Caller:
    return caller_of(token.name, token.role, token.party, token.tenant)
