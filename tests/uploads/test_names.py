"""Names: whatever a client calls its file or album, what it becomes is safe on every disk and for every eye."""

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tagline.errors import Invalid
from tagline.storage.ignoring import passed_over
from tagline.storage.local import LocalStorage
from tagline.storage.paths import check_key
from tagline.storage.provider import Exists
from tagline.uploads.placing import MOST_FOLDERS, folder_by_time, folder_for, name_for, numbered

LONGEST = 255
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$) *", re.IGNORECASE)

# Letters and what breaks names, mixed.
SPICE = st.sampled_from(
    ["..", "/", "\\", "\x00", "\n", "\x7f", "\x85", "\u200d", "\u202e", "\u2028", "\ud800", "\ufeff", "con", "NUL",
     "com1", ".", " ", "~", "-", ".jpg", ".JPG", ".part", ".tmp", "Thumbs.db", "@eaDir", "e\u0301", "\u0301", "é", "日",
     "\U0001f469\u200d\U0001f467", ":", "*", "?", "%2f", "a" * 90, "é" * 130, "IMG_0001"]
)  # fmt: skip
NAMES = st.one_of(st.text(st.characters(codec=None), max_size=300), st.lists(SPICE, max_size=8).map("".join))
EXTENSIONS = st.sampled_from([".jpg", ".heic", ".mp4", ".tiff"])


def check_name(name: str) -> None:
    """A name that any file system stores, any walk finds, and nobody is deceived by."""
    assert name == name.strip()
    assert not name.endswith(".")
    assert unicodedata.is_normalized("NFC", name)
    assert not passed_over(name)
    assert not re.search(r'[<>:"|?*/\\]', name)
    assert not {unicodedata.category(sign) for sign in name} & {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}
    assert not RESERVED.fullmatch(name.partition(".")[0])
    assert len(name.encode()) <= LONGEST
    assert check_key(name) == name


@settings(max_examples=500)
@given(sent=NAMES, extension=EXTENSIONS, number=st.integers(0, 10_000))
@example(sent="con   .jpg", extension=".jpg", number=0)
@example(sent="con", extension=".jpg", number=1)
@example(sent="con.part", extension=".jpg", number=0)
@example(sent="e\u200d\u0301.jpg", extension=".jpg", number=0)
@example(sent="a." + "x" * 400, extension=".jpg", number=99)
@example(sent="." * 300, extension=".jpg", number=0)
@example(sent=".jpg", extension=".jpg", number=0)
@example(sent="x" * 198 + "  .jpg", extension=".jpg", number=0)
@example(sent="\u3000.jpg", extension=".jpg", number=0)
def test_any_name_becomes_a_safe_one(sent: str, extension: str, number: int) -> None:
    name = numbered(name_for(sent, extension), number)
    check_name(name)
    assert name.rpartition(".")[0]
    assert name.rpartition(".")[2]


@given(sent=NAMES, extension=EXTENSIONS)
def test_a_safe_name_stays_as_it_is(sent: str, extension: str) -> None:
    name = name_for(sent, extension)
    assert name_for(name, ".other") == name


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("IMG_0001.HEIC", "IMG_0001.HEIC"),
        ("Été à la plage.jpg", "Été à la plage.jpg"),
        ("no ending", "no ending.jpg"),
        ("v1.2 final cut of the lake", "v1.2 final cut of the lake.jpg"),
        ("", "photo.jpg"),
        ("...", "photo.jpg"),
        ("IMG_1.jpg.part", "IMG_1.jpg.part.jpg"),
        (".hidden.jpg", "hidden.jpg"),
        ("~lock.jpg", "lock.jpg"),
        ("what?.jpg", "what_.jpg"),
        ("aux.jpg", "_aux.jpg"),
        ("CON .jpg", "_CON.jpg"),
        ("/storage/emulated/0/DCIM/a.jpg", "a.jpg"),
    ],
)
def test_names_that_people_meet(sent: str, name: str) -> None:
    assert name_for(sent, ".jpg") == name


@settings(max_examples=300)
@given(album=st.one_of(NAMES, st.lists(NAMES, max_size=10).map("/".join)))
@example(album="con   /aux")
@example(album="a/./../b")
def test_any_album_is_a_safe_folder_or_none(album: str) -> None:
    try:
        folder = folder_for(album)
    except Invalid:
        return
    assert folder.endswith("/")
    parts = folder[:-1].split("/")
    assert 0 < len(parts) <= MOST_FOLDERS
    for part in parts:
        check_name(part)
    assert check_key(folder + "x" * LONGEST)


@given(
    taken_at=st.integers(-4_544_208_000_000_000, 7_258_118_400_000_000),
    offset=st.none() | st.integers(-24 * 60 + 1, 24 * 60 - 1),
)
def test_the_folder_of_any_time_is_a_year_and_a_month(taken_at: int, offset: int | None) -> None:
    assert re.fullmatch(r"(1[89]|2[012])\d\d/(0[1-9]|1[012])/", folder_by_time(taken_at, offset))


def contents(library: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {path.name: path.read_bytes() for path in library.iterdir()}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=NAMES, more=st.integers(1, 4))
async def test_a_file_that_is_there_is_never_overwritten(
    tmp_path_factory: pytest.TempPathFactory, sent: str, more: int
) -> None:
    library = tmp_path_factory.mktemp("library")
    storage = LocalStorage(library)
    name = name_for(sent, ".jpg")
    (library / name).write_bytes(b"mine")
    for number in range(1, more + 1):
        source = tmp_path_factory.mktemp("incoming") / "part"
        source.write_bytes(b"%d" % number)
        for taken in range(number):
            with pytest.raises(Exists):
                await storage.adopt(source, numbered(name, taken))
        await storage.adopt(source, numbered(name, number))
    assert (library / name).read_bytes() == b"mine"
    stored = contents(library)
    assert stored == {numbered(name, number): b"%d" % number if number else b"mine" for number in range(more + 1)}
