"""Passwords: argon2id, outside the event loop and a few at a time.

A thread and not a worker process: argon2 releases the GIL, and behind a hostile photo a sign-in would wait
(docs/decisions/0004).
"""

import asyncio
import hmac
from functools import cache

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from tagline.errors import Invalid

# OWASP's second choice: 19 MiB, two passes; 33 ms on a PC, about 200 ms on a Raspberry Pi 4.
_hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# Each hash takes those 19 MiB while it runs.
AT_ONCE = 2
_few = asyncio.Semaphore(AT_ONCE)

MIN_LENGTH = 8
MAX_BYTES = 1024
# The most used ones, and what one might call this household's; the list is short since sign-ins are limited.
_COMMON = frozenset(
    [
        "12345678",
        "123456789",
        "1234567890",
        "password",
        "password1",
        "passw0rd",
        "qwertyui",
        "qwertyuiop",
        "qwerty123",
        "11111111",
        "00000000",
        "iloveyou",
        "abc12345",
        "abcd1234",
        "1q2w3e4r",
        "letmein1",
        "welcome1",
        "sunshine",
        "princess",
        "football",
        "baseball",
        "superman",
        "trustno1",
        "changeme",
        "tagline1",
        "raspberry",
        "photos123",
        "88888888",
        "12341234",
        "87654321",
        "password123",
        "admin123",
        "administrator",
    ]
)


def check_new(password: str, field: str = "password") -> None:
    """Raises Invalid for a password that is too short, too long, or the first that anybody would try."""
    if len(password) < MIN_LENGTH:
        raise Invalid(field, f"has to be at least {MIN_LENGTH} characters long")
    if len(password.encode()) > MAX_BYTES:
        raise Invalid(field, f"has to be at most {MAX_BYTES} bytes long")
    if password.lower() in _COMMON:
        raise Invalid(field, "is among the most used passwords; choose another one")


async def hashed(password: str) -> str:
    """The argon2id hash to store."""
    async with _few:
        return await asyncio.to_thread(_hasher.hash, password)


async def matches(password: str, stored: str | None) -> bool:
    """Whether a password is the stored one; takes as long where there is none."""
    if len(password.encode(errors="replace")) > MAX_BYTES:
        return False
    async with _few:
        right = await asyncio.to_thread(_verify, password, stored or _nobodys())
    return right and bool(stored)


def same(password: str, configured: str) -> bool:
    """Whether a password is the configured one, in a time that tells nothing."""
    return hmac.compare_digest(password.encode(errors="replace"), configured.encode(errors="replace"))


def mark(configured: str, secret: str) -> str:
    """What is kept of the configured password, to notice that it was changed; tells nothing without the secret."""
    text = b"household password:" + configured.encode(errors="replace")
    return hmac.new(secret.encode(), text, "sha256").hexdigest()


def _verify(password: str, stored: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False


@cache
def _nobodys() -> str:
    """A hash to compare with where there is none, so that both take the same time."""
    return _hasher.hash("nobody's password")
