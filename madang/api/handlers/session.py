"""Log-in and tokens."""

import msgspec
from msgspec import Struct

from madang.api.dispatch import COOKIE
from madang.api.errors import Problem
from madang.api.route import Answer, Call
from madang.hub.queries.answers import Me
from madang.hub.tokens import SESSION_LIFE
from madang.model.tenant import DEFAULT_TENANT
from madang.model.time import SECOND, parse_instant, render_instant


class Login(Struct, forbid_unknown_fields=True):
    """What the console posts."""

    token: str


class NewToken(Struct, forbid_unknown_fields=True):
    """A token to make."""

    name: str
    role: str
    party: str | None = None
    """Entity id of the farm, carrier or plant that the holder acts for; needed by those roles."""
    expires_at: str | None = None
    """RFC 3339; null: until revoked."""
    tenant: str = DEFAULT_TENANT
    """Where it works, over NGSI-LD with the header NGSILD-Tenant."""


class MadeToken(Struct):
    """The token: shown this once, never again."""

    name: str
    token: str


class TokenInfo(Struct):
    """A token without its secret."""

    name: str
    role: str
    party: str | None
    created_at: str
    created_by: str
    expires_at: str | None
    last_used_at: str | None
    tenant: str


async def open_session(call: Call) -> Answer:
    """POST /api/session"""
    login = await call.json(Login)
    value, _ = await call.run(call.hub.tokens.open_session, login.token, call.address)
    return Answer(None, 204, (("Set-Cookie", _cookie(call, value, SESSION_LIFE // SECOND)),))


async def close_session(call: Call) -> Answer:
    """DELETE /api/session"""
    if call.cookie:
        await call.run(call.hub.tokens.close_session, call.cookie)
    return Answer(None, 204, (("Set-Cookie", _cookie(call, "", 0)),))


def _cookie(call: Call, value: str, life_s: int) -> str:
    secure = "; Secure" if call.state.settings.secure_cookie else ""
    return f"{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={life_s}{secure}"


async def get_me(call: Call) -> Answer:
    """GET /api/me"""
    caller = call.caller
    label = None if caller.party is None else await call.ask(lambda look: look.label(caller.party))
    me = Me(
        principal=caller.principal,
        name=caller.principal.partition(":")[2] or caller.principal,
        role=caller.role,
        permissions=sorted(caller.permissions),
        tenant=caller.tenant,
        party=caller.party,
        party_label=label,
    )
    return Answer(me)


async def list_tokens(call: Call) -> Answer:
    """GET /api/tokens"""
    tokens = await call.run(call.hub.tokens.list, call.caller)

    def text(instant: int | None) -> str | None:
        return None if instant is None else render_instant(instant)

    return Answer(
        [
            TokenInfo(
                t.name,
                t.role,
                t.party,
                render_instant(t.created_at),
                t.created_by,
                text(t.expires_at),
                text(t.last_used_at),
                t.tenant,
            )
            for t in tokens
        ]
    )


async def make_token(call: Call) -> Answer:
    """POST /api/tokens"""
    asked: NewToken = await call.json(NewToken)
    try:
        expires_at = None if asked.expires_at is None else parse_instant(asked.expires_at)
        token = await call.run(
            call.hub.tokens.create, call.caller, asked.name, asked.role, asked.party, expires_at, asked.tenant
        )
    except ValueError as error:  # a faulty name, role, party or time: the text says which
        raise Problem(400, "bad-token", f"{error}.") from None
    return Answer(msgspec.json.encode(MadeToken(asked.name, token)), 201)


async def revoke_token(call: Call) -> Answer:
    """DELETE /api/tokens/{name}"""
    await call.run(call.hub.tokens.revoke, call.caller, call.path["name"])
    return Answer(None, 204)
