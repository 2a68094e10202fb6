"""Roles hold what the plan of the city says; a role of outsiders is nothing without its party."""

import pytest

from madang.access.roles import PERMISSIONS, ROLES, UnknownRole, caller_of, permissions_of


def test_every_permission_of_a_role_is_described() -> None:
    held = set().union(*ROLES.values()) - {"*"}
    assert held <= set(PERMISSIONS)


def test_admin_may_everything_and_source_only_send() -> None:
    assert caller_of("kim", "admin").may("token.manage")
    assert permissions_of("source") == frozenset({"ingest"})


def test_viewer_changes_nothing() -> None:
    assert all(permission.endswith(".read") for permission in permissions_of("viewer"))


def test_unknown_role_says_which_there_are() -> None:
    with pytest.raises(UnknownRole, match="known: admin, carrier, farm"):
        caller_of("kim", "root")


def test_a_carrier_needs_its_party() -> None:
    with pytest.raises(ValueError, match="acts for"):
        caller_of("lee", "carrier")
    assert caller_of("lee", "carrier", "urn:ngsi-ld:Organization:c1").party == "urn:ngsi-ld:Organization:c1"
