"""The README's tour with curl, line by line, against a service that really runs."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from tests.house import House, make_photo

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
async def test_the_tour_with_curl_works_as_printed(house: House, tmp_path: Path) -> None:
    make_photo(house.library / "2024/ana.jpg", taken="2024:07:01 16:02:11", size=(800, 600))
    make_photo(house.library / "2024/boat.jpg", "green", caption="The boat on the lake")
    tour = re.findall(r"```sh\n(.*?)```", README.split("<!-- tour -->")[1], re.S)[0]
    assert "http://localhost:8000" in tour
    script = "set -euo pipefail\n" + tour.replace("http://localhost:8000", house.base)
    # Each answer on a line of its own, and an error of HTTP is one of the script.
    script = script.replace("curl -s ", "curl -s --fail-with-body -w '\\n' ")
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, (out, err)
    answers, rest = [], out.decode().strip()
    while rest:
        answer, end = json.JSONDecoder().raw_decode(rest)
        answers.append(answer)
        rest = rest[end:].strip()
    scanned, newest, found, untold, photo, told, history, sent, changed, key, jobs, health = answers
    assert scanned["imported_count"] == 2
    assert newest["total"] == 2
    assert [item["description"] for item in found["items"]] == ["The boat on the lake"]
    assert untold["total"] == 1
    assert told["description"] == "Ana at the lake"
    assert photo["id"] == told["id"]
    assert history["items"][0]["description"] == "Ana at the lake"
    assert (sent["id"], sent["duplicate"]) == (photo["id"], True)
    assert [change["entity"] for change in changed["changes"]] == ["photo", "photo"]
    assert key["key"].startswith("tgl_")
    assert jobs["total"] >= 1
    assert health == {"status": "healthy"}
    original = (tmp_path / "original").read_bytes()
    assert original[:1024] == (tmp_path / "start").read_bytes()
    assert (tmp_path / "thumbnail.webp").read_bytes()[8:12] == b"WEBP"
