"""What a phone sends that was away: edits, and what became of them."""

import uuid
from typing import Any

from tests.house import Client, House
from tests.photos.library import add_photos

AT = "2026-11-20T08:00:00.000000Z"


def edit(photo_id: str, base: int, **fields: Any) -> dict[str, Any]:
    """An edit of a photo as it was in version `base`."""
    return {"edit_id": str(uuid.uuid4()), "photo_id": photo_id, "base_version": base, "edited_at": AT, **fields}


async def send(client: Client, *edits: Any) -> list[Any]:
    """Send edits; gives their results."""
    answer = await client.post("/api/sync/edits", {"edits": edits})
    assert answer.status == 200, answer
    results: list[Any] = answer.json["results"]
    assert len(results) == len(edits)
    return results


async def new_photo(house: House, **known: Any) -> str:
    """A photo in version 1."""
    [photo_id] = await add_photos(house, [{"key": f"{uuid.uuid4()}.jpg", **known}])
    return photo_id


async def history(client: Client, photo_id: str) -> list[tuple[int, str, str, bool]]:
    """Version, line, origin, and whether it is the current one."""
    items = (await client.get(f"/photos/{photo_id}/history")).json["items"]
    return [(line["version"], line["description"], line["origin"], line["current"]) for line in items]
