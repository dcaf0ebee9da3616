import io
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pillow_heif
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, TiffImagePlugin

from tagline.media import metadata
from tagline.media.formats import FORMATS, recognise
from tagline.media.metadata import Metadata
from tests.media.samples import corners, exif, iptc, saved, stored, with_iptc, with_segment, with_xmp, xmp

Base, GPS = ExifTags.Base, ExifTags.GPS
PHOTOS = Path("/work/shared/photos")
CORPUS = sorted(path for path in PHOTOS.rglob("*") if path.is_file()) if PHOTOS.is_dir() else []


def read(content: bytes, name: str = "", mtime_ns: int = 0) -> Metadata:
    file_format = recognise(content[:4096])
    assert file_format is not None
    return metadata.read(io.BytesIO(content), file_format, name, mtime_ns)


def jpeg(**options: Any) -> bytes:
    return saved(corners(), "JPEG", **options)


def test_a_plain_picture_has_its_size_and_nothing_else() -> None:
    assert msgspec.to_builtins(read(jpeg())) == {"width": 96, "height": 64}


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_width_and_height_are_as_displayed(file_format: str, orientation: int) -> None:
    content = saved(stored(orientation), file_format, exif=exif({Base.Orientation: orientation}))
    found = read(content)
    assert (found.width, found.height) == (96, 64)


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 80}, {"lossless": True, "exif": exif({1: 1})}])
def test_all_kinds_of_webp_tell_their_size(options: dict[str, Any]) -> None:
    found = read(saved(corners(97, 63), "WEBP", **options))
    assert (found.width, found.height) == (97, 63)


def test_heic_tells_size_time_and_xmp_without_a_decoder() -> None:
    out = io.BytesIO()
    block = exif({Base.Make: "Apple", Base.Model: "iPhone 8", Base.Orientation: 6})
    packet = xmp("<dc:subject><rdf:Bag><rdf:li>sea</rdf:li></rdf:Bag></dc:subject>").encode()
    pillow_heif.from_pillow(stored(6)).save(out, exif=block.tobytes(), xmp=packet)
    found = read(out.getvalue())
    assert (found.camera, found.keywords) == ("Apple iPhone 8", ["sea"])
    assert (found.width, found.height) == (96, 64)


def test_the_camera_and_its_settings_are_read() -> None:
    block = exif(
        {Base.Make: "NIKON CORPORATION", Base.Model: "NIKON D3100"},
        {
            Base.LensModel: "18-55mm f/3.5-5.6",
            Base.ExposureTime: TiffImagePlugin.IFDRational(1, 250),
            Base.FNumber: TiffImagePlugin.IFDRational(18, 10),
            Base.ISOSpeedRatings: 64,
        },
    )
    found = read(jpeg(exif=block))
    assert (found.camera, found.lens) == ("NIKON D3100", "18-55mm f/3.5-5.6")
    assert (found.exposure, found.f_number, found.iso) == ("1/250", 1.8, 64)


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS 350D", "Canon EOS 350D"),
        ("EASTMAN KODAK COMPANY", "KODAK DX4900", "KODAK DX4900"),
        ("Apple", "iPhone 8", "Apple iPhone 8"),
        ("OLYMPUS OPTICAL CO.,LTD", "C2040Z", "OLYMPUS C2040Z"),
        ("", "Pixel 8", "Pixel 8"),
        ("Google", "", "Google"),
        ("", "", None),
        ("  \0", "\0", None),
    ],
)
def test_a_camera_is_named_once(make: str, model: str, camera: str | None) -> None:
    assert read(jpeg(exif=exif({Base.Make: make, Base.Model: model}))).camera == camera


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        ((1, 8000), "1/8000"), ((10, 2500), "1/250"), ((1, 3), "1/3"), ((1, 2), "1/2"), ((4, 10), "0.4"),
        ((2, 1), "2"), ((13, 10), "1.3"), ((0, 1), None), ((1, 0), None), ((0, 0), None),
    ],
)  # fmt: skip
def test_exposures_are_told_as_people_write_them(seconds: tuple[int, int], told: str | None) -> None:
    rational = TiffImagePlugin.IFDRational(*seconds)
    assert read(jpeg(exif=exif(details={Base.ExposureTime: rational}))).exposure == told


def position(lat: tuple[Any, ...], lon: tuple[Any, ...], ns: str = "N", ew: str = "E") -> Image.Exif:
    return exif(gps={GPS.GPSLatitudeRef: ns, GPS.GPSLatitude: lat, GPS.GPSLongitudeRef: ew, GPS.GPSLongitude: lon})


def test_positions_are_degrees_south_and_west_negative() -> None:
    found = read(jpeg(exif=position((46, 7, 30), (9, 12, 0), "S", "W")))
    assert (found.lat, found.lon) == (-46.125, -9.2)


@pytest.mark.parametrize(
    ("lat", "lon"),
    [
        ((0, 0, 0), (0, 0, 0)),
        ((91, 0, 0), (9, 0, 0)),
        ((46, 0, 0), (200, 0, 0)),
        ((TiffImagePlugin.IFDRational(0, 0),) * 3, (9, 0, 0)),
    ],
)
def test_impossible_positions_are_none(lat: tuple[Any, ...], lon: tuple[Any, ...]) -> None:
    found = read(jpeg(exif=position(lat, lon)))
    assert (found.lat, found.lon) == (None, None)


DESCRIPTION = '<dc:description><rdf:Alt><rdf:li xml:lang="de">See</rdf:li><rdf:li xml:lang="x-default">{}</rdf:li></rdf:Alt></dc:description>'  # noqa: E501


def test_the_caption_is_looked_for_in_xmp_then_iptc_then_exif() -> None:
    from_exif = jpeg(exif=exif({Base.ImageDescription: "from EXIF"}))
    from_iptc = with_iptc(from_exif, iptc((2, 120, b"from IPTC")))
    from_xmp = with_xmp(from_iptc, xmp(DESCRIPTION.format("from XMP")))
    assert [read(content).caption for content in (from_exif, from_iptc, from_xmp)] == [
        "from EXIF",
        "from IPTC",
        "from XMP",
    ]


def test_a_caption_of_the_camera_gives_way_to_one_of_a_person() -> None:
    content = with_iptc(jpeg(exif=exif({Base.ImageDescription: "Ana"})), iptc((2, 120, b"SONY DSC")))
    assert read(content).caption == "Ana"


@pytest.mark.parametrize(
    ("charset", "raw", "told"),
    [
        (b"\x1b%G", "Zürich, Café".encode(), "Zürich, Café"),
        (b"", "Zürich".encode(), "Zürich"),
        (b"", "Zürich".encode("latin-1"), "Zürich"),
        (b"\x1b%G", b"a\xff\xfeb\0", "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"),
    ],
)
def test_iptc_is_read_in_its_character_set(charset: bytes, raw: bytes, told: str) -> None:
    assert read(with_iptc(jpeg(), iptc((1, 90, charset), (2, 120, raw)))).caption == told


@pytest.mark.parametrize("raw", ["Zürich".encode(), "Zürich".encode("latin-1")])
def test_exif_captions_are_rescued_from_mojibake(raw: bytes) -> None:
    block = exif({Base.ImageDescription: "#" * len(raw)}).tobytes().replace(b"#" * len(raw), raw)
    assert read(jpeg(exif=block)).caption == "Zürich"


def test_keywords_of_xmp_and_iptc_are_put_together() -> None:
    packet = xmp("<dc:subject><rdf:Bag><rdf:li>lake</rdf:li><rdf:li>Ana</rdf:li></rdf:Bag></dc:subject>")
    content = with_xmp(with_iptc(jpeg(), iptc((2, 25, b"Lake"), (2, 25, b"summer"))), packet)
    assert read(content).keywords == ["lake", "Ana", "summer"]


def test_the_place_is_read_from_xmp_or_iptc() -> None:
    record = iptc((2, 90, b"Como"), (2, 101, b"Italy"))
    assert read(with_iptc(jpeg(), record)).place == "Como, Italy"
    packet = xmp("<photoshop:State>Lombardia</photoshop:State>", 'photoshop:City="Bellagio"')
    assert read(with_xmp(with_iptc(jpeg(), record), packet)).place == "Bellagio, Lombardia"


@pytest.mark.parametrize(
    "packet",
    [
        '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "boom"><!ENTITY b "&a;&a;">]><x description="&b;"/>',
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x><description>&e;</description></x>',
        "<description",
        "description \0\1\2",
        xmp(DESCRIPTION.format("&nope;")),
        b"\xff\xfe description",
        '<?xml version="1.0" encoding="nonsense"?><description/>',
    ],
)
def test_hostile_xmp_is_passed_over(packet: str | bytes) -> None:
    found = read(with_xmp(jpeg(exif=exif({Base.ImageDescription: "Ana"})), packet))
    assert (found.caption, found.width) == ("Ana", 96)


def test_tiff_tells_everything_too() -> None:
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    directory[Base.ImageDescription] = "Ana at the lake"
    directory[700] = xmp("<dc:subject><rdf:Bag><rdf:li>lake</rdf:li></rdf:Bag></dc:subject>").encode()
    directory[33723] = iptc((2, 90, b"Como"))
    directory.tagtype[33723] = 7
    found = read(saved(corners(), "TIFF", tiffinfo=directory))
    assert (found.caption, found.keywords, found.place) == ("Ana at the lake", ["lake"], "Como")


def test_iptc_declared_as_numbers_is_read() -> None:
    record = iptc((2, 90, b"Como"))
    record += bytes(-len(record) % 4)
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    directory[33723] = record
    directory.tagtype[33723] = 7
    as_bytes = saved(corners(), "TIFF", tiffinfo=directory)
    as_numbers = as_bytes.replace(
        struct.pack("<HHI", 33723, 7, len(record)), struct.pack("<HHI", 33723, 4, len(record) // 4)
    )
    assert as_numbers != as_bytes
    assert read(as_numbers).place == read(as_bytes).place == "Como"


def test_a_broken_block_costs_only_itself() -> None:
    content = with_xmp(jpeg(exif=b"Exif\0\0II*\0\xff\xff\xff\x7f"), xmp(DESCRIPTION.format("still here")))
    assert read(with_iptc(content, b"\x1c\x02\x19\xff\xff")).caption == "still here"
    assert read(with_segment(content, 0xED, b"Photoshop 3.0\x008BIM\x04")).caption == "still here"


def test_time_of_capture_falls_back_to_name_then_mtime() -> None:
    assert read(jpeg(), "IMG_20240701_160211.jpg", 10**18).taken_at_source == "name"
    found = read(jpeg(), "holiday.jpg", 1_234_567_890_123_456_789)
    assert (found.taken_at, found.taken_at_source) == (1_234_567_890_123_456, "mtime")


def seeds() -> list[bytes]:
    block = exif(
        {Base.Make: "Canon", Base.DateTime: "2024:07:01 16:02:11", Base.ImageDescription: "Ana"},
        {
            Base.DateTimeOriginal: "2024:07:01 16:02:11",
            Base.ExposureTime: TiffImagePlugin.IFDRational(1, 250),
        },
        dict(position((46, 7, 30), (9, 1, 1)).get_ifd(ExifTags.IFD.GPSInfo)),
    )
    packet = xmp(DESCRIPTION.format("a line"))
    return [
        with_iptc(with_xmp(jpeg(exif=block), packet), iptc((2, 120, b"line"), (2, 25, b"word"))),
        *(saved(corners(), kind, exif=block) for kind in ("PNG", "WEBP", "TIFF", "AVIF")),
        saved(corners(), "GIF"),
        saved(corners(), "BMP"),
    ]


SEEDS = seeds()


def mutated(content: bytes, seed: int) -> bytes:
    chance = random.Random(seed)
    changed = bytearray(content)
    for _ in range(chance.randint(1, 12)):
        # Headers lie in front; that is where damage is interesting.
        at = chance.randrange(2, min(len(changed), chance.choice((64, 600, 10**9))))
        changed[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    if chance.random() < 0.3:
        del changed[chance.randrange(12, len(changed)) :]
    return bytes(changed)


def texts(found: Metadata) -> Iterator[str]:
    for value in msgspec.structs.astuple(found):
        yield from [value] if isinstance(value, str) else value if isinstance(value, list) else []


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(SEEDS) - 1), st.integers(0, 2**32))
@example(0, 0)
def test_damaged_pictures_never_raise_and_never_give_broken_text(which: int, seed: int) -> None:
    content = mutated(SEEDS[which], seed)
    file_format = recognise(content)
    if file_format is None:
        return
    found = metadata.read(io.BytesIO(content), file_format, "x.jpg", 10**18)
    assert found.taken_at_source is not None
    for text in texts(found):
        assert text.encode("utf-8")
        assert "\0" not in text


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(FORMATS)),
    st.binary(max_size=400),
    st.text(max_size=40),
    st.integers(-(2**63), 2**63),
)
def test_random_bytes_never_raise(kind: str, content: bytes, name: str, mtime_ns: int) -> None:
    metadata.read(io.BytesIO(content), FORMATS[kind], name, mtime_ns)
    magic = {
        "JPEG": b"\xff\xd8\xff\xe1",
        "TIFF": b"II*\0",
        "PNG": b"\x89PNG\r\n\x1a\n",
        "HEIC": b"\0\0\0\x18ftypheic",
    }
    metadata.read(io.BytesIO(magic.get(kind, b"") + content), FORMATS[kind], name, mtime_ns)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_real_photos_are_read(path: Path) -> None:
    with path.open("rb") as file:
        file_format = recognise(file.read(4096))
        if file_format is not None:
            found = metadata.read(file, file_format, path.name, path.stat().st_mtime_ns)
            assert found.taken_at is not None
            assert (found.width is None) == (path.name == "beach.jpg")
