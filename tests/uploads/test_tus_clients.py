"""Clients that other people wrote, as they are: tus-js-client in Node.js (apps, Uppy) and tuspy."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.command import ROOT
from tests.house import Client, House, running
from tests.robustness.service import serving
from tests.uploads.sending import files, large, parts, sha256

PACKAGES = ROOT / "build/npm/node_modules"
SCRIPT = Path(__file__).parent / "clients/upload.cjs"
CHUNK = 64 * 1024


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A file of 2 MB that is recognised as a picture."""
    path = tmp_path / "IMG_0042.jpg"
    path.write_bytes(large(2))
    return path


def token(client: Client) -> str:
    """What somebody shows."""
    return client.headers["Authorization"].removeprefix("Bearer ")


class Running:
    """An upload by tus-js-client."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def told(self) -> Any:
        """The next thing that it tells; None at the end."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        return json.loads(line) if line else None

    async def last(self) -> Any:
        """The last thing that it tells."""
        last = None
        while told := await self.told():
            last = told
        return last

    async def stop(self) -> None:
        """End it if it has not ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.communicate()


@asynccontextmanager
async def javascript(who: Client, file: Path, **options: Any) -> AsyncIterator[Running]:
    """tus-js-client sends a file."""
    assert (PACKAGES / "tus-js-client").is_dir(), (
        "`make build/npm/.installed` fetches the clients written in JavaScript"
    )
    node = shutil.which("node")
    assert node, "`make programs` installs Node.js"
    process = await asyncio.create_subprocess_exec(
        node, SCRIPT, f"{who.base}/api/uploads", token(who), file, json.dumps(options),
        env={**os.environ, "NODE_PATH": str(PACKAGES)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    sending = Running(process)
    try:
        yield sending
    finally:
        await sending.stop()


async def by_javascript(who: Client, file: Path, **options: Any) -> Any:
    """What tus-js-client tells at the end."""
    async with javascript(who, file, **options) as sending:
        return await sending.last()


async def by_python(who: Client, file: Path, **options: Any) -> Any:
    """What tuspy tells at the end."""
    options = {"chunk": CHUNK, "metadata": {"filename": file.name}, **options}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.uploads.clients.with_tuspy", f"{who.base}/api/uploads", token(who), file,
        json.dumps(options), cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told, _ = await process.communicate()
    return json.loads(told)


def check(house: House, file: Path, key: str = "") -> None:
    """The one file of the library is this one."""
    [stored] = files(house)
    assert stored.endswith(key or file.name)
    assert (house.library / stored).read_bytes() == file.read_bytes()
    assert parts(house) == []


# tus-js-client


@pytest.mark.slow
@pytest.mark.parametrize("how", [{}, {"chunk": CHUNK}, {"during": True}, {"during": True, "chunk": CHUNK}])
async def test_tus_js_client_uploads(house: House, film: Path, how: dict[str, Any]) -> None:
    told = await by_javascript(house.ana, film, metadata={"filename": "Été.jpg", "filetype": "image/jpeg"}, **how)
    assert told["done"], told
    check(house, film, "Été.jpg")
    assert told["photo"] == (await house.photos())[0]["id"]
    assert told["duplicate"] == "false"
    again = await by_javascript(house.ana, film, **how)
    assert (again["photo"], again["duplicate"]) == (told["photo"], "true")
    check(house, film, "Été.jpg")


@pytest.mark.slow
async def test_tus_js_client_pauses_and_goes_on_by_what_it_noted(house: House, film: Path, tmp_path: Path) -> None:
    noted = {"store": str(tmp_path / "noted.json"), "chunk": CHUNK, "metadata": {"filename": film.name}}
    paused = await by_javascript(house.ana, film, pauseAt=5 * CHUNK, **noted)
    assert paused["paused"] >= 5 * CHUNK
    assert (files(house), len(parts(house))) == ([], 1)
    async with javascript(house.ana, film, **noted) as sending:
        first = await sending.told()
        assert first["accepted"] > paused["paused"], "nothing is sent twice"
        assert first["url"] == paused["url"]
        assert (await sending.last())["done"]
    check(house, film)


@pytest.mark.slow
async def test_tus_js_client_goes_on_after_a_restart(tmp_path: Path, film: Path) -> None:
    async with running(tmp_path / "data") as house:
        paused = await by_javascript(house.ana, film, pauseAt=5 * CHUNK, chunk=CHUNK, metadata={"filename": film.name})
    async with running(tmp_path / "data") as house:
        place = house.base + paused["url"][paused["url"].index("/api/") :]
        async with javascript(house.ana, film, url=place, chunk=CHUNK) as sending:
            assert (await sending.told())["accepted"] > paused["paused"]
            assert (await sending.last())["done"]
        check(house, film)


@pytest.mark.slow
async def test_tus_js_client_outlives_a_server_that_is_killed_under_it(tmp_path: Path, film: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    data = tmp_path / "data"
    async with (
        serving(data, PORT=port) as (service, ana),
        javascript(ana, film, chunk=CHUNK, metadata={"filename": film.name}) as sending,
    ):
        while (told := await sending.told())["accepted"] < 6 * CHUNK:
            pass
        await service.kill()
        async with serving(data, signed_in_as=ana.headers, PORT=port) as (_, again):
            seen = told["accepted"]
            while not (told := await sending.told()).get("done"):
                assert told["accepted"] >= seen, told
            [photo] = (await again.get("/photos")).json["items"]
            assert (photo["id"], photo["sha256"]) == (told["photo"], sha256(large(2)))


@pytest.mark.slow
async def test_tus_js_client_is_told_why_a_file_is_refused(house: House, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no photo")
    told = await by_javascript(house.ana, text)
    assert (told["status"], "no image or video" in told["error"]) == (415, True)
    assert (files(house), parts(house)) == ([], [])


# tuspy


@pytest.mark.slow
@pytest.mark.parametrize("checked", [False, True])
async def test_tuspy_uploads(house: House, film: Path, checked: bool) -> None:
    told = await by_python(house.ana, film, checked=checked)
    assert told["ended"] == len(large(2))
    check(house, film)


@pytest.mark.slow
@pytest.mark.parametrize("checked", [False, True])
async def test_tuspy_pauses_and_goes_on_after_a_restart(tmp_path: Path, film: Path, checked: bool) -> None:
    async with running(tmp_path / "data") as house:
        paused = await by_python(house.ana, film, stop_at=5 * CHUNK, checked=checked)
        assert paused["ended"] == 5 * CHUNK
    async with running(tmp_path / "data") as house:
        place = house.base + paused["url"][paused["url"].index("/api/") :]
        told = await by_python(house.ana, film, url=place, checked=checked)
        assert (told["began"], told["ended"]) == (5 * CHUNK, len(large(2))), "nothing is sent twice"
        check(house, film)


@pytest.mark.slow
async def test_tuspy_goes_on_by_what_it_noted(house: House, film: Path, tmp_path: Path) -> None:
    noted = str(tmp_path / "noted.json")
    paused = await by_python(house.ana, film, stop_at=3 * CHUNK, store=noted)
    told = await by_python(house.ana, film, store=noted)
    assert (told["url"], told["began"]) == (paused["url"], 3 * CHUNK)
    check(house, film)


@pytest.mark.slow
async def test_tuspy_is_told_why_a_file_is_refused(house: House, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no photo")
    assert await by_python(house.ana, text) == {"status": 415}
