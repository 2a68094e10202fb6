"""Who asks, for whom, and why. Every use case takes one, from the first line (DESIGN §4)."""

from msgspec import Struct

from madang.model.tenant import DEFAULT_TENANT


class Caller(Struct, frozen=True):
    """The principal behind a call. Permissions come from its role (`madang.access`); use cases ask by permission name."""

    principal: str
    """Stable id: ``token:<name>``, ``source:<id>``, ``system``."""
    role: str
    permissions: frozenset[str]
    tenant: str = DEFAULT_TENANT
    """Whose data the call is about."""
    purpose: str = ""
    """Why personal data is looked at; empty where none is needed."""
    case: str = ""
    """The incident or case that the look belongs to."""
    party: str | None = None
    """Entity id of the farm, carrier or plant that this principal acts for; None for city staff."""

    def may(self, permission: str) -> bool:
        """True when the caller holds the permission (``*`` holds all)."""
        return permission in self.permissions or "*" in self.permissions


SYSTEM = Caller(principal="system", role="system", permissions=frozenset({"*"}))
"""Madang itself: deadlines, findings, its own housekeeping."""
