"""What every test shares: how hypothesis searches.

In CI the search is the same every time, so that a red build is a change's fault; on a developer's machine it goes on looking. No example
has a deadline: two shared cores prove nothing about one example's time.
"""

import os

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile("developer", deadline=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "developer")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the project's own tests."""
    parser.addoption("--soak-result", default="", help="file that keeps the summary of `make soak`")
