"""What was counted in the library, kept until a photo changes: the pages of one list share one total."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

from aiohttp import web

from tagline.changes import Change

T = TypeVar("T")

MOST = 256


class Memo:
    """Results by key. One whose computing began before a change is not kept after it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._state = 0

    async def get(self, key: Hashable, compute: Callable[[], Awaitable[T]]) -> T:
        """What `compute` gave for this key since the last change, or gives now."""
        if key in self._kept:
            found: T = self._kept[key]
            return found
        state = self._state
        computed = await compute()
        if state == self._state:
            self._kept[key] = computed
            if len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return computed

    def forget(self, changes: list[Change]) -> None:
        """Listen to the change feed."""
        if any(change.entity == "photo" for change in changes):
            self._state += 1
            self._kept.clear()


MEMO = web.AppKey("memo", Memo)
