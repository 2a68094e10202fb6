"""Roles and the permissions they hold. Use cases and procedures name permissions, never roles (DESIGN §2)."""

from msgspec.structs import replace

from madang.model.caller import Caller
from madang.model.tenant import DEFAULT_TENANT

ENTITY_READ = "entity.read"
ENTITY_WRITE = "entity.write"
INCIDENT_READ = "incident.read"
INCIDENT_ACT = "incident.act"
INCIDENT_REVIEW = "incident.review"
MANIFEST_READ = "manifest.read"
MANIFEST_CARRY = "manifest.carry"
MANIFEST_CONFIRM = "manifest.confirm"
MANIFEST_CORRECT = "manifest.correct"
SOURCE_READ = "source.read"
SOURCE_MANAGE = "source.manage"
INGEST = "ingest"
METRICS_READ = "metrics.read"
TOKEN_MANAGE = "token.manage"
TENANT_MANAGE = "tenant.manage"
RECORD_SYSTEM = "record.system"

PERMISSIONS: dict[str, str] = {
    ENTITY_READ: "see things, reference data, their history and derived observations",
    ENTITY_WRITE: "create and change entities over the API",
    INCIDENT_READ: "see incidents and their reasons",
    INCIDENT_ACT: "acknowledge, assign, act on and resolve incidents",
    INCIDENT_REVIEW: "review resolved incidents, merge them, reopen them",
    MANIFEST_READ: "see manifests",
    MANIFEST_CARRY: "create a manifest and report start, load, unload and finish",
    MANIFEST_CONFIRM: "confirm, dispute or reject what was delivered",
    MANIFEST_CORRECT: "correct a closed manifest by a new version",
    SOURCE_READ: "see sources, their figures, the quarantine, and what could not be sent or done",
    SOURCE_MANAGE: "change sources, replay the quarantine, try again what could not be sent or done",
    INGEST: "send observations",
    METRICS_READ: "read the operating figures",
    TOKEN_MANAGE: "make and revoke tokens",
    TENANT_MANAGE: "make a tenant by writing into it; with a token of the default tenant, work in every tenant",
    RECORD_SYSTEM: "act as the platform itself: deadlines and housekeeping",
}
"""Every permission with what it lets one do: the authorisation matrix prints it."""

_READ = frozenset({ENTITY_READ, INCIDENT_READ, MANIFEST_READ, SOURCE_READ})
_OPERATOR = _READ | {INCIDENT_ACT, INCIDENT_REVIEW, METRICS_READ}

ROLES: dict[str, frozenset[str]] = {
    "admin": frozenset({"*"}),
    "operator": frozenset(_OPERATOR),
    "officer": frozenset(_OPERATOR | {MANIFEST_CONFIRM, MANIFEST_CORRECT, ENTITY_WRITE}),
    "carrier": frozenset({ENTITY_READ, MANIFEST_READ, MANIFEST_CARRY}),
    "farm": frozenset({ENTITY_READ, MANIFEST_READ, MANIFEST_CONFIRM}),
    "plant": frozenset({ENTITY_READ, MANIFEST_READ, MANIFEST_CONFIRM}),
    "viewer": _READ,
    "source": frozenset({INGEST}),
}
"""``*`` holds every permission."""

PARTY_ROLES = frozenset({"carrier", "farm", "plant"})
"""Roles of people outside city hall: a token of theirs names the party that they act for; they see only its own."""


class UnknownRole(ValueError):
    """No such role; the text lists those there are. The caller's mistake."""


def permissions_of(role: str) -> frozenset[str]:
    """The permissions of a role. Raises UnknownRole.

    >>> sorted(permissions_of("source"))
    ['ingest']
    """
    try:
        return ROLES[role]
    except KeyError:
        raise UnknownRole(f"unknown role {role!r}; known: {', '.join(sorted(ROLES))}") from None


def caller_of(name: str, role: str, party: str | None = None, tenant: str = DEFAULT_TENANT) -> Caller:
    """The Caller of a token's holder. Raises UnknownRole, and ValueError when a role of outsiders comes without a
    party: without one it would see either everything or nothing."""
    permissions = permissions_of(role)
    if role in PARTY_ROLES and not party:
        raise ValueError(f"role {role!r} acts for a farm, carrier or plant: name it (party=urn:ngsi-ld:…)")
    return Caller(principal=f"token:{name}", role=role, permissions=permissions, tenant=tenant, party=party)


def in_tenant(caller: Caller, tenant: str) -> Caller | None:
    """The caller at work in a tenant; None when it may not: a token works in its own tenant, an administrator's of the
    default tenant in all."""
    if caller.tenant == tenant:
        return caller
    if caller.tenant == DEFAULT_TENANT and caller.may(TENANT_MANAGE):
        return replace(caller, tenant=tenant)
    return None
