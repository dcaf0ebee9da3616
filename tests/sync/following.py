"""What a client does that follows the feed: it keeps a state of its own, page by page."""

from base64 import urlsafe_b64encode
from typing import Any

import msgspec

from tests.house import Answer, Client


class Follower:
    """Somebody's copy of the library, made from the feed alone."""

    def __init__(self, client: Client, limit: int = 1000) -> None:
        self._client = client
        self._limit = limit
        self.cursor: str | None = None
        self.items: dict[str, Any] = {}
        # Every change that was told, in order.
        self.told: list[Any] = []

    async def ask(self, **query: Any) -> Answer:
        """One page, which is not taken in."""
        asked = {"limit": self._limit, **({"cursor": self.cursor} if self.cursor else {}), **query}
        return await self._client.get("/api/sync/changes", params=asked)

    async def read(self, **query: Any) -> bool:
        """Take one page in; whether there is more."""
        answer = await self.ask(**query)
        assert answer.status == 200, answer
        page = answer.json
        for change in page["changes"]:
            self.told.append(change)
            if change["action"] == "delete":
                assert change["data"] is None
                self.items.pop(change["entity_id"], None)
            else:
                assert change["data"]["id"] == change["entity_id"]
                self.items[change["entity_id"]] = change["data"]
        ids = [change["entity_id"] for change in page["changes"]]
        assert len(ids) == len(set(ids)) <= self._limit, "each thing once"
        self.cursor = page["cursor"]
        assert isinstance(page["has_more"], bool)
        return bool(page["has_more"])

    async def catch_up(self) -> list[Any]:
        """Read to the end; gives what was told on the way."""
        before = len(self.told)
        while await self.read():
            pass
        return self.told[before:]

    async def check(self) -> None:
        """What it has is what the server has."""
        for photo_id, item in self.items.items():
            assert (await self._client.get(f"/photos/{photo_id}")).json == item


def actions(changes: list[Any]) -> list[tuple[str, str]]:
    """What was told, in short."""
    return [(change["action"], change["entity_id"]) for change in changes]


def cursor_of(*parts: Any) -> str:
    """A cursor that was made by hand."""
    return urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")
