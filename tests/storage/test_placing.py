"""What has arrived gets its place in the library, whole and never over something else; with every provider."""

# Each test has its loop for itself, and may block it.

import asyncio
import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagline import errors
from tagline.storage.local import LocalStorage
from tagline.storage.memory import MemoryStorage
from tagline.storage.provider import Absent, Away, Entry, Exists, Storage
from tests.storage.test_local import descriptors
from tests.storage.test_storage import content, keys, put

MTIME = 1_700_000_000_123_456_789
NAMES = ["a.jpg", "2024/07/Bäume im Föhn.jpg", "🎄/👨‍👩‍👧 Weihnachten.heic", "x" * 255]


@pytest.fixture(params=["local", "no links", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    if request.param == "memory":
        return MemoryStorage()
    if request.param == "no links":
        monkeypatch.setattr(os, "link", no_links)
    return local(tmp_path)


def no_links(*_: object, **__: object) -> None:
    """What FAT and exFAT say."""
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def local(tmp_path: Path) -> LocalStorage:
    (tmp_path / "library").mkdir()
    return LocalStorage(tmp_path / "library")


async def arrived(storage: Storage, tmp_path: Path, text: bytes = b"arrived") -> Path:
    """A file that has come in, as private as the folder it lies in."""
    return part(await storage.incoming() or tmp_path, text)


def part(folder: Path, text: bytes = b"arrived") -> Path:
    path = folder / "part"
    path.write_bytes(text)
    path.chmod(0o600)
    os.utime(path, ns=(MTIME, MTIME))
    return path


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder on another file system than the tests' own, where the machine has one."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder)


@pytest.mark.parametrize("key", NAMES)
async def test_an_adopted_file_is_there_as_old_as_it_was(storage: Storage, tmp_path: Path, key: str) -> None:
    entry = await storage.adopt(await arrived(storage, tmp_path), key)
    assert (entry.key, entry.size, entry.mtime_ns) == (key, 7, MTIME)
    assert await storage.stat(key) == entry
    assert await keys(storage) == [key]
    assert await content(storage, key) == b"arrived"


async def test_adopting_overwrites_nothing(storage: Storage, tmp_path: Path) -> None:
    await put(storage, "a/b")
    source = await arrived(storage, tmp_path)
    for key in ("a/b", "a", "a/b/c"):
        with pytest.raises(Exists):
            await storage.adopt(source, key)
    assert source.read_bytes() == b"arrived"
    assert await keys(storage) == ["a/b"]
    assert await content(storage, "a/b") == b"a/b"


@pytest.mark.parametrize("key", NAMES)
async def test_what_is_given_back_is_where_it_was(storage: Storage, tmp_path: Path, key: str) -> None:
    source = await arrived(storage, tmp_path)
    await storage.adopt(source, key)
    await storage.give_back(source, key)
    assert await keys(storage) == []
    assert source.read_bytes() == b"arrived"
    await storage.give_back(source, key)
    await storage.give_back(source, "never/there")
    assert source.exists()
    await storage.adopt(source, key)
    source.unlink(missing_ok=True)
    await storage.give_back(source, key)
    assert await keys(storage) == []
    assert source.read_bytes() == b"arrived"
    assert source.stat().st_mtime_ns == MTIME


async def test_giving_back_touches_no_folder(storage: Storage, tmp_path: Path) -> None:
    await put(storage, "a/b")
    source = await arrived(storage, tmp_path)
    for key in ("a", "a/b/c"):
        await storage.give_back(source, key)
    assert await keys(storage) == ["a/b"]


async def test_a_source_that_is_gone_is_absent(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(Absent):
        await storage.adopt(tmp_path / "nowhere", "a")
    assert await keys(storage) == []


@pytest.mark.parametrize("key", ["", "/a", "../a", "a/", "a\0"])
async def test_a_file_is_adopted_under_a_key_only(storage: Storage, tmp_path: Path, key: str) -> None:
    source = await arrived(storage, tmp_path)
    with pytest.raises(errors.Invalid):
        await storage.adopt(source, key)
    with pytest.raises(errors.Invalid):
        await storage.give_back(source, key)
    assert source.exists()


async def test_the_incoming_folder_is_private_and_hidden(tmp_path: Path) -> None:
    storage = local(tmp_path)
    folder = await storage.incoming()
    assert folder == tmp_path / "library/.tagline-incoming"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    part(folder)
    assert await storage.incoming() == folder
    assert (folder / "part").exists()
    assert await keys(storage) == []
    assert await storage.list("") == []
    assert await MemoryStorage().incoming() is None


async def test_the_incoming_folder_is_no_link(tmp_path: Path) -> None:
    storage = local(tmp_path)
    (tmp_path / "outside").mkdir()
    (tmp_path / "library/.tagline-incoming").symlink_to(tmp_path / "outside")
    with pytest.raises(errors.Unavailable, match="move it away") as refused:
        await storage.incoming()
    assert refused.value.code == "storage_read_only"


async def test_an_incoming_folder_fills_no_bare_mount_point(tmp_path: Path) -> None:
    """An upload that began while the disk was unplugged must not make its mount point look like a library."""
    storage = local(tmp_path)
    root = tmp_path / "library"
    await storage.check()
    await storage.incoming()
    root.rename(tmp_path / "mount point")
    root.mkdir()
    await put(storage, "a.jpg")
    assert await storage.present()
    root.rename(tmp_path / "disk")
    (tmp_path / "mount point").rename(root)
    assert not await storage.present()
    with pytest.raises(Away):
        await storage.incoming()


async def test_an_adopted_file_is_the_same_with_the_rights_of_ordinary_files(tmp_path: Path) -> None:
    storage = local(tmp_path)
    source = await arrived(storage, tmp_path)
    entry = await storage.adopt(source, "2024/a")
    await put(storage, "2024/b")
    a, b = (tmp_path / "library/2024" / name for name in "ab")
    assert a.samefile(source)
    assert entry == Entry("2024/a", 7, a.stat().st_mtime_ns, a.stat().st_ino)
    assert a.stat().st_mode == b.stat().st_mode
    assert sorted(os.listdir(a.parent)) == ["a", "b"]


async def test_an_adopted_file_has_the_group_of_its_folder(tmp_path: Path) -> None:
    storage = local(tmp_path)
    folder = tmp_path / "library/shared"
    folder.mkdir()
    group = max(os.getgroups(), default=os.getgid()) if os.geteuid() else 65534
    os.chown(folder, -1, group)
    folder.chmod(0o2775)
    await storage.adopt(await arrived(storage, tmp_path), "shared/a")
    await put(storage, "shared/b")
    assert (folder / "a").stat().st_gid == (folder / "b").stat().st_gid == group


async def test_without_links_the_file_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", no_links)
    storage = local(tmp_path)
    source = await arrived(storage, tmp_path)
    inode = source.stat().st_ino
    assert (await storage.adopt(source, "a")).inode == inode
    assert not source.exists()
    assert sorted(os.listdir(tmp_path / "library")) == [".tagline-incoming", "a"]


async def test_a_file_on_another_disk_is_copied(tmp_path: Path, elsewhere: Path) -> None:
    storage = local(tmp_path)
    source = part(elsewhere, os.urandom(3_000_000))
    entry = await storage.adopt(source, "2024/ä.jpg")
    assert (entry.size, entry.mtime_ns) == (3_000_000, MTIME)
    assert await content(storage, "2024/ä.jpg") == source.read_bytes()
    assert await storage.stat("2024/ä.jpg") == entry
    await put(storage, "2024/b")
    a, b = (tmp_path / "library/2024" / name for name in ("ä.jpg", "b"))
    assert a.stat().st_mode == b.stat().st_mode
    with pytest.raises(Exists):
        await storage.adopt(source, "2024/b")
    await storage.give_back(source, "2024/ä.jpg")
    assert source.stat().st_size == 3_000_000
    assert os.listdir(tmp_path / "library/2024") == ["b"]


async def test_what_is_no_file_is_not_adopted(tmp_path: Path) -> None:
    storage = local(tmp_path)
    incoming = await storage.incoming()
    assert incoming
    os.mkfifo(incoming / "pipe")
    (incoming / "link").symlink_to(part(tmp_path))
    for source in (incoming, incoming / "pipe"):
        with pytest.raises(Absent):
            await storage.adopt(source, "a")
    with pytest.raises(Exists):
        await storage.adopt(incoming / "link", "a")
    assert await keys(storage) == []


async def test_adopting_follows_no_link_out_of_the_library(tmp_path: Path) -> None:
    storage = local(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_bytes(b"theirs")
    (tmp_path / "library/folder").symlink_to(outside)
    (tmp_path / "library/a").symlink_to(outside / "a")
    (tmp_path / "library/dangling").symlink_to(outside / "new")
    source = await arrived(storage, tmp_path)
    for key in ("folder/new", "folder/a", "a", "dangling"):
        with pytest.raises(Exists):
            await storage.adopt(source, key)
        await storage.give_back(source, key)
    assert os.listdir(outside) == ["a"]
    assert (outside / "a").read_bytes() == b"theirs"
    assert (tmp_path / "library/a").is_symlink()


async def test_after_a_cancelled_adoption_nothing_happens_any_more(tmp_path: Path, elsewhere: Path) -> None:
    storage = local(tmp_path)
    for turns in range(12):
        for source in (await arrived(storage, tmp_path), part(elsewhere, b"x" * 2_000_000)):
            adopting = asyncio.create_task(storage.adopt(source, "a"))
            for _ in range(turns):
                await asyncio.sleep(0)
            adopting.cancel()
            await asyncio.gather(adopting, return_exceptions=True)
            await storage.give_back(source, "a")
            assert source.exists()
    storage._threads.shutdown()
    assert os.listdir(tmp_path / "library") == [".tagline-incoming"]
    assert not {path for path in descriptors() if path.startswith((str(tmp_path), str(elsewhere)))}
