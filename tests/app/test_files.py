"""The soft limit of open files is raised, never lowered, never beyond the hard one. In a process of its own: a limit is the process's."""

import subprocess
import sys

from tests.repo.tree import ROOT

CODE = """
import resource
from madang.app.files import raise_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300))
print(raise_open_files(200), raise_open_files(50), raise_open_files(1_000), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_the_soft_limit_is_raised_as_far_as_the_hard_one() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["200", "200", "300", "300", "300"]
