import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline.media.text import caption, clean, decode, keywords


@pytest.mark.parametrize(
    "text",
    ["OLYMPUS DIGITAL CAMERA         ", "SONY DSC", "DCIM", "Minolta DSC", "KONICA MINOLTA DIGITAL CAMERA",
     "SAMSUNG", "MAXIMUM", "Exif_JPEG_PICTURE", "<untitled>", "Digital StillCamera", "DIGITAL CAMERA",
     "User comments", 'charset="Ascii"', "", "   ", "...", "\0\0\0", "- -", "DCIM\\100MEDIA\\DJI_0001.JPG",
     "DSC_0042", "IMG_0042.JPG"],
)  # fmt: skip
def test_what_cameras_write_is_no_caption(text: str) -> None:
    assert caption(text) is None


def test_the_camera_naming_itself_is_no_caption() -> None:
    assert caption("Canon EOS 350D", "Canon EOS 350D") is None
    assert caption("EOS 350D", "Canon EOS 350D") is None


@pytest.mark.parametrize(
    "text", ["Samsung gave us this one", "Ana", "Our Canon on the beach", "DSC meeting", "2", "海"]
)
def test_what_people_write_is_a_caption(text: str) -> None:
    assert caption(text, "Canon EOS 350D") == text


def test_captions_are_trimmed_nfc_and_bounded() -> None:
    assert caption("  Cafe\u0301\r\nin Como\0\x07\ud800 \n") == "Café\nin Como"
    assert len(caption("x" * 20_000) or "") == 10_000


def test_keywords_are_each_once_and_bounded() -> None:
    assert keywords(["Lake", " lake ", "", "a\nb", "LAKE"]) == ["Lake", "a b"]
    many = keywords(str(number) * 300 for number in range(1000))
    assert (len(many), max(map(len, many))) == (100, 200)


@given(st.text(st.characters(exclude_categories=()), max_size=300), st.integers(1, 50))
def test_clean_text_can_always_be_stored(text: str, length: int) -> None:
    cleaned = clean(text, length)
    cleaned.encode("utf-8")
    assert len(cleaned) <= length
    assert cleaned == cleaned.strip()
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in cleaned)


@given(st.binary(max_size=200))
def test_any_bytes_become_text(raw: bytes) -> None:
    assert clean(decode(raw), 1000).encode("utf-8") is not None
    assert decode(raw.decode("latin-1")) == decode(raw)
