"""Passwords: which may be chosen, and how they are kept."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagline.accounts import passwords
from tagline.errors import Invalid


@pytest.mark.parametrize("password", ["", "short", "1234567", "žšč", "👩‍👩"])
def test_a_short_password_is_refused(password: str) -> None:
    with pytest.raises(Invalid, match="at least 8 characters"):
        passwords.check_new(password)


@pytest.mark.parametrize("password", ["password", "PASSWORD", "Password1", "12345678", "raspberry", "iloveyou"])
def test_what_anybody_would_try_first_is_refused(password: str) -> None:
    with pytest.raises(Invalid, match="among the most used"):
        passwords.check_new(password)


@pytest.mark.parametrize("password", ["x" * 1025, "東" * 342, "👩" * 257])
def test_more_than_1024_bytes_are_refused(password: str) -> None:
    with pytest.raises(Invalid, match="at most 1024 bytes"):
        passwords.check_new(password)


@pytest.mark.parametrize(
    "password", ["x" * 1024, "東" * 341, "👩" * 256, "correct horse", "žluťoučký", "東京都の写真たち"]
)
def test_what_is_long_enough_is_taken(password: str) -> None:
    passwords.check_new(password)


def test_the_field_that_is_wrong_is_named() -> None:
    with pytest.raises(Invalid) as refused:
        passwords.check_new("short", "new_password")
    assert refused.value.extra["errors"][0]["field"] == "new_password"


async def test_a_password_is_kept_as_argon2id_and_never_twice_the_same() -> None:
    first, second = [await passwords.hashed("the house by the lake") for _ in range(2)]
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    assert await passwords.matches("the house by the lake", first)
    assert not await passwords.matches("the house by the sea", first)


@pytest.mark.parametrize(
    "stored", [None, "", "x", "$argon2id$v=19$m=19456,t=2,p=1$AAAA$AAAA", "$2b$12$abcdefghijklmnopqrstuv"]
)
async def test_nothing_matches_what_is_no_hash(stored: str | None) -> None:
    assert not await passwords.matches("nobody's password", stored)


@given(typed=st.text(max_size=60), other=st.text(max_size=60))
@settings(max_examples=15, deadline=None)
def test_a_password_matches_itself_and_no_other(typed: str, other: str) -> None:
    async def both() -> tuple[bool, bool]:
        # A semaphore belongs to the loop that first waits for it; each example has a loop of its own.
        stored = await passwords.hashed(typed)
        return await passwords.matches(typed, stored), await passwords.matches(other, stored)

    assert asyncio.run(both()) == (True, typed == other)
    assert passwords.same(typed, typed)
    assert passwords.same(typed, other) == (typed == other)
