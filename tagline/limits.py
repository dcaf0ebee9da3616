"""Rate limits: token buckets in memory, one a client, bounded in number."""

import time
from collections import OrderedDict
from math import ceil

import msgspec

from tagline.errors import TooMany

# The oldest bucket goes when there are more; who has not been seen for so long has a full one anyway.
MAX_BUCKETS = 10_000


class Left(msgspec.Struct, frozen=True):
    """What a client may still do: for the RateLimit headers. `reset` in seconds."""

    limit: int
    remaining: int
    reset: int


class Buckets:
    """`limit` tokens a client, refilled evenly over `seconds`."""

    def __init__(self, limit: int, seconds: float, refusal: str) -> None:
        self.limit = limit
        self._seconds = seconds
        self._rate = limit / seconds
        self._refusal = refusal
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> Left:
        """Take a token; raises TooMany, saying when there will be one."""
        now = time.monotonic()
        tokens, since = self._buckets.pop(client, (float(self.limit), now))
        tokens = min(float(self.limit), tokens + (now - since) * self._rate)
        if tokens < 1:
            self._keep(client, tokens, now)
            wait, full = max(1, ceil((1 - tokens) / self._rate)), ceil((self.limit - tokens) / self._rate)
            raise TooMany(self._refusal, retry_after=wait, limit=self.limit, reset=full)
        self._keep(client, tokens - 1, now)
        return Left(self.limit, int(tokens - 1), ceil((self.limit - tokens + 1) / self._rate))

    def give_back(self, client: str) -> None:
        """Undo one `take`: only failures count at sign-in."""
        if client in self._buckets:
            tokens, since = self._buckets[client]
            self._buckets[client] = (tokens + 1, since)

    def _keep(self, client: str, tokens: float, now: float) -> None:
        self._buckets[client] = (tokens, now)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
