"""The storage in memory can be unplugged."""

from collections.abc import AsyncIterator

import pytest

from tagline import errors
from tagline.storage.memory import MemoryStorage


async def nothing() -> AsyncIterator[bytes]:
    yield b""


async def test_an_unplugged_storage_answers_nothing_and_is_whole_when_it_is_back() -> None:
    storage = MemoryStorage()
    await storage.store("a", nothing())
    storage.away = True
    assert not await storage.present()
    with pytest.raises(errors.Unavailable, match="plugged in") as away:
        await storage.check()
    assert away.value.code == "storage_unavailable"
    for call in (storage.stat("a"), storage.open("a"), storage.store("b", nothing()), storage.delete("a")):
        with pytest.raises(errors.Unavailable):
            await call
    with pytest.raises(errors.Unavailable):
        _ = [batch async for batch in storage.walk()]
    storage.away = False
    assert await storage.stat("a") is not None


async def test_a_storage_unplugged_during_a_walk_breaks_it_off() -> None:
    storage = MemoryStorage()
    await storage.store("a", nothing())
    walk = storage.walk()
    await anext(walk)
    storage.away = True
    with pytest.raises(errors.Unavailable):
        await anext(walk)
    assert storage.path("a") is None
