"""The cluster that the tests of this folder share."""

from collections.abc import Iterator

import pytest

from tests.stores.cluster import Cluster, open_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Without fsync: fast, and lost when the machine loses its power, which no test here is about."""
    with open_cluster() as found:
        yield found
