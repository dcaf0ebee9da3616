"""The contract of every storage, run over each provider."""

# Each test has its loop for itself, and may block it.
# ruff: noqa: ASYNC240

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tagline import errors
from tagline.storage.opening import open_storage
from tagline.storage.provider import Absent, Entry, Exists, Storage, Unreadable


@pytest.fixture(params=["local", "memory"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    opened = open_storage(request.param, tmp_path)
    await opened.check()
    return opened


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def put(storage: Storage, *keys: str) -> None:
    for key in keys:
        await storage.store(key, pieces(key.encode()))


async def found(storage: Storage) -> list[Entry | Unreadable]:
    return [one async for batch in storage.walk() for one in batch]


async def keys(storage: Storage) -> list[str]:
    return [one.key for one in await found(storage) if isinstance(one, Entry)]


async def content(storage: Storage, key: str) -> bytes:
    async with await storage.open(key) as opened:
        return opened.file.read()


async def test_what_was_stored_is_there_as_it_was(storage: Storage) -> None:
    entry = await storage.store("2024/07/a.jpg", pieces(b"one", b"", b"two"))
    assert (entry.key, entry.size) == ("2024/07/a.jpg", 6)
    assert await storage.stat("2024/07/a.jpg") == entry
    assert await content(storage, "2024/07/a.jpg") == b"onetwo"
    assert await found(storage) == [entry]


async def test_an_open_file_tells_its_entry_and_gives_parts(storage: Storage) -> None:
    entry = await storage.store("a", pieces(b"0123456789"))
    async with await storage.open("a") as opened:
        assert opened.entry == entry
        assert await opened.read([(0, 2), (8, 2)]) == [b"01", b"89"]
        assert not await opened.has_changed()
    assert opened.file.closed


async def test_a_small_file_is_read_while_it_is_opened(storage: Storage) -> None:
    await put(storage, "a")
    async with await storage.open("a", prefetch=100) as opened:
        assert opened.content == b"a"
        assert opened.file.read() == b"a"
        assert await opened.read([(0, 1)]) == [b"a"]


async def test_an_empty_file_is_a_file(storage: Storage) -> None:
    assert (await storage.store("empty", pieces())).size == 0
    assert await content(storage, "empty") == b""


async def test_a_file_that_is_not_there_is_absent(storage: Storage) -> None:
    await put(storage, "folder/a")
    for key in ("b", "folder", "folder/b", "folder/a/b"):
        assert await storage.stat(key) is None
        with pytest.raises(Absent):
            await storage.open(key)
        await storage.delete(key)
    assert await keys(storage) == ["folder/a"]


async def test_nothing_is_overwritten_unasked(storage: Storage) -> None:
    await put(storage, "a/b")
    for key in ("a/b", "a", "a/b/c"):
        with pytest.raises(Exists):
            await storage.store(key, pieces(b"new"))
    assert await content(storage, "a/b") == b"a/b"
    entry = await storage.store("a/b", pieces(b"new"), overwrite=True)
    assert await content(storage, "a/b") == b"new"
    assert await found(storage) == [entry]


async def test_only_one_of_many_storing_at_once_wins(storage: Storage) -> None:
    storing = [storage.store("a", pieces(bytes([n]) * 10)) for n in range(10)]
    done = await asyncio.gather(*storing, return_exceptions=True)
    assert sum(isinstance(one, Entry) for one in done) == 1
    assert sum(isinstance(one, Exists) for one in done) == 9
    assert len(set(await content(storage, "a"))) == 1


async def test_an_upload_that_breaks_off_leaves_nothing(storage: Storage, tmp_path: Path) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await storage.store("a", breaking())
    assert await keys(storage) == []
    assert list(tmp_path.iterdir()) == []


async def test_a_cancelled_upload_leaves_nothing(storage: Storage, tmp_path: Path) -> None:
    began = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"half"
        began.set()
        await asyncio.Event().wait()

    storing = asyncio.create_task(storage.store("a", endless()))
    await began.wait()
    storing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await storing
    assert await keys(storage) == []
    assert list(tmp_path.iterdir()) == []


async def test_what_was_deleted_is_gone(storage: Storage) -> None:
    await put(storage, "a", "b")
    await storage.delete("a")
    await storage.delete("a")
    assert await keys(storage) == ["b"]


async def test_a_deleted_or_replaced_file_can_still_be_read_by_who_has_it_open(storage: Storage) -> None:
    await put(storage, "a", "b")
    async with await storage.open("a") as first, await storage.open("b") as second:
        await storage.delete("a")
        await storage.store("b", pieces(b"new"), overwrite=True)
        assert await first.read([(0, 1)]) == [b"a"]
        assert await second.read([(0, 1)]) == [b"b"]


async def test_the_walk_goes_files_first_and_by_name(storage: Storage) -> None:
    await put(storage, "z", "a/z", "a/b/c", "a/a", "b", "a.jpg", "B/x", "ä/1")
    assert await keys(storage) == ["a.jpg", "b", "z", "B/x", "a/a", "a/z", "a/b/c", "ä/1"]


async def test_the_walk_passes_over_what_is_hidden_temporary_or_a_machines_own(storage: Storage) -> None:
    await put(storage, "a.jpg", ".hidden", ".git/a.jpg", "@eaDir/a.jpg", "x/.thumbnails/a.jpg", "#recycle/a.jpg")
    await put(storage, "x/Thumbs.db", "a.jpg.part", "b.crdownload", "c.tmp", "~lock", "lost+found/a.jpg")
    assert await keys(storage) == ["a.jpg"]


async def test_the_walk_passes_over_what_an_ignore_file_names(storage: Storage) -> None:
    await put(storage, "a.jpg", "a.png", "raw/1.jpg", "x/raw/2.jpg", "x/b.png", "x/c.jpg", "x/keep/d.png", "y/c.jpg")
    await storage.store(".taglineignore", pieces(b"# notes\n/raw/\n*.png\n"))
    await storage.store("x/.taglineignore", pieces(b"/c.jpg\n!keep/*.png\n"))
    assert await keys(storage) == ["a.jpg", "x/keep/d.png", "x/raw/2.jpg", "y/c.jpg"]


async def test_a_line_that_is_no_pattern_is_told_and_the_others_count(storage: Storage) -> None:
    await put(storage, "a.jpg", "a.png")
    await storage.store(".taglineignore", pieces(b"!\n*.png\n"))
    fault, entry = await found(storage)
    assert isinstance(fault, Unreadable)
    assert (fault.path, fault.code) == (".taglineignore", "ignore_file_invalid")
    assert isinstance(entry, Entry)
    assert entry.key == "a.jpg"


async def test_the_walk_comes_in_batches(storage: Storage) -> None:
    await asyncio.gather(*(storage.store(f"{n:04}", pieces()) for n in range(1001)))
    sizes = [len(batch) async for batch in storage.walk()]
    assert sizes == [1000, 1]


async def test_a_walk_can_be_left(storage: Storage) -> None:
    await put(storage, "a", "b/c")
    walk = storage.walk()
    await anext(walk)
    del walk
    assert await keys(storage) == ["a", "b/c"]


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../a", "a/../b", "a\0", "a\\b", "\udcff"])
async def test_no_method_takes_what_is_no_key(storage: Storage, key: str) -> None:
    with pytest.raises(errors.Invalid):
        await storage.stat(key)
    with pytest.raises(errors.Invalid):
        await storage.open(key)
    with pytest.raises(errors.Invalid):
        await storage.store(key, pieces(b""))
    with pytest.raises(errors.Invalid):
        await storage.delete(key)
    with pytest.raises(errors.Invalid):
        storage.path(key)


async def test_a_storage_that_is_there_says_so_even_when_it_is_empty(storage: Storage) -> None:
    assert await storage.present()
    assert storage.writable
    assert await keys(storage) == []


@pytest.mark.parametrize(("backend", "path"), [("floppy", Path("/tmp")), ("local", None), ("", None)])
def test_a_wrong_setting_is_told_by_its_name(backend: str, path: Path | None) -> None:
    with pytest.raises(errors.Invalid, match="PHOTO_STORAGE"):
        open_storage(backend, path)


def test_filesystem_is_another_word_for_local(tmp_path: Path) -> None:
    assert open_storage("filesystem", tmp_path).path("a/b") == tmp_path / "a" / "b"
