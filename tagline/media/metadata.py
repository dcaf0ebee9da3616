"""What a file tells about itself, read from its headers alone: no pixel is decoded."""

import warnings
from typing import BinaryIO

import msgspec

from tagline.media import captured, exif, headers, iptc, video, xmp
from tagline.media.errors import MediaError
from tagline.media.formats import Format
from tagline.media.text import caption, keywords, one_line


class Metadata(msgspec.Struct, omit_defaults=True):
    """Everything is optional: a broken header costs what it held, nothing else.

    width, height: pixels as displayed, the file's rotation applied. taken_at: microseconds since 1970 UTC;
    taken_offset: minutes east of UTC (this machine's time zone where the file tells none); taken_at_source:
    exif, xmp, container (videos), name, mtime. exposure: seconds as people write them ("1/250", "2").
    lat, lon: degrees, WGS 84. duration: seconds. Texts are NFC, without control characters or surrogates.
    """

    width: int | None = None
    height: int | None = None
    taken_at: int | None = None
    taken_offset: int | None = None
    taken_at_source: str | None = None
    camera: str | None = None
    lens: str | None = None
    exposure: str | None = None
    f_number: float | None = None
    iso: int | None = None
    lat: float | None = None
    lon: float | None = None
    caption: str | None = None
    keywords: list[str] = msgspec.field(default_factory=list)
    place: str | None = None
    duration: float | None = None


def read(file: BinaryIO, file_format: Format, name: str = "", mtime_ns: int = 0) -> Metadata:
    """The metadata of `file`, which was recognised as `file_format`; never raises for what the file holds.

    `name` (the file's own name, without folders) and `mtime_ns` (0: unknown) are asked for the time of
    capture when the file itself does not tell it. Width and height are None if the file has no picture that
    could be shown. Raises OSError only when reading itself fails.
    """
    read_headers = _of_video if file_format.kind == "video" else _of_photo
    with warnings.catch_warnings():
        # Pillow warns of every odd tag; what could be read is what counts.
        warnings.simplefilter("ignore")
        found = read_headers(file, file_format)
    if found.taken_at is None:
        moment, found.taken_at_source = captured.by_name(name), "name"
        if moment is None and mtime_ns:
            moment, found.taken_at_source = captured.by_mtime(mtime_ns), "mtime"
        _set_moment(found, moment, found.taken_at_source)
    return found


def _of_photo(file: BinaryIO, file_format: Format) -> Metadata:
    try:
        head = headers.read(file, file_format)
    except MediaError:
        return Metadata()
    tags = exif.read(head.exif)
    packet = xmp.read(head.xmp)
    record = iptc.read(head.iptc)
    width, height = head.width, head.height
    if (head.orientation or tags.orientation) in (5, 6, 7, 8):
        width, height = height, width
    lines = (caption(text, tags.camera) for text in (packet.description, record.caption, tags.description))
    found = Metadata(
        width=width,
        height=height,
        camera=tags.camera,
        lens=tags.lens,
        exposure=tags.exposure,
        f_number=tags.f_number,
        iso=tags.iso,
        lat=tags.lat,
        lon=tags.lon,
        caption=next((line for line in lines if line), None),
        keywords=keywords([*packet.subjects, *record.keywords]),
        place=_place(packet.place) or _place(record.place),
    )
    _set_moment(found, tags.taken, "exif")
    if found.taken_at is None:
        _set_moment(found, packet.taken, "xmp")
    return found


def _of_video(file: BinaryIO, file_format: Format) -> Metadata:
    film = video.read(file)
    camera = exif.camera_name(film.make, film.model)
    found = Metadata(
        width=film.width,
        height=film.height,
        camera=camera,
        lat=film.lat,
        lon=film.lon,
        caption=caption(film.description, camera),
        keywords=keywords(film.keywords),
        duration=film.duration,
    )
    _set_moment(found, film.taken, "container")
    return found


def _set_moment(found: Metadata, moment: captured.Moment | None, source: str | None) -> None:
    if moment is None:
        found.taken_at = found.taken_offset = found.taken_at_source = None
    else:
        found.taken_at, found.taken_offset, found.taken_at_source = moment.at, moment.offset, source


def _place(names: tuple[str, ...]) -> str | None:
    """City, State, Country, those that are told, each once."""
    return ", ".join(dict.fromkeys(n for name in names if (n := one_line(name, 200)))) or None
