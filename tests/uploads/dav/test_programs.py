"""Programs that nobody here has written: the litmus suite, and rclone."""

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.house import Client
from tests.photos.files import photo
from tests.robustness.service import everything, serving

pytestmark = pytest.mark.slow

SUITES = ("basic", "copymove", "props", "locks", "http")


async def key_of(ana: Client) -> str:
    """A new API key that may write."""
    made = await ana.post("/api/auth/keys", {"name": "a program", "scope": "write"})
    return str(made.json["key"])


async def run(*command: str, cwd: Path, **environ: str) -> tuple[int | None, str]:
    """A program's exit status, and all that it said."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env={"PATH": os.environ["PATH"], "HOME": str(cwd), **environ},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_all_of_litmus_passes_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    async with serving(tmp_path / "data", PHOTO_STORAGE_PATH=str(tmp_path / "photos")) as (service, ana):
        key = await key_of(ana)
        # -k: each suite, whatever became of the one before.
        address = f"{service.address}/dav/"
        status, said = await run("litmus", "-k", address, "ana", key, cwd=tmp_path, TESTS=" ".join(SUITES))
        failed = re.findall(r"^ *\d+\. (\S+?)\.* (?:FAIL|SKIPPED).*", said, re.MULTILINE)
        assert failed == [], said
        assert "WARNING" not in said, said
        summaries = re.findall(r"summary for `(\w+)': of (\d+) tests run: (\d+) passed, 0 failed", said)
        assert [(suite, run == passed) for suite, run, passed in summaries] == [(suite, True) for suite in SUITES]
        assert sum(int(run) for _, run, _ in summaries) >= 104
        assert status == 0
        assert (await ana.get("/photos")).json["total"] == 0


async def test_rclone_brings_photos_compares_them_and_follows_renames(tmp_path: Path) -> None:
    source = tmp_path / "phone"
    for seed in range(12):
        photo(source / f"DCIM/{seed % 3}/IMG {seed} é&#.jpg", seed)
    (source / "DCIM/0/IMG 0.xmp").write_text("<x:xmpmeta/>")
    (tmp_path / "photos").mkdir()
    async with serving(tmp_path / "data", PHOTO_STORAGE_PATH=str(tmp_path / "photos")) as (service, ana):
        obscured = (await run("rclone", "obscure", await key_of(ana), cwd=tmp_path))[1].strip()

        async def rclone(*command: str) -> str:
            remote = {
                "RCLONE_CONFIG_TAGLINE_TYPE": "webdav", "RCLONE_CONFIG_TAGLINE_URL": f"{service.address}/dav/",
                "RCLONE_CONFIG_TAGLINE_USER": "phone", "RCLONE_CONFIG_TAGLINE_PASS": obscured,
                "RCLONE_CONFIG_TAGLINE_VENDOR": "owncloud",
            }  # fmt: skip
            quiet = ("--config", "/dev/null", "-v", "--retries", "1", "--stats", "0")
            status, said = await run("rclone", *command, *quiet, cwd=tmp_path, **remote)
            assert status == 0, said
            return said

        assert (await rclone("copy", "phone", "tagline:")).count(": Copied (new)") == 13
        assert (await ana.get("/photos")).json["total"] == 12
        await rclone("check", "phone", "tagline:", "--download")
        assert "Copied" not in await rclone("copy", "phone", "tagline:")
        before = {each["sha256"]: each["id"] for each in await everything(ana)}
        for path in sorted((source / "DCIM/0").glob("*.jpg")):
            path.rename(source / "DCIM/1" / f"renamed {path.name}")
        photo(source / "DCIM/2/IMG 2 é&#.jpg", 99)
        shutil.rmtree(source / "DCIM/0")
        said = await rclone("sync", "phone", "tagline:", "--track-renames", "--track-renames-strategy", "modtime")
        assert said.count(": Renamed from ") == 4, said
        await rclone("check", "phone", "tagline:", "--download", "--one-way")
        listed = (await run("find", "photos", "-name", "*.jpg", cwd=tmp_path))[1]
        assert "DCIM/1/renamed IMG 0 é&#.jpg" in listed, said
        # All are the photos that they were: what stayed, what was renamed, and what has another content.
        assert {each["id"] for each in await everything(ana)} == set(before.values())
        downloaded = tmp_path / "downloaded"
        await rclone("copy", "tagline:", str(downloaded))
        names = {path.name: path.read_bytes() for path in source.rglob("*.jpg")}
        assert {path.name: path.read_bytes() for path in downloaded.rglob("*.jpg")} == names
