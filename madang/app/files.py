"""How many files this process may have open: each connection and each tenant's database needs some."""

import contextlib
import resource

OPEN_FILES = 16_384
"""Some 10,000 devices, or 64 tenants (ten each) and what their subscribers keep open. The usual soft limit is 1,024."""


def raise_open_files(wanted: int = OPEN_FILES) -> int:
    """Raise the soft limit as far as the hard one lets us; gives what it is now. It is never lowered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(ValueError, OSError):  # Some systems have a lower limit of their own.
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
