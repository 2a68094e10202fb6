"""Tokens: known value by hand (RFC 4648 base64url of fixed bytes; SHA-256 by sha256sum)."""

import pytest

from madang.access.tokens import Token, check_name, hash_secret, is_same, render_token


def test_a_token_is_prefix_and_base64url() -> None:
    assert render_token(bytes(range(32))) == "mdg_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


def test_too_few_random_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="192"):
        render_token(bytes(23))


def test_hash_is_sha256() -> None:
    # printf mdg_x | sha256sum
    assert hash_secret("mdg_x") == "2f6ec15968746afc73b43718c7feac5d94e4fd86a2c922d00b57b2f31d5fe8ea"
    assert is_same(hash_secret("a"), hash_secret("a")) and not is_same(hash_secret("a"), hash_secret("b"))


@pytest.mark.parametrize("name", ["kim", "kim.lee@city", "control-room_1", "김"])
def test_good_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 65, "a\n"])
def test_bad_names(name: str) -> None:
    with pytest.raises(ValueError):
        check_name(name)


def test_a_token_expires_at_its_instant() -> None:
    token = Token(name="t", role="viewer", hash="", created_at=0, expires_at=10)
    assert [token.is_expired(now) for now in (9, 10, 11)] == [False, True, True]
    assert not Token(name="t", role="viewer", hash="", created_at=0).is_expired(10**18)
