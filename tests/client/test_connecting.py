"""How `tagline sync` finds its server, is known to it, and what it says where that fails."""

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from tests.client.phone import Phone, ended, picture
from tests.client.wire import wire
from tests.house import House

pytestmark = pytest.mark.slow

USAGE = 2


@pytest.fixture
def phone(tmp_path: Path) -> Phone:
    """A computer with one photo, that no server knows."""
    phone = Phone(tmp_path / "pictures", tmp_path / "home")
    picture(phone.folder / "first.jpg", 1)
    return phone


async def shown(house: House) -> Any:
    """What ana's phone shows for pairing."""
    return (await house.ana.post("/api/auth/pair")).json


def session(phone: Phone) -> Path:
    """Where the session is kept."""
    [path] = (phone.home / ".local/state/tagline/sessions").glob("*.json")
    return path


# Pairing


async def test_a_computer_is_paired_once_and_known_from_then_on(house: House, phone: Phone) -> None:
    first = await phone.sync(house.base, "--pair", (await shown(house))["code"])
    assert (first.status, first.err) == (0, "")
    assert first.out.startswith("1 sent; ")
    assert session(phone).stat().st_mode & 0o777 == 0o600
    assert (await phone.sync(house.base)).out.startswith("1 there already; ")
    devices = (await house.ana.get("/api/auth/sessions")).json["items"]
    assert [device["device_name"] for device in devices if "tagline sync" in device["device_name"]] != []


async def test_the_link_of_the_qr_code_pairs_as_well(house: House, phone: Phone) -> None:
    assert (await phone.sync(house.base, "--pair", (await shown(house))["url"])).status == 0


async def test_a_code_that_begins_with_a_dash_is_no_option(house: House, phone: Phone) -> None:
    ran = await phone.sync(house.base, "--pair", "-h")
    assert ran.status == 1
    assert ran.err.startswith("This code is not valid any more.")


async def test_a_code_that_was_used_is_told(house: House, phone: Phone) -> None:
    code = (await shown(house))["code"]
    assert (await phone.sync(house.base, "--pair", code)).status == 0
    again = await phone.sync(house.base, "--pair", code)
    assert again.status == 1
    assert again.err.startswith("This code is not valid any more.")
    assert (await phone.sync(house.base)).status == 0


async def test_an_access_token_that_has_ended_is_renewed_and_the_new_pair_kept(house: House, phone: Phone) -> None:
    await phone.sync(house.base, "--pair", (await shown(house))["code"])
    before = json.loads(session(phone).read_text())
    session(phone).write_text(json.dumps({**before, "access_token": "ended"}))
    assert (await phone.sync(house.base)).status == 0
    after = json.loads(session(phone).read_text())
    assert after["refresh_token"] != before["refresh_token"]
    assert (await phone.sync(house.base)).status == 0


async def test_two_runs_with_one_session_renew_it_once(house: House, phone: Phone, tmp_path: Path) -> None:
    other = Phone(tmp_path / "other pictures", phone.home)
    picture(other.folder / "second.jpg", 2)
    await phone.sync(house.base, "--pair", (await shown(house))["code"])
    kept = json.loads(session(phone).read_text())
    session(phone).write_text(json.dumps({**kept, "access_token": "ended"}))
    async with wire(house.base) as way:
        port = way.address.rpartition(":")[2]
        session(phone).rename(session(phone).with_name(f"127.0.0.1_{port}.json"))
        started = [await each.start(way.address) for each in (phone, other)]
        one, two = await asyncio.gather(*map(ended, started))
        assert (one.status, two.status) == (0, 0)
        assert len([each for each in way.exchanges if each.path == "/refresh"]) == 1


async def test_a_computer_that_was_signed_out_is_told(house: House, phone: Phone) -> None:
    await phone.sync(house.base, "--pair", (await shown(house))["code"])
    devices = (await house.ana.get("/api/auth/sessions")).json["items"]
    [mine] = [device["id"] for device in devices if "tagline sync" in device["device_name"]]
    assert (await house.ana.delete(f"/api/auth/sessions/{mine}")).status == 204
    ran = await phone.sync(house.base)
    assert ran.status == 1
    assert ran.err.startswith("The server does not know this computer (any more): ")
    assert "Pair it again" in ran.err


# Usage


async def test_a_computer_without_credentials_is_told_how_to_get_them(house: House, phone: Phone) -> None:
    ran = await phone.sync(house.base)
    assert (ran.status, ran.out) == (USAGE, "")
    assert "--pair CODE" in ran.err
    assert "tagline key add" in ran.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--server", "ftp://house"], "is no address of a server"),
        (["--server", "http://"], "is no address of a server"),
        (["--server", "http://house:port"], "is no address of a server"),
        (["--parallel", "0"], "invalid choice"),
        (["--key-file", "/nowhere/key"], "/nowhere/key cannot be read"),
        (["--key-file", "/dev/null"], "/dev/null holds no API key"),
    ],
)
async def test_wrong_options_are_told(house: House, phone: Phone, arguments: list[str], said: str) -> None:
    ran = await phone.sync(house.base, *arguments)
    assert (ran.status, ran.out) == (USAGE, "")
    assert said in ran.err


async def test_a_folder_that_is_not_there_is_told(house: House, phone: Phone) -> None:
    phone.folder = phone.folder / "nowhere"
    ran = await phone.sync(house.base)
    assert ran.status == USAGE
    assert ran.err == f"{phone.folder} is no folder.\n"


async def test_an_address_may_be_given_without_http(house: House, phone: Phone) -> None:
    ran = await phone.sync(house.base.removeprefix("http://"), "--pair", (await shown(house))["code"])
    assert ran.status == 0


# Servers that are not there, or not what they should be


async def test_a_server_that_does_not_listen_is_told(phone: Phone) -> None:
    ran = await phone.sync(f"http://127.0.0.1:{unused_port()}")
    assert ran.status == 1
    assert "cannot be reached: connection refused. Is it running" in ran.err


async def test_a_name_that_nobody_has_is_told(phone: Phone) -> None:
    ran = await phone.sync("http://no-such-house.invalid:8000")
    assert ran.status == 1
    assert "no computer of that name is found" in ran.err


async def _page(request: web.Request) -> web.Response:
    return web.Response(text="<h1>It works!</h1>", content_type="text/html")


async def _elsewhere(request: web.Request) -> web.Response:
    raise web.HTTPPermanentRedirect("https://photos.example.org/")


@pytest.mark.parametrize(
    ("handler", "said"),
    [(_page, "not a Tagline server"), (None, "not a Tagline server"), (_elsewhere, "https://photos.example.org/")],
)
async def test_a_server_of_something_else_is_told(phone: Phone, handler: Any, said: str) -> None:
    app = web.Application()
    if handler:
        app.router.add_route("*", "/{anything:.*}", handler)
    async with TestServer(app) as server:
        ran = await phone.sync(str(server.make_url("")))
    assert ran.status == 1
    assert said in ran.err


async def test_answers_that_make_no_sense_are_told(phone: Phone) -> None:
    async def healthy(request: web.Request) -> web.Response:
        return web.json_response({"status": "healthy"})

    async def known(request: web.Request) -> web.Response:
        return web.json_response({"known": ["everything"]})

    app = web.Application()
    app.router.add_get("/health", healthy)
    app.router.add_post("/photos/known", known)
    phone.key = "tgl_key"
    async with TestServer(app) as server:
        ran = await phone.sync(str(server.make_url("")))
    assert ran.status == 1
    assert ran.err.startswith("The server's answer is none of a Tagline server's: ")


async def test_https_to_a_server_without_it_is_told(house: House, phone: Phone) -> None:
    ran = await phone.sync(house.base.replace("http://", "https://"))
    assert ran.status == 1
    assert ran.err == "The server does not speak https at this port; try http://.\n"


# Certificates


AUTHORITY = """\
[ca]
default_ca = house
[house]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = names
x509_extensions = extensions
[names]
commonName = supplied
[extensions]
basicConstraints = critical, CA:TRUE
subjectKeyIdentifier = hash
subjectAltName = IP:127.0.0.1
"""


def certificate(folder: Path, begins: str, ends: str) -> ssl.SSLContext:
    """What a proxy needs that speaks https; its certificate for 127.0.0.1 is `house.pem`, an authority of its own."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    (folder / "authority").write_text(AUTHORITY)
    (folder / "index.txt").touch()
    (folder / "serial").write_text("01")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "house.key")
    openssl("req", "-new", *curve, "-subj", "/CN=The house", "-out", "house.csr")
    openssl(
        "ca", "-batch", "-notext", "-selfsign", "-config", "authority", "-keyfile", "house.key", "-in", "house.csr",
        "-out", "house.pem", "-startdate", begins, "-enddate", ends,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "house.pem", folder / "house.key")
    return context


@pytest.fixture
async def behind_tls(house: House, tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """The house behind a proxy with a certificate of its own; its address, and the certificate."""
    async with wire(house.base, certificate(tmp_path, "20200101000000Z", "20990101000000Z")) as way:
        yield way.address, tmp_path / "house.pem"


async def test_a_certificate_of_ones_own_authority_is_trusted_when_it_is_given(
    house: House, phone: Phone, behind_tls: tuple[str, Path]
) -> None:
    address, pem = behind_tls
    code = (await shown(house))["code"]
    ran = await phone.sync(address, "--ca", str(pem), "--pair", code)
    assert (ran.status, ran.err) == (0, "")
    refused = await phone.sync(address)
    assert refused.status == 1
    assert refused.err.startswith("The server's certificate is not trusted: ")
    assert "--ca FILE" in refused.err


@pytest.mark.parametrize(
    ("begins", "ends"), [("20200101000000Z", "20200102000000Z"), ("20980101000000Z", "20990101000000Z")]
)
async def test_a_certificate_that_is_not_valid_yet_or_any_more_points_to_the_clock(
    house: House, phone: Phone, tmp_path: Path, begins: str, ends: str
) -> None:
    async with wire(house.base, certificate(tmp_path, begins, ends)) as way:
        ran = await phone.sync(way.address, "--ca", str(tmp_path / "house.pem"))
    assert ran.status == 1
    assert "is not valid at this time" in ran.err
    assert "clock" in ran.err


async def test_a_file_that_holds_no_certificates_is_told(house: House, phone: Phone) -> None:
    ran = await phone.sync(house.base, "--ca", str(phone.folder / "first.jpg"))
    assert ran.status == 1
    assert "cannot be read as a file of certificates" in ran.err
