"""One town for all tests of the simulator: building it takes two seconds."""

import pytest

from madang.simulate.town import Town, build_town

SEED = 11


@pytest.fixture(scope="session")
def town() -> Town:
    return build_town(SEED)
