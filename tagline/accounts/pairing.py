"""Pairing: a code that somebody signed in shows as a QR code, and a phone exchanges for a session of its own."""

import hmac
import secrets
import time

import msgspec
from aiohttp import web

from tagline import times
from tagline.accounts import tokens
from tagline.api import Identity
from tagline.changes import Change
from tagline.errors import Unauthenticated

# How long a code can be exchanged, s.
PAIRING_SECONDS = 120
# Of a code: 192 random bits.
CODE_BYTES = 24


class Offer(msgspec.Struct, frozen=True):
    """A code to show, and when it ends, µs."""

    code: str
    ends: int


class _Pending(msgspec.Struct, frozen=True):
    """A code that was shown: its digest, by whom, and its end on the monotonic clock, s."""

    digest: str
    who: Identity
    ends: float


class Pairings:
    """The codes that wait for a phone, one an account at most. They are kept in memory only."""

    def __init__(self) -> None:
        self._pending: dict[str, _Pending] = {}

    def offer(self, who: Identity) -> Offer:
        """A new code for an account, which ends the one before it."""
        code = secrets.token_urlsafe(CODE_BYTES)
        # The monotonic clock, since a board may get the right time just now.
        self._pending[who.user_id] = _Pending(tokens.digest(code), who, time.monotonic() + PAIRING_SECONDS)
        return Offer(code, times.now() + PAIRING_SECONDS * 1_000_000)

    def spend(self, code: str) -> str:
        """The account that a code was made for. Each is good once; raises Unauthenticated for any other."""
        digest = tokens.digest(code)
        for user_id, pending in list(self._pending.items()):
            if pending.ends <= time.monotonic():
                del self._pending[user_id]
            elif hmac.compare_digest(pending.digest, digest):
                del self._pending[user_id]
                return user_id
        raise refused()

    def forget(self, changes: list[Change]) -> None:
        """Listen to the change feed: a code ends with the session, key or account that made it."""
        gone = {
            change.entity_id
            for change in changes
            if change.entity == "api_key" or (change.action == "delete" and change.entity in ("session", "user"))
        }
        if gone:
            for user_id, pending in list(self._pending.items()):
                if gone & {pending.who.session_id, pending.who.key_id, user_id}:
                    del self._pending[user_id]


def qr_code(link: str) -> str:
    """A QR code as a data URI of SVG, for an `<img>`. It takes some milliseconds: not on the event loop."""
    # 6 ms of import, when somebody pairs.
    import segno

    return segno.make(link, micro=False).svg_data_uri(border=4, dark="#000", light="#fff")


def refused() -> Unauthenticated:
    """The one answer to codes that are wrong, used, or too old."""
    return Unauthenticated(
        "This code is not valid any more. Each can be used once, within two minutes: show a new one on the device "
        "that is signed in.",
        code="invalid_pairing_code",
        headers={"WWW-Authenticate": "Bearer"},
    )


PAIRINGS = web.AppKey("pairings", Pairings)
