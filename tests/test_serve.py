"""The service as a process of its own: how it starts, who may start it, and how it ends."""

import asyncio
import os
import re
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import ClientSession

from tagline import __version__
from tagline.migrations import migrate
from tests.command import COMMAND, ROOT, environment, tagline
from tests.house import PASSWORD, make_photo

pytestmark = pytest.mark.slow


class Service:
    """`tagline serve`, started; what it printed so far is in `told`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.told = ""
        self.base = ""

    async def line(self) -> str:
        assert self.process.stdout is not None
        line = (await self.process.stdout.readline()).decode()
        self.told += line
        return line

    async def rest(self) -> str:
        assert self.process.stdout is not None
        self.told += (await self.process.stdout.read()).decode()
        return self.told

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        await self.rest()
        return await self.process.wait()


@asynccontextmanager
async def serving(data_dir: Path, **settings: str) -> AsyncIterator[Service]:
    """The service, when it answers. It is ended at the end, if it has not ended by then."""
    chosen = {"PORT": "0", "HOST": "127.0.0.1", "BACKEND_PASSWORD": PASSWORD, "TAGLINE_WATCH": "off", **settings}
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "serve", cwd=ROOT, env=environment(data_dir, **chosen),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    service = Service(process)
    try:
        async with asyncio.timeout(60):
            while not (found := re.match(r"Open (http://\S+)$", await service.line())):
                assert process.returncode is None, service.told
                assert not process.stdout.at_eof(), service.told  # type: ignore[union-attr]
        service.base = found[1]
        yield service
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def signed_in(session: ClientSession, base: str) -> dict[str, str]:
    async with session.post(f"{base}/login", json={"password": PASSWORD}) as answer:
        assert answer.status == 200
        return {"Authorization": f"Bearer {(await answer.json())['access_token']}"}


async def test_it_tells_where_it_is_and_answers_there(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, ClientSession() as session:
        assert f"Tagline {__version__} serves {tmp_path / 'photos'}" in service.told.splitlines()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", service.base)
        async with session.get(f"{service.base}/health") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "healthy"})
        assert await service.stop() == 0
        # The directory is its owner's alone, and nothing is left of the lock but the file.
        assert oct((tmp_path / "jwt_secret").stat().st_mode & 0o777) == "0o600"


async def test_the_first_start_prints_a_link_that_sets_it_up(tmp_path: Path) -> None:
    async with serving(tmp_path, BACKEND_PASSWORD="") as service, ClientSession() as session:
        found = re.search(r"Choose the household's password here, once: (\S+)/setup#token=(\S+)", await service.line())
        assert found
        assert found[1] == service.base
        # The same as a picture, for a phone.
        drawn = "".join([await service.line() for _ in range(10)])
        assert "█" in drawn or "▀" in drawn
        asked = {"token": found[2], "password": "a long household password"}
        async with session.post(f"{service.base}/setup", json=asked) as answer:
            assert answer.status == 200
        assert await service.stop() == 0
    async with serving(tmp_path, BACKEND_PASSWORD="") as service:
        assert await service.stop(signal.SIGINT) == 0
        assert "token=" not in service.told


async def test_no_token_password_or_key_is_ever_in_the_log(tmp_path: Path) -> None:
    async with serving(tmp_path, LOG_LEVEL="debug", TAGLINE_LOG_FORMAT="json") as service, ClientSession() as session:
        async with session.post(f"{service.base}/login", json={"password": PASSWORD}) as answer:
            pair = await answer.json()
        headers = {"Authorization": f"Bearer {pair['access_token']}"}
        async with session.post(
            f"{service.base}/api/auth/keys", json={"name": "x", "scope": "read"}, headers=headers
        ) as answer:
            key = (await answer.json())["key"]
        async with session.get(f"{service.base}/photos?q=secret", headers={"x-api-key": key}) as answer:
            assert answer.status == 200
        async with session.post(f"{service.base}/refresh", json={"refresh_token": pair["refresh_token"]}) as answer:
            assert answer.status == 200
        assert await service.stop() == 0
    for secret in (PASSWORD, pair["access_token"], pair["refresh_token"], key, "secret"):
        assert secret not in service.told
    lines = [msgspec.json.decode(line) for line in service.told.splitlines() if line.startswith("{")]
    asked = [(line["method"], line["route"], line["status"]) for line in lines if "route" in line]
    assert ("POST", "/login", 200) in asked
    assert ("GET", "/photos", 200) in asked


async def test_a_download_that_is_under_way_when_it_is_told_to_stop_is_finished(tmp_path: Path) -> None:
    library = tmp_path / "library"
    make_photo(library / "lake.jpg")
    size = 30_000_000
    with (library / "lake.jpg").open("ab") as file:
        file.truncate(size)
    async with serving(tmp_path / "data", PHOTO_STORAGE_PATH=str(library)) as service, ClientSession() as session:
        headers = await signed_in(session, service.base)
        async with session.post(f"{service.base}/rescan", headers=headers) as answer:
            assert answer.status == 200
        async with session.get(f"{service.base}/photos", headers=headers) as answer:
            [photo] = (await answer.json())["items"]
        async with session.get(service.base + photo["links"]["image"], headers=headers) as answer:
            got = len(await answer.content.readexactly(100_000))
            service.process.terminate()
            # From now on nobody new is let in.
            port = int(service.base.rpartition(":")[2])
            await refused(port)
            assert service.process.returncode is None
            while chunk := await answer.content.read(1_000_000):
                got += len(chunk)
        assert got == size
        async with asyncio.timeout(10):
            await service.rest()
            assert await service.process.wait() == 0


async def refused(port: int) -> None:
    """Wait until nobody listens at a port."""
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return
            writer.close()
            await asyncio.sleep(0.02)


async def test_a_client_that_never_reads_on_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    library = tmp_path / "library"
    make_photo(library / "lake.jpg")
    with (library / "lake.jpg").open("ab") as file:
        file.truncate(100_000_000)
    async with serving(tmp_path / "data", PHOTO_STORAGE_PATH=str(library)) as service, ClientSession() as session:
        headers = await signed_in(session, service.base)
        async with session.post(f"{service.base}/rescan", headers=headers):
            pass
        async with session.get(f"{service.base}/photos", headers=headers) as answer:
            [photo] = (await answer.json())["items"]
        async with session.get(service.base + photo["links"]["image"], headers=headers) as answer:
            await answer.content.readexactly(1)
            # Ten seconds to finish, and some for the rest on a busy machine.
            async with asyncio.timeout(14):
                assert await service.stop() == 0


async def test_a_second_one_on_the_same_data_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        second = await asyncio.to_thread(tagline, "serve", data_dir=tmp_path, PORT="0", BACKEND_PASSWORD=PASSWORD)
        assert (second.returncode, second.stdout) == (1, "")
        assert second.stderr == (
            f"Another Tagline uses {tmp_path} already. Stop that one first, "
            "or give this one another TAGLINE_DATA_DIR and PORT.\n"
        )
        async with ClientSession() as session, session.get(f"{service.base}/health") as answer:
            assert answer.status == 200
        service.process.kill()
        await service.process.wait()
    # Killed as it was, it holds nothing any more.
    async with serving(tmp_path) as service:
        assert await service.stop() == 0


async def test_a_port_that_is_taken_is_told_in_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        answer = await asyncio.to_thread(
            tagline, "serve", data_dir=tmp_path, HOST="127.0.0.1", PORT=port, BACKEND_PASSWORD=PASSWORD
        )
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1].startswith(f"Cannot listen on 127.0.0.1:{port}: ")
    assert answer.stderr.endswith("PORT and HOST choose another.\n")
    assert "Traceback" not in answer.stdout + answer.stderr


@pytest.mark.parametrize("wrong", ["a file", "no permission"])
async def test_a_data_directory_that_cannot_be_used_is_told_in_a_sentence(tmp_path: Path, wrong: str) -> None:
    place = tmp_path / "file" / "data" if wrong == "a file" else Path("/proc/tagline")
    (tmp_path / "file").touch()
    answer = await asyncio.to_thread(tagline, "serve", data_dir=place, PORT="0")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.startswith(f"The data directory {place} cannot be used: ")
    assert len(answer.stderr.splitlines()) == 1


async def test_a_library_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    missing = tmp_path / "no such folder"
    answer = await asyncio.to_thread(tagline, "serve", data_dir=tmp_path, PORT="0", PHOTO_STORAGE_PATH=str(missing))
    assert answer.returncode == 1
    assert str(missing) in answer.stderr
    assert "Traceback" not in answer.stdout + answer.stderr


async def test_a_scan_on_the_command_line_is_done_by_the_service_where_it_runs(tmp_path: Path) -> None:
    library = tmp_path / "library"
    make_photo(library / "lake.jpg")
    settings = {"PHOTO_STORAGE_PATH": str(library), "TAGLINE_SCAN_AT_START": "off"}
    async with serving(tmp_path / "data", **settings) as service, ClientSession() as session:
        answer = await asyncio.to_thread(tagline, "scan", data_dir=tmp_path / "data", **settings)
        assert (answer.returncode, answer.stderr) == (0, f"Library: {tmp_path / 'data'}\n")
        assert re.fullmatch(r"1 imported \(\d+\.\d s\)\n", answer.stdout)
        headers = await signed_in(session, service.base)
        async with session.get(f"{service.base}/photos", headers=headers) as listed:
            [photo] = (await listed.json())["items"]
        # It waited for the background as well.
        assert photo["sha256"]
        assert await service.stop() == 0


def test_a_scan_on_the_command_line_needs_no_service(tmp_path: Path) -> None:
    library = tmp_path / "library"
    make_photo(library / "lake.jpg")
    (library / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo at all")
    (library / "notes.txt").write_text("no photo either")
    first = tagline("scan", data_dir=tmp_path / "data", PHOTO_STORAGE_PATH=str(library))
    assert first.returncode == 0, first.stderr
    # It makes a library where there is none, and says where.
    assert first.stderr == f"Library: {tmp_path / 'data'}\n"
    assert first.stdout.startswith("1 imported, 1 skipped (")
    assert "  broken.jpg: " in first.stdout
    again = tagline("scan", data_dir=tmp_path / "data", PHOTO_STORAGE_PATH=str(library))
    assert again.stdout.startswith("1 unchanged, 1 skipped (")
    shutil.copy(library / "lake.jpg", library / "copy.jpg")
    copied = tagline("scan", data_dir=tmp_path / "data", PHOTO_STORAGE_PATH=str(library))
    assert "1 copy, " in copied.stdout
    (library / "copy.jpg").unlink()
    # A library that looks emptied is asked about.
    (library / "lake.jpg").unlink()
    emptied = tagline("scan", data_dir=tmp_path / "data", PHOTO_STORAGE_PATH=str(library))
    assert emptied.returncode == 1
    assert "--accept-missing" in emptied.stderr
    believed = tagline("scan", "--accept-missing", data_dir=tmp_path / "data", PHOTO_STORAGE_PATH=str(library))
    assert believed.returncode == 0
    assert "1 missing" in believed.stdout


async def test_a_password_set_on_the_command_line_signs_every_device_out(tmp_path: Path) -> None:
    def set_to(password: str) -> str:
        answer = tagline("user", "password", data_dir=tmp_path, typed=f"{password}\n")
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    migrate(tmp_path / "tagline.db")
    assert await asyncio.to_thread(set_to, PASSWORD) == "The password is changed; 0 devices were signed out.\n"
    async with serving(tmp_path, BACKEND_PASSWORD="") as service, ClientSession() as session:
        headers = await signed_in(session, service.base)
        told = await asyncio.to_thread(set_to, "another household password")
        assert told == "The password is changed; 1 device was signed out.\n"
        async with asyncio.timeout(10):
            status = 200
            while status == 200:
                async with session.get(f"{service.base}/photos", headers=headers) as answer:
                    status = answer.status
        assert status == 401
        async with session.post(f"{service.base}/login", json={"password": PASSWORD}) as answer:
            assert answer.status == 401
        assert await service.stop() == 0


@pytest.mark.parametrize(
    ("typed", "told"),
    [("short\n", "at least 8 characters"), ("password\n", "among the most used"), ("", "at least 8 characters")],
)
def test_a_password_that_is_refused_changes_nothing(tmp_path: Path, typed: str, told: str) -> None:
    migrate(tmp_path / "tagline.db")
    answer = tagline("user", "password", data_dir=tmp_path, typed=typed)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert told in answer.stderr
    assert "no password" in tagline("user", "list", data_dir=tmp_path).stdout


def test_a_configured_password_is_not_changed_behind_its_back(tmp_path: Path) -> None:
    migrate(tmp_path / "tagline.db")
    answer = tagline("user", "password", data_dir=tmp_path, typed="another password\n", BACKEND_PASSWORD=PASSWORD)
    assert answer.returncode == 1
    assert "BACKEND_PASSWORD is set" in answer.stderr


def test_a_key_that_is_not_there_cannot_be_revoked(tmp_path: Path) -> None:
    migrate(tmp_path / "tagline.db")
    answer = tagline("key", "revoke", "nonsense", data_dir=tmp_path)
    assert (answer.returncode, answer.stderr) == (1, "API key not found; see `tagline key list`.\n")
    assert tagline("key", "list", data_dir=tmp_path).stdout == "There are no keys.\n"


@pytest.mark.parametrize("command", [("user", "list"), ("user", "password"), ("key", "add", "NAS"), ("key", "list")])
def test_accounts_and_keys_are_not_made_in_a_second_library_by_mistake(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    answer = tagline(*command, data_dir=tmp_path / "data", typed="another password\n")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.startswith(f"There is no library in {tmp_path / 'data'}. TAGLINE_DATA_DIR names it; ")
    assert list(tmp_path.iterdir()) == []


def test_without_the_module_of_photos_there_is_nothing_to_scan(tmp_path: Path) -> None:
    answer = tagline("scan", data_dir=tmp_path / "data", TAGLINE_MODULES="accounts,operations")
    assert answer.returncode == 1
    assert answer.stderr == "The module photos is off (TAGLINE_MODULES); there is nothing to scan.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command", [[], ["serve"], ["scan"], ["user"], ["key"], ["key", "add"], ["config"], ["openapi"]]
)
def test_every_command_explains_itself(tmp_path: Path, command: list[str]) -> None:
    answer = tagline(*command, "--help", data_dir=tmp_path, PORT="nonsense")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith(f"usage: {' '.join(['tagline', *command])}")
    if not command:
        for name in ("serve", "scan", "user", "key", "config", "openapi", "BACKEND_PASSWORD"):
            assert name in answer.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_version_and_wrong_commands(tmp_path: Path) -> None:
    assert tagline("--version", data_dir=tmp_path).stdout == f"tagline {__version__}\n"
    for wrong in ([], ["surf"], ["key"], ["key", "add"], ["key", "add", "x", "--scope", "owner"], ["serve", "now"]):
        answer = tagline(*wrong, data_dir=tmp_path)
        assert (answer.returncode, answer.stdout) == (2, "")
        assert answer.stderr.startswith("usage: tagline")


def test_the_api_document_is_written_without_touching_anything(tmp_path: Path) -> None:
    answer = tagline("openapi", data_dir=tmp_path / "data")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert msgspec.json.decode(answer.stdout)["openapi"] == "3.1.0"
    assert not (tmp_path / "data").exists()


async def test_the_log_goes_to_a_file_where_that_is_said(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "tagline.log"
    async with serving(tmp_path / "data", TAGLINE_LOG_FILE=str(log)) as service, ClientSession() as session:
        async with session.get(f"{service.base}/health/live"):
            pass
        assert await service.stop() == 0
        assert "/health/live" not in service.told
    assert "/health/live" in await asyncio.to_thread(log.read_text)
    assert os.access(log, os.R_OK)
