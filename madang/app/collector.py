"""How the interpreter's collector of cyclic garbage is set for a server.

The store's writer, the detectors and the feed keep hundreds of thousands of values in memory that live long and form no cycles. As the
interpreter is set by default it walks all of them again whenever there are a quarter more: with 100,000 entities that stopped every
thread for half a second, and took an eighth of the time of a batch of writes.
"""

import gc

YOUNG_MAX = 20_000
"""Values made and not yet let go of before the young ones are looked at, some 1 ms."""
YOUNG_ROUNDS = 50
"""Looks at the young ones before those that survived one are looked at: after a million values that stay, some 50 ms."""
OLD_ROUNDS = 50
"""Looks at those before everything is: after 50 million values that stay, more than the named limits of all caches together."""


def settle_collector() -> None:
    """Called once, when a server is up: what its start left is never looked at again, what comes is looked at seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, YOUNG_ROUNDS, OLD_ROUNDS)
