"""What the client remembers, and how it looks at a folder."""

import os
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline.client.folder import Altered, LocalFile, Stopped, Unreadable, files, sha256
from tagline.client.memory import Busy, Memory, readable, remembered, write_whole
from tests.client.phone import digest, picture

GO_ON = threading.Event()


def file(number: int = 1) -> LocalFile:
    """A file that is nowhere."""
    return LocalFile(f"a/{number}.jpg", 1000 + number, 10**18 + number, number)


def test_a_hash_is_known_for_the_file_as_it_was_and_no_other(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.note_hash(file(), b"1" * 32)
    memory.close()
    again = Memory(tmp_path)
    known = file()
    assert again.hash_of(known) == b"1" * 32
    for other in (
        LocalFile("b.jpg", known.size, known.mtime_ns, known.inode),
        LocalFile(known.path, known.size + 1, known.mtime_ns, known.inode),
        LocalFile(known.path, known.size, known.mtime_ns + 1, known.inode),
        LocalFile(known.path, known.size, known.mtime_ns, known.inode + 1),
    ):
        assert again.hash_of(other) is None
    again.close()


@given(cut=st.integers(0, 98), rest=st.binary(max_size=50))
def test_a_run_that_was_cut_loses_its_last_line_at_most(
    tmp_path_factory: pytest.TempPathFactory, cut: int, rest: bytes
) -> None:
    directory = tmp_path_factory.mktemp("memory")
    memory = Memory(directory)
    memory.note_hash(file(1), b"1" * 32)
    memory.note_hash(file(2), b"2" * 32)
    memory.close()
    whole = (directory / "hashes").read_bytes()
    (directory / "hashes").write_bytes(whole[: len(whole) - cut] + rest.replace(b"\n", b" "))
    memory = Memory(directory)
    assert memory.hash_of(file(1)) == b"1" * 32
    assert memory.hash_of(file(2)) in (None, b"2" * 32)
    memory.note_hash(file(3), b"3" * 32)
    memory.close()
    memory = Memory(directory)
    assert (memory.hash_of(file(1)), memory.hash_of(file(3))) == (b"1" * 32, b"3" * 32)
    memory.close()


def test_a_hash_that_was_wrong_is_forgotten_for_good(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.note_hash(file(), b"1" * 32)
    memory.forget_hash(file())
    assert memory.hash_of(file()) is None
    memory.close()
    memory = Memory(tmp_path)
    assert memory.hash_of(file()) is None
    memory.note_hash(file(), b"2" * 32)
    memory.close()
    memory = Memory(tmp_path)
    assert memory.hash_of(file()) == b"2" * 32
    memory.close()


def test_what_is_gone_from_the_folder_is_dropped(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    for number in range(3000):
        memory.note_hash(file(number), bytes([number % 255 + 1]) * 32)
    memory.note_upload(file(7), "/api/uploads/7")
    memory.note_upload(file(2000), "/api/uploads/2000")
    memory.close()
    memory = Memory(tmp_path)
    for number in range(100):
        assert memory.hash_of(file(number))
    memory.forget_what_is_gone()
    memory.close()
    assert (tmp_path / "hashes").read_bytes().count(b"\n") == 100
    memory = Memory(tmp_path)
    assert memory.hash_of(file(99)) is not None
    assert memory.hash_of(file(100)) is None
    assert memory.upload_of(file(7)) == "/api/uploads/7"
    assert memory.upload_of(file(2000)) is None
    memory.close()


@pytest.mark.parametrize("content", ["", "{", "[]", "\0\0\0"])
def test_a_spoilt_note_of_uploads_is_passed_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "uploads.json").write_text(content)
    memory = Memory(tmp_path)
    assert memory.upload_of(file()) is None
    memory.note_upload(file(), "/api/uploads/1")
    memory.close()
    memory = Memory(tmp_path)
    assert memory.upload_of(file()) == "/api/uploads/1"
    memory.close()


def test_one_run_at_a_time_has_the_memory_of_a_folder_at_a_server(tmp_path: Path) -> None:
    with remembered(tmp_path, Path("/pictures"), "house:8000"):
        with remembered(tmp_path, Path("/pictures"), "other:8000"), remembered(tmp_path, Path("/other"), "house:8000"):
            pass
        with pytest.raises(Busy), remembered(tmp_path, Path("/pictures"), "house:8000"):
            pass
    with remembered(tmp_path, Path("/pictures"), "house:8000"):
        pass


def test_what_is_remembered_is_nobody_elses(tmp_path: Path) -> None:
    with remembered(tmp_path / "state", Path("/pictures"), "house:8000") as memory:
        memory.note_upload(file(), "/api/uploads/1")
    [directory] = (tmp_path / "state/folders").iterdir()
    assert directory.stat().st_mode & 0o077 == 0
    write_whole(directory / "secret", "text", flush=True)
    assert (directory / "secret").stat().st_mode & 0o777 == 0o600
    assert (directory / "secret").read_text() == "text"


@given(st.text())
def test_a_name_for_a_directory_is_plain(name: str) -> None:
    assert readable(name) == "root" or all(letter.isascii() and letter not in "/\0" for letter in readable(name))
    assert 0 < len(readable(name)) <= 60


@pytest.mark.slow
def test_the_hashes_of_a_hundred_thousand_files_fit_into_30_megabytes(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    noted = [file(number) for number in range(100_000)]
    for number, each in enumerate(noted):
        memory.note_hash(each, (number + 1).to_bytes(32, "big"))
    memory.close()
    tracemalloc.start()
    try:
        memory = Memory(tmp_path)
        assert all(map(memory.hash_of, noted))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        memory.close()
    print(f"{used / 1e6:.1f} MB")
    assert used < 30_000_000


# The folder


def test_a_file_that_is_written_to_is_another_one(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.jpg", 1, 3_000_000)
    [found] = files(tmp_path)
    assert isinstance(found, LocalFile)
    hashed = sha256(tmp_path, found, GO_ON)
    assert hashed is not None
    assert hashed.hex() == digest(path)
    with path.open("ab") as appending:
        appending.write(b"more")
    with pytest.raises(Altered):
        sha256(tmp_path, found, GO_ON)
    path.unlink()
    with pytest.raises(Altered):
        sha256(tmp_path, found, GO_ON)


def test_hashing_ends_when_nobody_waits_for_it(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", 1, 3_000_000)
    [found] = files(tmp_path)
    assert isinstance(found, LocalFile)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        sha256(tmp_path, found, stop)


def test_a_folder_is_walked_in_the_order_of_its_names(tmp_path: Path) -> None:
    for name in ("b/2.jpg", "b/1.jpg", "a/z/1.jpg", "a/1.jpg", "c.jpg", ".git/1.jpg", "@eaDir/1.jpg", "d/Thumbs.db"):
        picture(tmp_path / name, 1)
    found = [each.path for each in files(tmp_path)]
    assert found == ["c.jpg", "a/1.jpg", "a/z/1.jpg", "b/1.jpg", "b/2.jpg"]


@given(st.binary(min_size=1, max_size=60).filter(lambda name: b"/" not in name and b"\0" not in name))
def test_a_path_can_be_shown_on_any_terminal(name: bytes) -> None:
    shown = LocalFile("folder/" + os.fsdecode(name), 0, 0, 0)
    assert shown.shown.isprintable()
    shown.shown.encode()
    shown.name.encode()


def test_a_folder_that_vanishes_is_told(tmp_path: Path) -> None:
    [lost] = files(tmp_path / "nowhere")
    assert isinstance(lost, Unreadable)
    assert (lost.path, lost.why) == (".", "No such file or directory")
