"""Ignored: what a `.taglineignore` tells scans to pass over. Nobody may put it there: the next would miss it."""

import asyncio

from tagline.api import JSON_LIMIT
from tagline.storage.ignoring import IGNORE_FILE, Ignored, read_patterns
from tagline.storage.provider import Storage


async def is_ignored(storage: Storage, key: str) -> bool:
    """Whether a `.taglineignore` leaves out what is, or would be, at a key."""
    ignored: Ignored | None = None
    reached = ""
    for part in key.split("/"):
        if await storage.stat(reached + IGNORE_FILE):
            async with await storage.open(reached + IGNORE_FILE) as opened:
                [text] = await opened.read([(0, min(opened.entry.size, JSON_LIMIT))])
            words = text.decode("utf-8", "replace")
            ignored, _ = await asyncio.to_thread(read_patterns, ignored, reached, words)
        reached += part
        if ignored and ignored.names(reached if reached == key else f"{reached}/"):
            return True
        reached += "/"
    return False
