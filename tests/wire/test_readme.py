"""The codes that the README of the codecs lists are those that mappings give."""

import re
from pathlib import Path

import madang.wire


def test_every_reject_code_is_listed() -> None:
    folder = Path(madang.wire.__file__).parent
    given: set[str] = set()
    for path in (folder / "mapping").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        given |= set(re.findall(r'(?:Reject|NotReadable)\(\s*"([a-z-]+)"', text))
    listed = re.search(r"^Codes: (.*?)\. A code", (folder / "README.md").read_text(encoding="utf-8"), re.S | re.M)
    assert listed is not None
    assert set(re.findall(r"`([a-z-]+)`", listed[1])) == given
