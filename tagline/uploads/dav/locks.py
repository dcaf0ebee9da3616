"""Locks (RFC 4918 §6): who may write where for how long. In memory: a restart ends them, as their time would.

A key is that of the library, without a slash at its end; "" is the library itself.
"""

import re
import time
import uuid
from collections.abc import Iterable
from html import escape

import msgspec

from tagline.errors import Problem, Unavailable
from tagline.uploads.dav import places

LONGEST_SECONDS = 3600
MOST_LOCKS = 1000
# Shared ones on the same thing: all are told of, with their owners, for each file in a folder.
MOST_TOGETHER = 16
# Characters of XML that say whose a lock is.
LONGEST_OWNER = 2_000
_SECONDS = re.compile(r"second-(\d{1,10})", re.IGNORECASE)


class Locked(Problem):
    """Somebody else, or another program of the same person, is writing there."""

    status = 423
    code = "locked"

    def __init__(self, key: str) -> None:
        super().__init__(
            f"{places.address(key, folder=False)} is locked. Send the lock's token in If, or wait until the lock ends."
        )
        self.key = key


class Lock(msgspec.Struct):
    """One lock. `deep` if all below is locked as well; `owner` is XML that the client wrote; `ends` is monotonic."""

    token: str
    key: str
    deep: bool
    exclusive: bool
    owner: str
    user_id: str
    seconds: int
    ends: float

    def covers(self, key: str) -> bool:
        """Whether what is at a key is locked by this."""
        return key == self.key or (self.deep and (not self.key or key.startswith(f"{self.key}/")))

    def described(self) -> str:
        """The element `activelock`."""
        left = max(0, round(self.ends - time.monotonic()))
        return (
            f"<D:activelock><D:locktype><D:write/></D:locktype>"
            f"<D:lockscope><D:{'exclusive' if self.exclusive else 'shared'}/></D:lockscope>"
            f"<D:depth>{'infinity' if self.deep else '0'}</D:depth>{self.owner}"
            f"<D:timeout>Second-{left}</D:timeout><D:locktoken><D:href>{self.token}</D:href></D:locktoken>"
            f"<D:lockroot><D:href>{escape(places.address(self.key, folder=False))}</D:href></D:lockroot></D:activelock>"
        )


class Locks:
    """All locks there are; those whose time is over are none."""

    def __init__(self) -> None:
        self._locks: dict[str, Lock] = {}

    def _live(self) -> Iterable[Lock]:
        if not self._locks:
            return ()
        now = time.monotonic()
        for token in [token for token, lock in self._locks.items() if lock.ends <= now]:
            del self._locks[token]
        return self._locks.values()

    def on(self, key: str) -> list[Lock]:
        """The locks on what is at a key, its own and those from above."""
        return [lock for lock in self._live() if lock.covers(key)]

    def below(self, key: str) -> list[Lock]:
        """The locks on what lies in a folder, at any depth."""
        return [lock for lock in self._live() if lock.key != key and lock.key.startswith(places.folder_key(key))]

    def blocking(self, key: str, *, deep: bool, exclusive: bool) -> list[Lock]:
        """The locks beside which a new one cannot be."""
        around = self.on(key) + (self.below(key) if deep else [])
        return [lock for lock in around if exclusive or lock.exclusive]

    def add(self, key: str, *, deep: bool, exclusive: bool, owner: str, user_id: str, seconds: int) -> Lock:
        """A new lock; raises Locked where another one is in its way, Unavailable where there are too many."""
        if blocking := self.blocking(key, deep=deep, exclusive=exclusive):
            raise Locked(blocking[0].key)
        around = self.on(key) + (self.below(key) if deep else [])
        if len(self._locks) >= MOST_LOCKS or len(around) >= MOST_TOGETHER:
            raise Unavailable("There are too many locks. Try again later.", code="too_many_locks", retry_after=60)
        token = f"urn:uuid:{uuid.uuid4()}"
        lock = Lock(token, key, deep, exclusive, owner, user_id, seconds, time.monotonic() + seconds)
        self._locks[token] = lock
        return lock

    def of(self, token: str) -> Lock | None:
        """The lock of a token."""
        return next((lock for lock in self._live() if lock.token == token), None)

    def refresh(self, lock: Lock, seconds: int) -> None:
        """Begin a lock's time anew."""
        lock.seconds, lock.ends = seconds, time.monotonic() + seconds

    def end(self, token: str) -> None:
        """Take a lock away."""
        self._locks.pop(token, None)

    def end_below(self, key: str) -> None:
        """What was at a key is there no more, and all below it: nor are the locks."""
        for lock in [lock for lock in self._live() if lock.key == key or lock.key.startswith(places.folder_key(key))]:
            del self._locks[lock.token]

    def check(self, key: str, tokens: frozenset[str], user_id: str, *, member: bool, deep: bool = False) -> None:
        """Raises Locked unless one may write at a key with the locks of `tokens`.

        `member`: something comes to the folder above, or goes from it. `deep`: all below is written as well.
        """
        self._check_one(self.on(key), tokens, user_id)
        if member:
            self._check_one(self.on(places.above(key)), tokens, user_id)
        if deep:
            for lock in self.below(key):
                self._check_one(self.on(lock.key), tokens, user_id)

    @staticmethod
    def _check_one(locks: list[Lock], tokens: frozenset[str], user_id: str) -> None:
        """Of several shared locks, one's own suffices."""
        if locks and not any(lock.token in tokens and lock.user_id == user_id for lock in locks):
            raise Locked(locks[0].key)


def seconds_of(header: str | None) -> int:
    """The time that `Timeout` asks for, at most an hour (RFC 4918 §10.7): the first that can be read."""
    for wanted in (header or "").split(","):
        if found := _SECONDS.fullmatch(wanted.strip()):
            return max(1, min(LONGEST_SECONDS, int(found[1])))
    return LONGEST_SECONDS
