"""Folders are listed, made, moved and removed, and nothing is overwritten; with every provider."""

# Each test has its loop for itself, and may block it.
# ruff: noqa: ASYNC240

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tagline import errors
from tagline.storage.local import LocalStorage
from tagline.storage.memory import MemoryStorage
from tagline.storage.provider import Absent, Away, Entry, Exists, Folder, Storage
from tests.storage.test_local import plain_root
from tests.storage.test_placing import local, storage
from tests.storage.test_storage import content, keys, pieces, put

__all__ = ["plain_root", "storage"]


async def listed(storage: Storage, folder: str = "") -> list[str]:
    return [one.key for one in await storage.list(folder)]


async def test_a_folder_lists_what_lies_directly_in_it_by_name(storage: Storage) -> None:
    await put(storage, "b.jpg", "B/1", "a/2", "a.jpg", "ä/x/y", "🎄/1", "Zürich.jpg", "a b/1")
    assert await listed(storage) == ["B/", "Zürich.jpg", "a/", "a b/", "a.jpg", "b.jpg", "ä/", "🎄/"]
    assert await listed(storage, "ä/") == ["ä/x/"]
    assert await listed(storage, "ä/x/") == ["ä/x/y"]
    [entry] = await storage.list("a/")
    assert entry == await storage.stat("a/2")
    folders = [one for one in await storage.list("") if isinstance(one, Folder)]
    assert [folder.key for folder in folders] == ["B/", "a/", "a b/", "ä/", "🎄/"]
    assert all(folder.mtime_ns > 0 for folder in folders)


async def test_a_listing_leaves_out_what_a_walk_passes_over(storage: Storage) -> None:
    await put(storage, "a.jpg", ".hidden", ".git/a", "@eaDir/a", "b.part", "raw/1.jpg", "x/raw/2.jpg", "x/c.png", "x/d")
    await storage.store(".taglineignore", pieces(b"/raw/\n*.png\n"))
    await storage.store("x/.taglineignore", pieces(b"d\n"))
    assert await listed(storage) == ["a.jpg", "x/"]
    assert await listed(storage, "x/") == ["x/raw/"]
    assert await listed(storage, "x/raw/") == ["x/raw/2.jpg"]
    for folder in (".git/", "@eaDir/", "raw/"):
        with pytest.raises(Absent):
            await storage.list(folder)


async def test_a_folder_that_is_not_there_is_absent(storage: Storage) -> None:
    await put(storage, "a/b")
    for folder in ("b/", "a/b/", "a/b/c/", "a/c/"):
        for call in (storage.list(folder), storage.remove_folder(folder), storage.move(folder, "new/")):
            with pytest.raises(Absent):
                await call
    assert await keys(storage) == ["a/b"]


@pytest.mark.parametrize("folder", ["Bäume/", "🎄/", "a/Föhn 👨‍👩‍👧/", "x" * 255 + "/"])
async def test_a_folder_is_made_and_removed(storage: Storage, folder: str) -> None:
    await put(storage, "a/file")
    before = await keys(storage)
    await storage.make_folder(folder)
    assert await storage.list(folder) == []
    assert folder in await listed(storage, folder[: folder[:-1].rfind("/") + 1])
    with pytest.raises(Exists):
        await storage.make_folder(folder)
    with pytest.raises(Exists):
        await storage.store(folder[:-1], pieces(b""))
    await storage.remove_folder(folder)
    with pytest.raises(Absent):
        await storage.remove_folder(folder)
    assert await keys(storage) == before


async def test_a_folder_is_made_only_where_the_one_above_is_there_and_nothing_else(storage: Storage) -> None:
    await put(storage, "a/b")
    for folder in ("", "a/", "a/b/"):
        with pytest.raises(Exists):
            await storage.make_folder(folder)
    for folder, above in (("x/y/", "x/"), ("a/b/c/", "a/b/"), ("a/x/y/", "a/x/")):
        with pytest.raises(Absent) as absent:
            await storage.make_folder(folder)
        assert absent.value.key == above
    assert await content(storage, "a/b") == b"a/b"


async def test_only_an_empty_folder_is_removed(storage: Storage) -> None:
    await put(storage, "a/.hidden", "b/c/d")
    for folder in ("a/", "b/"):
        with pytest.raises(Exists):
            await storage.remove_folder(folder)
    await storage.delete("b/c/d")
    await storage.remove_folder("b/c/")
    await storage.remove_folder("b/")
    assert await listed(storage) == ["a/"]


async def test_a_moved_file_is_the_same_file(storage: Storage) -> None:
    await put(storage, "a.jpg", "Föhn/b.jpg")
    before = await storage.stat("a.jpg")
    assert before
    for key, target in [("a.jpg", "b.jpg"), ("b.jpg", "Föhn/🎄.jpg"), ("Föhn/🎄.jpg", "ä.jpg")]:
        await storage.move(key, target)
        assert await storage.stat(key) is None
        assert await storage.stat(target) == Entry(target, before.size, before.mtime_ns, before.inode)
    assert await content(storage, "ä.jpg") == b"a.jpg"
    assert await listed(storage) == ["Föhn/", "ä.jpg"]


async def test_a_moved_folder_takes_along_what_is_in_it(storage: Storage) -> None:
    await put(storage, "a/b/c", "a/.hidden", "x/y")
    await storage.make_folder("a/empty/")
    before = await storage.stat("a/b/c")
    await storage.move("a/", "x/Übung/")
    assert await listed(storage) == ["x/"]
    assert await listed(storage, "x/Übung/") == ["x/Übung/b/", "x/Übung/empty/"]
    assert await content(storage, "x/Übung/.hidden") == b"a/.hidden"
    after = await storage.stat("x/Übung/b/c")
    assert before
    assert after
    assert (after.inode, after.mtime_ns) == (before.inode, before.mtime_ns)


async def test_moving_overwrites_nothing(storage: Storage) -> None:
    await put(storage, "a", "b", "x/1", "y/2")
    await storage.make_folder("empty/")
    for key, target in [("a", "b"), ("a", "a"), ("a", "x"), ("x/", "y/"), ("x/", "empty/"), ("x/", "x/"), ("x/", "a/")]:
        with pytest.raises(Exists) as refused:
            await storage.move(key, target)
        assert refused.value.key == target
    assert await keys(storage) == ["a", "b", "x/1", "y/2"]
    assert await content(storage, "b") == b"b"
    assert await listed(storage, "empty/") == []


async def test_a_move_from_or_to_nowhere_tells_which_is_absent(storage: Storage) -> None:
    await put(storage, "a", "x/1")
    for key, target, absent in [
        ("b", "c", "b"),
        ("x", "y", "x"),
        ("a/", "y/", "a/"),
        ("n/b", "c", "n/"),
        ("a", "n/b", "n/"),
        ("a", "x/1/b", "x/1/"),
        ("x/", "n/m/", "n/"),
    ]:
        with pytest.raises(Absent) as refused:
            await storage.move(key, target)
        assert refused.value.key == absent
    assert await keys(storage) == ["a", "x/1"]


async def test_what_is_no_move_is_invalid(storage: Storage) -> None:
    await put(storage, "a", "x/y/1")
    wrong = [
        ("x/", "x/z/"),
        ("x/", "x/y/z/"),
        ("x/", "z"),
        ("a", "b/"),
        ("", "z/"),
        ("x/", ""),
        ("a", "../a"),
        ("a", ""),
    ]
    for key, target in wrong:
        with pytest.raises(errors.Invalid):
            await storage.move(key, target)
    await storage.move("x/", "xx/")
    assert await keys(storage) == ["a", "xx/y/1"]


@pytest.mark.parametrize("folder", ["a", "/", "../", "a//", "a\\/", "a\0/"])
async def test_no_method_takes_what_is_no_folder(storage: Storage, folder: str) -> None:
    for call in (storage.list(folder), storage.make_folder(folder), storage.remove_folder(folder)):
        with pytest.raises(errors.Invalid):
            await call


async def test_the_library_itself_stays(storage: Storage) -> None:
    with pytest.raises(errors.Invalid):
        await storage.remove_folder("")
    assert await storage.list("") == []


async def test_a_library_that_has_gone_is_away_not_empty(storage: Storage, tmp_path: Path) -> None:
    await put(storage, "a", "x/1")
    source = tmp_path / "part"
    source.write_bytes(b"arrived")
    if isinstance(storage, MemoryStorage):
        storage.away = True
    else:
        (tmp_path / "library").rename(tmp_path / "elsewhere")
        (tmp_path / "library").mkdir()
    for call in (
        storage.incoming(),
        storage.adopt(source, "b"),
        storage.give_back(source, "a"),
        storage.list(""),
        storage.list("x/"),
        storage.make_folder("y/"),
        storage.move("a", "b"),
        storage.remove_folder("x/"),
    ):
        with pytest.raises(Away):
            await call
    assert isinstance(storage, MemoryStorage) or os.listdir(tmp_path / "library") == []


async def test_a_library_that_may_not_be_written_says_so(plain_root: Path) -> None:
    (plain_root / "a").write_bytes(b"")
    (plain_root / "x").mkdir()
    source = plain_root / "x/part"
    source.write_bytes(b"")
    plain_root.chmod(0o500)
    storage = LocalStorage(plain_root)
    for call in (
        storage.incoming(),
        storage.adopt(source, "b"),
        storage.give_back(source, "a"),
        storage.make_folder("y/"),
        storage.move("a", "b"),
        storage.move("x/", "y/"),
        storage.remove_folder("x/"),
    ):
        with pytest.raises(errors.Unavailable) as refused:
            await call
        assert refused.value.code == "storage_read_only"
    assert await listed(storage) == ["a", "x/"]
    plain_root.chmod(0o700)
    incoming = await storage.incoming()
    assert incoming
    incoming.chmod(0o500)
    with pytest.raises(errors.Unavailable) as refused:
        await storage.incoming()
    assert refused.value.code == "storage_read_only"


async def test_a_folder_that_may_not_be_read_says_so(plain_root: Path) -> None:
    for name in ("closed", "patterns"):
        (plain_root / name).mkdir()
    (plain_root / "patterns/.taglineignore").write_bytes(b"")
    (plain_root / "patterns/.taglineignore").chmod(0)
    (plain_root / "closed").chmod(0)
    storage = LocalStorage(plain_root)
    for folder in ("closed/", "patterns/"):
        with pytest.raises(errors.Unavailable) as refused:
            await storage.list(folder)
        assert refused.value.code == "not_readable"
    assert await listed(storage) == ["closed/", "patterns/"]


async def test_links_are_listed_only_where_they_lead_to_a_file_inside(tmp_path: Path) -> None:
    storage = local(tmp_path)
    root = tmp_path / "library"
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(b"theirs")
    await put(storage, "x/real")
    (root / "file").symlink_to("x/real")
    (root / "folder").symlink_to("x")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "secret").symlink_to(tmp_path / "outside/secret")
    assert await listed(storage) == ["file", "x/"]
    assert await storage.list("") == [await storage.stat("file"), Folder("x/", (root / "x").stat().st_mtime_ns)]
    for folder in ("folder/", "out/"):
        for call in (
            storage.list(folder),
            storage.remove_folder(folder),
            storage.move(folder, "y/"),
            storage.make_folder(f"{folder}y/"),
            storage.move("x/real", f"{folder}z"),
            storage.move(f"{folder}secret", "z"),
        ):
            with pytest.raises(Absent):
                await call
    for target in ("folder/", "out/"):
        with pytest.raises(Exists):
            await storage.move("x/", target)
    with pytest.raises(Absent):
        await storage.move("secret", "mine")
    assert os.listdir(tmp_path / "outside") == ["secret"]


async def test_a_moved_link_leads_where_it_led(tmp_path: Path) -> None:
    storage = local(tmp_path)
    await put(storage, "x/real", "y/1")
    (tmp_path / "library/link").symlink_to("x/real")
    await storage.move("link", "y/ä")
    assert await content(storage, "y/ä") == b"x/real"
    assert not (tmp_path / "library/link").is_symlink()
    (tmp_path / "library/link").symlink_to("x/real")
    with pytest.raises(Exists):
        await storage.move("link", "y/1")
    assert await content(storage, "y/1") == b"y/1"


async def test_names_that_cannot_be_keys_are_not_listed(tmp_path: Path) -> None:
    storage = local(tmp_path)
    for name in (b"\xff.jpg", b"back\\slash.jpg", b"caf\xe9"):
        Path(os.fsdecode(os.fsencode(tmp_path / "library") + b"/" + name)).mkdir()
    assert await storage.list("") == []


async def test_a_file_moved_to_another_disk_is_copied_and_as_old_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second disk mounted in the library: what the system says then is played, for not everybody may mount."""
    storage = local(tmp_path)
    await put(storage, "a", "disk/1", "x/2")
    before = await storage.stat("a")
    monkeypatch.setattr(os, "link", same_folder_only(os.link))
    monkeypatch.setattr(os, "rename", same_folder_only(os.rename))
    await storage.move("a", "disk/ä")
    assert await content(storage, "disk/ä") == b"a"
    after = await storage.stat("disk/ä")
    assert before
    assert after
    assert (after.mtime_ns, after.size) == (before.mtime_ns, before.size)
    assert sorted(os.listdir(tmp_path / "library")) == ["disk", "x"]
    with pytest.raises(Exists):
        await storage.move("x/2", "disk/1")
    with pytest.raises(errors.Invalid, match="another disk"):
        await storage.move("x/", "disk/x/")
    assert await keys(storage) == ["disk/1", "disk/ä", "x/2"]
    assert sorted(os.listdir(tmp_path / "library/disk")) == ["1", "ä"]


def same_folder_only(call: Callable[..., None]) -> Callable[..., None]:
    """The call, as if each folder were on a disk of its own."""

    def calling(source: str, name: str, *, src_dir_fd: int, dst_dir_fd: int, **more: bool) -> None:
        if not os.path.samestat(os.fstat(src_dir_fd), os.fstat(dst_dir_fd)):
            if name in os.listdir(dst_dir_fd):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        call(source, name, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, **more)

    return calling


async def test_what_an_ignore_file_leaves_out_is_known_before_it_is_there(storage: Storage) -> None:
    await storage.store(".taglineignore", pieces(b"*.png\nscans/\n"))
    await storage.store("2024/07/.taglineignore", pieces(b"!keep.png\n"))
    taken = ["a.jpg", "2024/07/keep.png", "new/1.jpg"]
    left_out = ["a.png", "2024/a.png", "2024/07/b.png", "scans/1.jpg", "new/scans/1.jpg"]
    assert [key for key in taken + left_out if await storage.leaves_out(key)] == left_out
