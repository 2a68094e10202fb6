"""The cluster that the tests of this folder share."""

import pytest

from tests.stores.any_store import shared_cluster
from tests.stores.cluster import Cluster


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """Without fsync: fast, and lost when the machine loses its power, which no test here is about."""
    found: Cluster = shared_cluster()
    return found
