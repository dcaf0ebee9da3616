"""Keys: what may be one, so that none leads out of the library or breaks a header."""

import os
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline import errors
from tagline.storage.paths import check_folder, check_key, key_fault, name_fault, printable


@pytest.mark.parametrize("key", ["a.jpg", "2024/07/IMG 1.jpg", "Zürich/été ☀.png", "...", "a/..b/c..", "x" * 255])
def test_ordinary_paths_are_keys(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/etc/passwd",
        "//x",
        "..",
        ".",
        "a/../b",
        "../a",
        "a/.",
        "a//b",
        "a/",
        "a\x00b",
        "a\nb",
        "a\x7fb",
        "a\x85b",
        "a\\b",
        "..\\..\\x",
        "\udcff.jpg",
        "x" * 256,
        "é" * 128,
        "/".join(["x" * 200] * 21),
    ],
)
def test_what_could_lead_elsewhere_is_no_key(key: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        check_key(key)
    assert refused.value.extra["errors"][0]["field"] == "object_key"


@given(st.text(st.characters(codec=None) | st.sampled_from("/.\\\0\n\udc80"), max_size=60))
def test_a_key_stays_below_its_root_whatever_it_is(key: str) -> None:
    if key_fault(key) is not None:
        return
    assert os.path.normpath(f"/root/{key}") == f"/root/{key}"
    assert "/".join(PurePosixPath(key).parts) == key
    assert os.fsencode(key).decode() == key


@given(st.binary(min_size=1, max_size=80).filter(lambda raw: not {0, 0x2F} & set(raw)))
def test_every_name_on_a_disk_is_either_usable_or_told_in_printable_words(raw: bytes) -> None:
    name = os.fsdecode(raw)
    if name in (".", ".."):
        return
    fault = name_fault(name)
    assert (fault is None) == (key_fault(name) is None)
    shown = printable(name)
    shown.encode()
    assert not any(ord(c) < 32 for c in shown)


def test_names_that_cannot_be_used_are_told_apart() -> None:
    for name, code in [
        ("\udcff.jpg", "name_not_utf8"),
        ("a\nb", "name_not_usable"),
        ("a\\b", "name_not_usable"),
    ]:
        fault = name_fault(name)
        assert fault is not None
        assert fault[0] == code
    assert printable("\udcff\n\\.jpg") == "\\xff\\x0a\\.jpg"


@pytest.mark.parametrize("folder", ["", "a/", "2024/07/", "Zürich/🎄/"])
def test_folders_have_a_slash_at_their_end_except_the_library_itself(folder: str) -> None:
    assert check_folder(folder) == folder


@pytest.mark.parametrize("folder", ["a", "/", "a//", "/a/", "../", "a/./", "a\\b/", "x" * 256 + "/"])
def test_what_is_no_folders_key_is_invalid(folder: str) -> None:
    with pytest.raises(errors.Invalid):
        check_folder(folder)
