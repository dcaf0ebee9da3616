"""The storage in a directory: links, odd files, and disks that go away."""

# Each test has its loop for itself, and may block it.
# ruff: noqa: ASYNC240

import asyncio
import errno
import os
import resource
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tagline import errors
from tagline.storage.local import LocalStorage
from tagline.storage.provider import Absent, Away, Changed, Entry, Exists, Unreadable


@pytest.fixture
async def root(tmp_path: Path) -> Path:
    (tmp_path / "library").mkdir()
    return tmp_path / "library"


@pytest.fixture
async def storage(root: Path) -> LocalStorage:
    opened = LocalStorage(root)
    await opened.check()
    return opened


@pytest.fixture
def plain_root() -> Iterator[Path]:
    """A library of a user who may not do everything, as root may."""
    root = Path(tempfile.mkdtemp())
    was = os.geteuid()
    if was == 0:
        os.chown(root, 65534, 65534)
        os.seteuid(65534)
    try:
        yield root
    finally:
        if was == 0:
            os.seteuid(0)
        for directory in root.rglob("*"):
            directory.chmod(0o700)
        shutil.rmtree(root)


def put(path: Path, content: bytes = b"content") -> Path:
    """A file, with the directories it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def found(storage: LocalStorage) -> list[Entry | Unreadable]:
    return [one async for batch in storage.walk() for one in batch]


async def keys(storage: LocalStorage) -> list[str]:
    return [one.key for one in await found(storage) if isinstance(one, Entry)]


async def faults(storage: LocalStorage) -> list[tuple[str, str, bool]]:
    return [(o.path, o.code, o.is_directory) for o in await found(storage) if isinstance(o, Unreadable)]


def descriptors() -> set[str]:
    return {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if is_link(fd)}


def is_link(fd: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{fd}")


async def test_an_entry_is_what_stat_says(root: Path, storage: LocalStorage) -> None:
    seen = put(root / "a.jpg").stat()
    assert await found(storage) == [Entry("a.jpg", seen.st_size, seen.st_mtime_ns, seen.st_ino)]
    assert storage.path("a.jpg") == root / "a.jpg"


async def test_a_stored_file_has_the_rights_of_ordinary_files(root: Path, storage: LocalStorage) -> None:
    await storage.store("a", pieces(b"x"))
    put(root / "b")
    assert (root / "a").stat().st_mode == (root / "b").stat().st_mode


async def test_links_out_of_the_library_are_not_followed(root: Path, storage: LocalStorage) -> None:
    outside = put(root.parent / "outside/secret.jpg")
    (root / "file.jpg").symlink_to(outside)
    (root / "folder").symlink_to(outside.parent)
    (root / "up").symlink_to("..")
    assert await found(storage) == []
    for key in ("file.jpg", "folder/secret.jpg", "up/outside/secret.jpg", "folder", "up"):
        assert await storage.stat(key) is None
        with pytest.raises(Absent):
            await storage.open(key)
    for key in ("file.jpg", "folder/new.jpg"):
        with pytest.raises(Exists):
            await storage.store(key, pieces(b"new"))
    await storage.store("file.jpg", pieces(b"new"), overwrite=True)
    await storage.delete("folder/secret.jpg")
    assert outside.read_bytes() == b"content"
    assert os.listdir(outside.parent) == ["secret.jpg"]


async def test_a_link_to_a_file_inside_is_followed(root: Path, storage: LocalStorage) -> None:
    put(root / "a/real.jpg")
    (root / "link.jpg").symlink_to("a/real.jpg")
    (root / "chain.jpg").symlink_to("link.jpg")
    assert await keys(storage) == ["chain.jpg", "link.jpg", "a/real.jpg"]
    entry = await storage.stat("chain.jpg")
    assert entry in await found(storage)
    async with await storage.open("chain.jpg") as opened:
        assert opened.file.read() == b"content"
        assert opened.entry == entry
    await storage.delete("chain.jpg")
    assert await keys(storage) == ["link.jpg", "a/real.jpg"]


async def test_links_that_lead_nowhere_or_in_circles_are_passed_over(root: Path, storage: LocalStorage) -> None:
    (root / "gone").symlink_to("nowhere")
    (root / "self").symlink_to("self")
    (root / "round").symlink_to(".")
    (root / "x").symlink_to("y")
    (root / "y").symlink_to("x")
    assert await found(storage) == []
    for key in ("gone", "self", "round", "x"):
        with pytest.raises(Absent):
            await storage.open(key)


async def test_the_root_itself_may_be_a_link(root: Path) -> None:
    put(root / "a/b.jpg")
    (root.parent / "link").symlink_to(root)
    storage = LocalStorage(root.parent / "link")
    await storage.check()
    (root / "c.jpg").symlink_to("a/b.jpg")
    assert await keys(storage) == ["c.jpg", "a/b.jpg"]
    await (await storage.open("c.jpg")).close()


async def test_pipes_sockets_and_devices_are_never_opened(root: Path, storage: LocalStorage) -> None:
    os.mkfifo(root / "pipe.jpg")
    (root / "to_pipe.jpg").symlink_to("pipe.jpg")
    (root / "null.jpg").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket.jpg"))
        assert await found(storage) == []
        for key in ("pipe.jpg", "to_pipe.jpg", "null.jpg", "socket.jpg"):
            assert await storage.stat(key) is None
            with pytest.raises(Absent):
                await storage.open(key)
            await storage.delete(key)
    assert (root / "pipe.jpg").exists()


async def test_names_that_cannot_be_keys_are_told(root: Path, storage: LocalStorage) -> None:
    for name in (b"\xff.jpg", b"new\nline.jpg", b"back\\slash.jpg"):
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).touch()
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9")).mkdir()
    assert set(await faults(storage)) == {
        ("back\\slash.jpg", "name_not_usable", False),
        ("caf\\xe9", "name_not_utf8", True),
        ("new\\x0aline.jpg", "name_not_usable", False),
        ("\\xff.jpg", "name_not_utf8", False),
    }


async def test_a_path_that_is_too_long_is_told(root: Path, storage: LocalStorage) -> None:
    directory = os.open(root, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("x" * 200, dir_fd=directory)
        below = os.open("x" * 200, os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    os.close(directory)
    put(root / "a.jpg")
    entry, fault = await found(storage)
    assert isinstance(entry, Entry)
    assert isinstance(fault, Unreadable)
    assert (fault.code, fault.is_directory) == ("not_readable", True)


async def test_a_directory_that_may_not_be_read_is_told_and_the_walk_goes_on(plain_root: Path) -> None:
    put(plain_root / "a/1.jpg")
    put(plain_root / "b/2.jpg")
    put(plain_root / "c/3.jpg")
    (plain_root / "a").chmod(0)
    (plain_root / "b").chmod(0o400)
    storage = LocalStorage(plain_root)
    await storage.check()
    assert await keys(storage) == ["c/3.jpg"]
    assert await faults(storage) == [("a", "not_readable", True), ("b/2.jpg", "not_readable", False)]
    with pytest.raises(errors.Unavailable) as refused:
        await storage.open("a/1.jpg")
    assert refused.value.code == "not_readable"


async def test_a_directory_whose_ignore_file_may_not_be_read_is_not_shown(plain_root: Path) -> None:
    put(plain_root / "a/1.jpg")
    put(plain_root / "a/.taglineignore").chmod(0)
    assert await found(storage := LocalStorage(plain_root)) == [
        Unreadable("a", "not_readable", "Permission denied", True)
    ]
    assert await storage.present()


async def test_a_library_that_may_not_be_written_says_so(plain_root: Path) -> None:
    put(plain_root / "a")
    plain_root.chmod(0o500)
    storage = LocalStorage(plain_root)
    await storage.check()
    assert not storage.writable
    for call in (storage.store("b", pieces(b"")), storage.delete("a")):
        with pytest.raises(errors.Unavailable) as refused:
            await call
        assert refused.value.code == "storage_read_only"
    plain_root.chmod(0o700)
    await storage.check()
    assert storage.writable


async def test_a_library_that_cannot_be_used_is_told_at_start(plain_root: Path) -> None:
    put(plain_root / "file")
    wrong = plain_root / "closed"
    wrong.mkdir(mode=0)
    entered = plain_root / "listed"
    entered.mkdir(mode=0o400)
    for root, why in [
        (plain_root / "nowhere", "does not exist"),
        (plain_root / "file", "is not a directory"),
        (wrong, "may not read"),
        (entered, "may not enter"),
    ]:
        with pytest.raises(errors.Unavailable, match=why) as refused:
            await LocalStorage(root).check()
        assert refused.value.code == "storage_unavailable"
        assert str(root) in refused.value.detail


async def test_a_root_that_has_gone_is_away_not_empty(root: Path, storage: LocalStorage) -> None:
    put(root / "a.jpg")
    root.rename(root.parent / "elsewhere")
    assert not await storage.present()
    for call in (
        storage.stat("a.jpg"),
        storage.open("a.jpg"),
        storage.store("b", pieces(b"")),
        found(storage),
    ):
        with pytest.raises(Away):
            await call
    with pytest.raises(Away):
        await storage.delete("a.jpg")
    assert not root.exists()
    (root.parent / "elsewhere").rename(root)
    assert await keys(storage) == ["a.jpg"]


async def test_a_bare_mount_point_is_away_not_empty(root: Path, storage: LocalStorage) -> None:
    put(root / "a.jpg")
    assert await storage.present()
    root.rename(root.parent / "disk")
    root.mkdir()
    assert not await storage.present()
    for call in (
        storage.stat("a.jpg"),
        storage.open("a.jpg"),
        storage.store("b", pieces(b"")),
        found(storage),
    ):
        with pytest.raises(Away):
            await call
    root.rmdir()
    (root.parent / "disk").rename(root)
    (root / "a.jpg").unlink()
    assert await storage.present()
    assert await found(storage) == []


async def test_a_root_that_goes_while_it_is_walked_breaks_the_walk_off(root: Path, storage: LocalStorage) -> None:
    for n in range(1100):
        put(root / f"a/{n}")
    put(root / "b/1")
    walk = storage.walk()
    assert len(await anext(walk)) == 1000
    root.rename(root.parent / "elsewhere")
    with pytest.raises(Away):
        _ = [batch async for batch in walk]


async def test_a_root_exchanged_while_it_is_walked_breaks_the_walk_off(root: Path, storage: LocalStorage) -> None:
    for n in range(1100):
        put(root / f"a/{n}")
    put(root / "b/1")
    walk = storage.walk()
    await anext(walk)
    root.rename(root.parent / "elsewhere")
    put(root / "c/other")
    with pytest.raises(Away):
        _ = [batch async for batch in walk]


async def test_a_directory_that_vanishes_while_walking_is_passed_over(root: Path, storage: LocalStorage) -> None:
    for n in range(1000):
        put(root / f"a/{n}")
    put(root / "b/1")
    put(root / "c/1")
    walk = storage.walk()
    await anext(walk)
    shutil.rmtree(root / "b")
    assert [one.key for batch in [b async for b in walk] for one in batch if isinstance(one, Entry)] == ["c/1"]


async def test_large_directories_come_in_order(root: Path, storage: LocalStorage) -> None:
    for n in range(9000):
        (root / f"{n * 7919 % 9000:05}").touch()
    assert await keys(storage) == [f"{n:05}" for n in range(9000)]


async def test_a_walk_that_is_left_or_cancelled_leaves_nothing_open(root: Path, storage: LocalStorage) -> None:
    for n in range(2500):
        (root / str(n)).touch()
    walk = storage.walk()
    await anext(walk)
    waiting = asyncio.ensure_future(anext(walk))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    # The error of the cancelled task holds the frames, and they the walk.
    del walk, waiting
    assert len(await keys(storage)) == 2500
    assert str(root) not in descriptors()


async def test_a_full_disk_is_told_and_leaves_nothing(root: Path, storage: LocalStorage) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(errors.DiskFull):
            await storage.store("a/b", pieces(b"x" * 99_999, b"y" * 10))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(root / "a") == []


async def test_a_name_the_disk_does_not_take_is_invalid(root: Path, storage: LocalStorage) -> None:
    with pytest.raises(errors.Invalid):
        await storage.store("/".join(["x" * 200] * 5) + "/" + "y" * 256, pieces(b""))


async def test_without_hard_links_nothing_is_overwritten_either(
    root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refusing)
    await storage.store("a", pieces(b"first"))
    with pytest.raises(Exists):
        await storage.store("a", pieces(b"second"))
    assert (root / "a").read_bytes() == b"first"
    assert os.listdir(root) == ["a"]


async def test_a_disk_that_answers_with_input_output_errors_is_away() -> None:
    # Reading a process's memory at address 0 is a true EIO.
    storage = LocalStorage(Path("/proc/self"))
    async with await storage.open("mem") as opened:
        with pytest.raises(Away):
            await opened.read([(0, 1)])


async def test_a_file_written_to_after_opening_is_changed(root: Path, storage: LocalStorage) -> None:
    path = put(root / "a", b"0123456789")
    async with await storage.open("a") as opened:
        with path.open("r+b") as writing:
            writing.write(b"x")
        assert await opened.has_changed()
        with pytest.raises(Changed):
            await opened.read([(0, 1)])


async def test_a_write_that_hides_behind_its_old_time_is_seen(root: Path, storage: LocalStorage) -> None:
    path = put(root / "a", b"0123456789")
    times = path.stat()
    async with await storage.open("a") as opened:
        path.write_bytes(b"9876543210")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert path.stat().st_mtime_ns == times.st_mtime_ns
        assert await opened.has_changed()


async def test_a_file_that_was_just_written_is_opened_once_a_further_write_would_show(
    root: Path, storage: LocalStorage
) -> None:
    for prefetch in (0, 100):
        path = put(root / f"a{prefetch}", b"x" * 50)
        async with await storage.open(path.name, prefetch=prefetch):
            assert time.time_ns() - path.stat().st_ctime_ns >= 20_000_000


async def test_a_file_that_gets_shorter_is_changed_not_padded(root: Path, storage: LocalStorage) -> None:
    path = put(root / "a", b"0123456789")
    async with await storage.open("a") as opened:
        os.truncate(path, 3)
        with pytest.raises(Changed):
            await opened.read([(0, 10)])


async def test_a_cancelled_opening_leaves_nothing_open(root: Path, storage: LocalStorage) -> None:
    path = put(root / "a")
    for turns in range(4):
        opening = asyncio.create_task(storage.open("a"))
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
    storage._threads.shutdown()
    assert str(path) not in descriptors()
