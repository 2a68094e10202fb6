"""Formats of stored states: older ones start anew, newer ones wait for the version that wrote them."""

import pytest

from madang.flow.contract import OlderFormat, check_format


@pytest.mark.parametrize("document", [b'{"format":2}', b'{"vehicle":"v","format":2}', b'[2,"v"]'])
def test_the_known_format_passes(document: bytes) -> None:
    check_format(document, 2, "t.one")


@pytest.mark.parametrize("document", [b'{"format":1}', b"{}", b'[1,"v"]', b"[]", b"7", b'{"format":"x"}'])
def test_an_older_one_or_none_at_all_is_older(document: bytes) -> None:
    with pytest.raises(OlderFormat, match=r"t\.one"):
        check_format(document, 2, "t.one")


@pytest.mark.parametrize("document", [b'{"format":3}', b'[3,"v"]'])
def test_a_newer_one_is_no_older_one(document: bytes) -> None:
    with pytest.raises(ValueError, match="newer") as raised:
        check_format(document, 2, "t.one")
    assert not isinstance(raised.value, OlderFormat)
