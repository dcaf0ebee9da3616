"""What a worker does, called in this process."""

import errno
import hashlib
import os
import resource
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tagline.media import tasks
from tagline.media.errors import MediaError, not_written
from tagline.media.files import steady
from tagline.media.fingerprint import EDGE, fingerprint
from tagline.media.thumbnails import SIZES
from tests.media.samples import corners, looks_upright, mov, mvhd, saved, video_track, with_xmp, xmp


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "IMG_20240701_160211.jpg"
    path.write_bytes(with_xmp(saved(corners(600, 400), "JPEG", quality=95), xmp("")))
    return path


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=red:size=320x180:duration=2:rate=5"]
    subprocess.run([*command, "-pix_fmt", "yuv420p", str(path)], check=True, timeout=60)
    return path


def headers(*paths: Path) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = tasks.headers([(os.fsencode(path), 0) for path in paths])["files"]
    return answers


def test_headers_tell_what_a_file_is(photo: Path) -> None:
    [found] = headers(photo)
    state = photo.stat()
    assert (found["format"], found["kind"], found["mime_type"]) == ("JPEG", "photo", "image/jpeg")
    assert (found["size"], found["mtime_ns"], found["inode"]) == (
        state.st_size,
        state.st_mtime_ns,
        state.st_ino,
    )
    assert (found["metadata"]["width"], found["metadata"]["taken_at_source"]) == (600, "name")


def test_a_copy_may_be_given_the_name_and_time_of_its_original(tmp_path: Path) -> None:
    copy = tmp_path / "tmp123"
    copy.write_bytes(saved(corners(), "PNG"))
    found = tasks.headers([(str(copy), 5_000), (str(copy), 5_000, "2024-07-01.png")])["files"]
    assert [file["metadata"]["taken_at_source"] for file in found] == ["mtime", "name"]
    assert found[0]["metadata"]["taken_at"] == 5


def test_headers_never_wait_follow_or_fail(tmp_path: Path, photo: Path) -> None:
    fifo, link, folder, gone = (tmp_path / name for name in ("fifo", "link", "folder", "gone"))
    os.mkfifo(fifo)
    link.symlink_to(photo)
    folder.mkdir()
    text, broken, empty = tmp_path / "a.jpg", tmp_path / "b.jpg", tmp_path / "c.jpg"
    text.write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    broken.write_bytes(b"\xff\xd8\xff\xe0\0\4JF")
    empty.touch()
    unnamed = tmp_path / os.fsdecode(b"caf\xe9 20240701.jpg")
    unnamed.write_bytes(photo.read_bytes())
    found = headers(fifo, link, folder, gone, text, broken, empty, unnamed)
    assert [file.get("error") for file in found] == ["not_readable"] * 4 + [None, "broken_image", None, None]
    assert [file.get("skipped") for file in found[4:]] == [True, None, True, None]
    assert headers(Path("nul\0nul"))[0]["error"] == "not_readable"


def test_a_film_without_pictures_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    path.write_bytes(mov(mvhd()))
    assert headers(path)[0]["error"] == "video_broken"
    path.write_bytes(mov(mvhd(), video_track(64, 48)))
    assert headers(path)[0]["metadata"]["duration"] == 2.5


@pytest.mark.parametrize("size", [0, 1, 2 * EDGE, 2 * EDGE + 1, 5 * EDGE])
def test_the_fingerprint_is_of_length_and_both_ends(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    path = tmp_path / "x"
    path.write_bytes(content)
    ends = content if size <= 2 * EDGE else content[:EDGE] + content[-EDGE:]
    wanted = hashlib.blake2b(size.to_bytes(8, "little") + ends, digest_size=16).hexdigest()
    with path.open("rb") as file:
        assert fingerprint(file, size) == wanted


def test_digest_gives_hash_thumbnail_and_placeholder(photo: Path, tmp_path: Path) -> None:
    grid = tmp_path / "cache" / "ab" / "grid.webp"
    found = tasks.digest(str(photo), str(grid))
    assert found["sha256"] == hashlib.sha256(photo.read_bytes()).hexdigest()
    assert (found["thumbnails"], found["image_error"]) == ([256], None)
    assert len(b64decode(found["placeholder"])) > 5
    with Image.open(grid) as image:
        assert (image.format, image.size) == ("WEBP", (256, 171))
        assert looks_upright(image)
        assert "xmp" not in image.info
    assert [path.name for path in grid.parent.iterdir()] == ["grid.webp"]


def test_large_files_are_hashed_in_pieces(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tasks.digest(str(photo), str(tmp_path / "a.webp"))
    monkeypatch.setattr(tasks, "READ_WHOLE", 1000)
    monkeypatch.setattr(tasks, "_CHUNK", 777)
    assert tasks.digest(str(photo), str(tmp_path / "b.webp")) == whole
    assert (tmp_path / "a.webp").read_bytes() == (tmp_path / "b.webp").read_bytes()


def test_hash_only_makes_nothing_else(photo: Path, tmp_path: Path) -> None:
    found = tasks.digest(str(photo), str(tmp_path / "grid.webp"), hash_only=True)
    assert found["sha256"]
    assert (found["placeholder"], found["thumbnails"]) == (None, [])
    assert not (tmp_path / "grid.webp").exists()


def test_a_broken_picture_still_has_its_hash(photo: Path, tmp_path: Path) -> None:
    content = photo.read_bytes()
    photo.write_bytes(content[: content.index(b"\xff\xda")])
    found = tasks.digest(str(photo), str(tmp_path / "grid.webp"))
    assert found["sha256"] == hashlib.sha256(photo.read_bytes()).hexdigest()
    assert found["image_error"]["code"] == "broken_image"
    assert (found["placeholder"], found["thumbnails"]) == (None, [])


def test_a_file_that_changes_meanwhile_is_left_alone(photo: Path) -> None:
    reading = steady(str(photo))
    reading.__enter__()[0].read()
    with photo.open("ab") as writer:
        writer.write(b"more")
    with pytest.raises(MediaError) as caught:
        reading.__exit__(None, None, None)
    assert caught.value.code == "still_being_written"


@pytest.mark.parametrize("kind", ["webp", "jpeg"])
def test_all_sizes_come_from_one_decode_and_none_is_enlarged(tmp_path: Path, kind: str) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(saved(corners(1500, 1000, "RGBA"), "PNG"))
    places: dict[int, str | bytes] = {size: str(tmp_path / f"{size}") for size in SIZES}
    assert tasks.thumbnails(str(photo), places, kind)["thumbnails"] == list(SIZES)
    for size in SIZES:
        with Image.open(tmp_path / f"{size}") as image:
            assert image.format == kind.upper()
            assert max(image.size) == min(size, 1500)
            assert looks_upright(image)
            assert not image.info.get("exif")


def test_transparent_pictures_stay_so_in_webp_and_lie_on_white_in_jpeg(tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(saved(Image.new("RGBA", (50, 50), (0, 0, 0, 0)), "PNG"))
    for kind in ("webp", "jpeg"):
        tasks.thumbnails(str(photo), {256: str(tmp_path / kind)}, kind)
    with Image.open(tmp_path / "webp") as webp, Image.open(tmp_path / "jpeg") as jpeg:
        assert webp.mode == "RGBA"
        assert jpeg.getpixel((9, 9)) == (255, 255, 255)


def test_what_is_no_photo_has_no_thumbnail(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    path.write_text("<svg/>")
    with pytest.raises(MediaError, match="damaged"):
        tasks.thumbnails(str(path), {256: str(tmp_path / "t")})


@pytest.fixture
def small_disk(photo: Path) -> Iterator[None]:
    """From now on no file may grow beyond 100 bytes: EFBIG, as good as a full disk's ENOSPC."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_is_told_and_leaves_nothing(photo: Path, tmp_path: Path) -> None:
    found = tasks.digest(str(photo), str(tmp_path / "cache" / "grid.webp"))
    assert found["image_error"]["code"] == "disk_full"
    assert found["placeholder"]
    assert list((tmp_path / "cache").iterdir()) == []


def test_other_troubles_of_writing_are_told(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").touch()
    assert tasks.digest(str(photo), str(tmp_path / "taken"))["image_error"]["code"] == "not_writable"
    assert [not_written(OSError(code, "")).code for code in (errno.ENOSPC, errno.EDQUOT)] == ["disk_full"] * 2


def test_films_have_a_poster_frame(film: Path, tmp_path: Path) -> None:
    assert headers(film)[0]["metadata"]["width"] == 320
    found = tasks.digest(str(film), str(tmp_path / "grid.webp"))
    assert (found["image_error"], found["thumbnails"]) == (None, [256])
    assert found["sha256"] == hashlib.sha256(film.read_bytes()).hexdigest()
    with Image.open(tmp_path / "grid.webp") as image:
        assert image.size == (256, 144)
        pixel = image.convert("RGB").getpixel((100, 100))
        assert isinstance(pixel, tuple)
        assert pixel[0] > 200


def test_without_ffmpeg_films_have_none(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("ffmpeg") is None
    assert tasks.digest(str(film), str(tmp_path / "x"))["image_error"]["code"] == "no_ffmpeg"


def test_a_damaged_film_has_none(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    path.write_bytes(mov(mvhd(), video_track(64, 48)))
    with pytest.raises(MediaError) as caught:
        tasks.thumbnails(str(path), {256: str(tmp_path / "x")})
    assert caught.value.code == "video_broken"
