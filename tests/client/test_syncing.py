"""`tagline sync` against a house: what is sent, what is not, and what is said."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.client.phone import Phone, digest, ended, picture, visible
from tests.client.wire import wire
from tests.house import House, running
from tests.robustness.service import WITHOUT_RIGHTS

pytestmark = pytest.mark.slow


@pytest.fixture
async def house_of_small_files(tmp_path: Path) -> AsyncIterator[House]:
    """A house that takes files of a megabyte at most."""
    async with running(tmp_path / "data", UPLOAD_MAX_MB="1") as house:
        yield house


@pytest.fixture
async def full_house(tmp_path: Path) -> AsyncIterator[House]:
    """A house whose disk has no room for more."""
    async with running(tmp_path / "data", TAGLINE_RESERVE_MB="10000000") as house:
        yield house


@pytest.fixture
async def house_without_uploads(tmp_path: Path) -> AsyncIterator[House]:
    """A house in which the module is off."""
    async with running(tmp_path / "data", TAGLINE_MODULES="accounts,photos,operations") as house:
        yield house


async def phone_of(house: House, tmp_path: Path, scope: str = "upload") -> Phone:
    """A computer with a key of the house."""
    key = (await house.key(scope)).headers["Authorization"].removeprefix("Bearer ")
    return Phone(tmp_path / "pictures", tmp_path / "home", key)


def state(folder: Path) -> list[tuple[str, int, int, int]]:
    """Everything about a folder that a program could have changed."""
    return sorted(
        (str(path), path.lstat().st_size, path.lstat().st_mtime_ns, path.lstat().st_ino) for path in folder.rglob("*")
    )


async def test_the_first_run_sends_all_and_the_second_nothing(house: House, tmp_path: Path) -> None:
    phone = await phone_of(house, tmp_path)
    sizes = [1000, 70_000, 3_000_000, 5000, 20_000]
    sent = [picture(phone.folder / f"2024/{n % 2}/{n}.jpg", n, size) for n, size in enumerate(sizes)]
    before = state(phone.folder)
    async with wire(house.base) as way:
        first = await ended(await phone.start(way.address))
        assert (first.status, first.err) == (0, "")
        assert first.out.startswith("5 sent; 3.1 MB in ")
        assert way.sent == sum(path.stat().st_size for path in sent)
        assert {digest(path) for path in visible(house.library)} == {digest(path) for path in sent}
        assert {photo["sha256"] for photo in await house.photos()} == {digest(path) for path in sent}
        way.exchanges.clear()
        second = await phone.sync(way.address)
        assert (second.status, second.err) == (0, "")
        assert second.out.startswith("5 there already; 0 B in ")
        assert {(each.method, each.path) for each in way.exchanges} == {("GET", "/health"), ("POST", "/photos/known")}
    assert state(phone.folder) == before


async def test_what_was_renamed_or_copied_here_is_not_sent_again(house: House, tmp_path: Path) -> None:
    phone = await phone_of(house, tmp_path)
    first = picture(phone.folder / "first.jpg", 1, 5000)
    (phone.folder / "twin.jpg").write_bytes(first.read_bytes())
    async with wire(house.base) as way:
        assert (await phone.sync(way.address)).out.startswith("1 sent, 1 copy of another; 5.0 kB")
        first.rename(phone.folder / "renamed.jpg")
        (phone.folder / "late twin.jpg").write_bytes((phone.folder / "renamed.jpg").read_bytes())
        assert (await phone.sync(way.address)).out.startswith("3 there already; 0 B")
        assert way.sent == 5000
    assert len(visible(house.library)) == 1


async def test_what_came_by_another_way_is_known(house: House, tmp_path: Path) -> None:
    phone = await phone_of(house, tmp_path)
    picture(phone.folder / "first.jpg", 1, 5000)
    picture(house.library / "elsewhere/other.jpg", 1, 5000)
    await house.scan()
    assert (await phone.sync(house.base)).out.startswith("1 there already; 0 B")


async def test_what_was_deleted_for_good_stays_deleted(house: House, tmp_path: Path) -> None:
    phone = await phone_of(house, tmp_path)
    picture(phone.folder / "first.jpg", 1)
    await phone.sync(house.base)
    await house.settled()
    [photo] = await house.photos()
    assert (await house.ana.delete(f"/photos/{photo['id']}?permanently=true")).status == 204
    again = await phone.sync(house.base)
    assert (again.status, again.err) == (0, "")
    assert again.out.startswith("1 deleted on the server; 0 B")
    assert visible(house.library) == []


async def test_broken_and_foreign_files_are_told_and_the_rest_goes_on(house: House, tmp_path: Path) -> None:
    phone = await phone_of(house, tmp_path)
    good = picture(phone.folder / "good.jpg", 1)
    (phone.folder / "broken\x1b[31m.jpg").write_bytes(good.read_bytes()[:40])
    (phone.folder / "notes.txt").write_text("not a picture")
    (phone.folder / "empty.jpg").touch()
    ran = await phone.sync(house.base)
    assert ran.status == 1
    assert ran.out.startswith("1 sent, 1 failed; ")
    assert "2 are no photo or video: empty.jpg, notes.txt" in ran.out
    assert (
        ran.err
        == "broken\N{REPLACEMENT CHARACTER}[31m.jpg: The picture is damaged and cannot be shown. (broken_image)\n"
    )
    assert [path.name for path in visible(house.library)] == ["good.jpg"]


async def test_a_file_that_is_too_large_for_the_server_is_told_before_it_is_sent(
    house_of_small_files: House, tmp_path: Path
) -> None:
    house = house_of_small_files
    phone = await phone_of(house, tmp_path)
    picture(phone.folder / "large.jpg", 1, 2_000_000)
    picture(phone.folder / "small.jpg", 2)
    async with wire(house.base) as way:
        ran = await phone.sync(way.address)
        assert way.sent < 10_000
    assert ran.status == 1
    assert ran.out.startswith("1 sent, 1 failed; ")
    assert ran.err.startswith("large.jpg: The file is larger than the 1 MB that are taken in (UPLOAD_MAX_MB).")


async def test_hidden_temporary_and_linked_files_are_passed_over(house: House, tmp_path: Path) -> None:
    phone = await phone_of(house, tmp_path)
    picture(phone.folder / "seen.jpg", 1)
    picture(phone.folder / ".hidden.jpg", 2)
    picture(phone.folder / ".cache/deep.jpg", 3)
    picture(phone.folder / "loading.jpg.part", 4)
    outside = picture(tmp_path / "outside/other.jpg", 5)
    (phone.folder / "link.jpg").symlink_to(outside)
    (phone.folder / "folder").symlink_to(outside.parent)
    os.mkfifo(phone.folder / "pipe.jpg")
    ran = await phone.sync(house.base)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("1 sent; ")
    assert [path.name for path in visible(house.library)] == ["seen.jpg"]


async def test_what_may_not_be_read_is_told_and_the_rest_goes_on(house: House, tmp_path: Path) -> None:
    phone = await phone_of(house, tmp_path)
    picture(phone.folder / "good.jpg", 1)
    picture(phone.folder / "closed.jpg", 2).chmod(0)
    deep = picture(phone.folder / "folder/deep.jpg", 3).parent
    deep.chmod(0)
    try:
        ran = await ended(await phone.start(house.base, before=("-c", WITHOUT_RIGHTS)))
    finally:
        deep.chmod(0o755)
    assert ran.status == 1
    assert ran.out.startswith("1 sent, 2 failed; ")
    assert sorted(ran.err.splitlines()) == [
        "closed.jpg: cannot be read: Permission denied",
        "folder: cannot be read: Permission denied",
    ]


async def test_odd_names_and_times_arrive(house: House, tmp_path: Path) -> None:
    phone = await phone_of(house, tmp_path)
    names = [b"caf\xe9.jpg", "Öl & \N{SNOWMAN}, 50 %.jpg".encode(), b"a\nb.jpg", b"-rf.jpg", b"x" * 240 + b".jpg"]
    for number, name in enumerate(names):
        path = picture(tmp_path / "made.jpg", number)
        os.utime(path, ns=(0, 1_577_934_245 * 10**9 if number else -(10**18)))
        os.rename(path, os.fsencode(phone.folder) + b"/" + name)
    ran = await phone.sync(house.base)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("5 sent; ")
    taken = {photo["metadata"]["taken_at"][:10] for photo in await house.photos()}
    assert "2020-01-02" in taken


async def test_a_dry_run_sends_nothing_and_says_what_it_would(house: House, tmp_path: Path) -> None:
    phone = await phone_of(house, tmp_path)
    picture(phone.folder / "first.jpg", 1, 5000)
    async with wire(house.base) as way:
        ran = await phone.sync(way.address, "--dry-run")
        assert {(each.method, each.path) for each in way.exchanges} == {("GET", "/health"), ("POST", "/photos/known")}
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("1 would be sent; 5.0 kB")


async def test_a_quiet_run_says_nothing(house: House, tmp_path: Path) -> None:
    phone = await phone_of(house, tmp_path)
    picture(phone.folder / "first.jpg", 1)
    ran = await phone.sync(house.base, "--quiet")
    assert (ran.status, ran.out, ran.err) == (0, "", "")


async def test_hashes_are_remembered_as_long_as_a_file_looks_the_same(house: House, tmp_path: Path) -> None:
    phone = await phone_of(house, tmp_path)
    path = picture(phone.folder / "first.jpg", 1, 5000)
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    await phone.sync(house.base)
    with path.open("r+b") as file:
        file.seek(4000)
        file.write(b"another content")
    os.utime(path, ns=times)
    assert (await phone.sync(house.base)).out.startswith("1 there already; 0 B")
    os.utime(path, ns=(times[0], times[1] + 1000))
    assert (await phone.sync(house.base)).out.startswith("1 sent; 5.0 kB")


async def test_a_full_disk_ends_the_run_soon_and_says_so(tmp_path: Path, full_house: House) -> None:
    phone = await phone_of(full_house, tmp_path)
    for number in range(20):
        picture(phone.folder / f"{number:02}.jpg", number)
    async with wire(full_house.base) as way:
        ran = await phone.sync(way.address, "--parallel", "1")
        assert len(way.asked("POST")) == 1 + 3
    assert ran.status == 1
    assert ran.out.startswith("3 failed, 17 not sent; 0 B")
    assert ran.err.splitlines()[-1] == "The server's disk is full. Free some space there, then run the command again."
    assert "(disk_full)" in ran.err


async def test_a_key_that_may_not_upload_is_told_what_it_needs(house: House, tmp_path: Path) -> None:
    phone = await phone_of(house, tmp_path, "read")
    picture(phone.folder / "first.jpg", 1)
    ran = await phone.sync(house.base)
    assert ran.status == 1
    assert ran.err.startswith("The server does not allow it: ")
    assert "upload" in ran.err


async def test_a_wrong_key_is_told(house: House, tmp_path: Path) -> None:
    phone = Phone(tmp_path / "pictures", tmp_path / "home", "tgl_00000000_wrong")
    picture(phone.folder / "first.jpg", 1)
    ran = await phone.sync(house.base)
    assert ran.status == 1
    assert ran.err.startswith("The server does not know this computer (any more): ")


async def test_a_server_without_uploads_is_told(tmp_path: Path, house_without_uploads: House) -> None:
    phone = await phone_of(house_without_uploads, tmp_path)
    picture(phone.folder / "first.jpg", 1)
    ran = await phone.sync(house_without_uploads.base)
    assert ran.status == 1
    assert ran.err.startswith("This server takes no uploads: ")


async def test_a_key_can_be_in_a_file(house: House, tmp_path: Path) -> None:
    phone = await phone_of(house, tmp_path)
    picture(phone.folder / "first.jpg", 1)
    (tmp_path / "key").write_text(phone.key + "\n")
    phone.key = "tgl_not_this_one"
    ran = await phone.sync(house.base, "--key-file", str(tmp_path / "key"))
    assert (ran.status, ran.err) == (0, "")
