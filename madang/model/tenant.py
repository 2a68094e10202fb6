"""Names of tenants (ETSI GS CIM 009 clause 4.14): one Madang keeps several local governments apart by them."""

import re

DEFAULT_TENANT = "default"
"""The tenant of requests that name none; it always exists, and may be named too."""
TENANT_LENGTH_MAX = 50
"""A name is part of a folder's name (capitals take two letters there), of a schema's in PostgreSQL (63 bytes) and of an alias."""
_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{TENANT_LENGTH_MAX}}}")


def is_tenant_name(text: str) -> bool:
    """Letters and digits of ASCII, ``_`` and ``-``: nothing that a path, an address or a header reads as something else.

    >>> is_tenant_name("jeju-si"), is_tenant_name("../jeju"), is_tenant_name("제주")
    (True, False, False)
    """
    return _NAME.fullmatch(text) is not None


def check_tenant_name(text: str) -> str:
    """The name. Raises ValueError that says the rule."""
    if not is_tenant_name(text):
        raise ValueError(f"a tenant's name has 1 to {TENANT_LENGTH_MAX} of the characters A-Z, a-z, 0-9, '_' and '-'")
    return text
