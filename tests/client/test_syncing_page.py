"""docs/syncing.md from top to bottom: every request against a service that really runs, every answer as printed."""

import asyncio
import fnmatch
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.command import ROOT
from tests.house import House

PAGE = (ROOT / "docs/syncing.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(sh|json|http|text|js)\n(.*?)^```$", re.S | re.M)
SEPARATOR = "=== the next block ==="

# Kinds of values that are other ones each time; of all else the page tells the value itself.
VOLATILE = re.compile(r"\d{4}-\d\d-\d\dT|…")
COUNTED = {"seq", "size"}


def told() -> list[tuple[str, str, str]]:
    """The page's shell blocks, each with the answer that is printed behind it: the block, its kind, the answer."""
    blocks = BLOCK.findall(PAGE)
    pairs = []
    for number, (kind, text) in enumerate(blocks):
        if kind == "sh":
            behind = blocks[number + 1] if number + 1 < len(blocks) else ("", "")
            pairs.append((text, *(behind if behind[0] in ("json", "http") else ("", ""))))
    return pairs


def differences(printed: Any, real: Any, at: str = "") -> list[str]:
    """Where an answer is not what the page prints. `…` in a text stands for any rest, as a field for other fields."""
    if isinstance(printed, dict) and isinstance(real, dict):
        wanted = printed.keys() - {"…"}
        lacking, surplus = wanted - real.keys(), set() if "…" in printed else real.keys() - wanted
        inside = [differences(printed[name], real[name], f"{at}.{name}") for name in wanted & real.keys()]
        return [f"{at}: {name}" for name in lacking | surplus] + [each for found in inside for each in found]
    if isinstance(printed, list) and isinstance(real, list):
        if len(printed) != len(real):
            return [f"{at}: {len(real)} instead of {len(printed)}"]
        found = [
            differences(one, other, f"{at}[{n}]") for n, (one, other) in enumerate(zip(printed, real, strict=True))
        ]
        return [each for some in found for each in some]
    if isinstance(printed, str) and isinstance(real, str) and VOLATILE.search(printed):
        return []
    if at.rpartition(".")[2] in COUNTED and isinstance(real, int):
        return []
    return [] if printed == real else [f"{at}: {real!r} instead of {printed!r}"]


def lacking(printed: str, real: str) -> list[str]:
    """Lines of a printed head that the real one does not have; case counts in neither, and `…` stands for anything."""
    heads = [line.strip().lower() for line in real.replace("HTTP/1.1 100 Continue\r\n\r\n", "").splitlines()]
    lines = printed.strip().lower().splitlines()
    return [line for line in lines if not fnmatch.filter(heads, re.sub(r"\w*…", "*", line))]


def pictures(folder: Path) -> None:
    """The photos that the page sends."""
    for number, size in ((42, (1600, 1200)), (43, (1600, 1201)), (44, (640, 480))):
        Image.effect_noise(size, 4).save(folder / f"IMG_00{number}.jpg", quality=40)


async def typed(shell: asyncio.subprocess.Process, text: str) -> str:
    """What a shell answers to some lines."""
    assert shell.stdin is not None
    assert shell.stdout is not None
    assert shell.stderr is not None
    shell.stdin.write(f"{text}\nprintf '\\n%s\\n' '{SEPARATOR}'\n".encode())
    answer = ""
    while line := (await shell.stdout.readline()).decode():
        if line.strip() == SEPARATOR:
            return answer
        answer += line
    raise AssertionError(text + answer + (await shell.stderr.read()).decode())


@pytest.mark.slow
async def test_the_page_works_as_printed(house: House, tmp_path: Path) -> None:
    pictures(tmp_path)
    assert (await house.ana.patch("/api/auth/profile", {"name": "Ana"})).status == 200
    blocks = told()
    assert any("http://localhost:8000" in text for text, _, _ in blocks)
    shell = await asyncio.create_subprocess_exec(
        "bash", "-euo", "pipefail", cwd=tmp_path, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=1 << 20,
    )  # fmt: skip
    answers = []
    for text, kind, printed in blocks:
        # What the background finds out is told in the feed as well; the page tells the feed of a quiet house.
        await house.settled()
        answers.append(answer := await typed(shell, text.replace("http://localhost:8000", house.base)))
        if kind == "json":
            assert differences(json.loads(printed), json.loads(answer)) == [], text + answer
        elif kind == "http":
            assert lacking(printed, answer) == [], text + answer
    await shell.communicate(b"")
    events = answers[next(n for n, (text, _, _) in enumerate(blocks) if "/sync/events" in text)]
    assert re.findall(r"^event: (.*)$", events, re.M)[0] == "ready"
    await house.settled()
    assert sorted(photo["object_key"].rpartition("/")[2] for photo in await house.photos()) == [
        "IMG_0042.jpg", "IMG_0043.jpg", "IMG_0044.jpg",
    ]  # fmt: skip


def test_the_page_speaks_of_every_status_that_sending_can_answer() -> None:
    table = PAGE.split("### What to do about each refusal")[1].split("## 5.")[0]
    stated = set(map(int, re.findall(r"\b([45]\d\d)\b", table)))
    assert stated >= {401, 403, 404, 409, 410, 412, 413, 415, 422, 423, 429, 460, 500, 503, 507}


def test_the_page_has_the_steps_in_the_order_in_which_an_app_takes_them() -> None:
    assert re.findall(r"^## (.*)$", PAGE, re.M) == [
        "1. Find the server", "2. Pair", "3. Ask what is known", "4. Send", "5. Follow what changes",
        "6. Send what was edited offline", "7. Hear of it at once", "8. Apps that exist already: WebDAV",
        "Rules of thumb",
    ]  # fmt: skip


def test_what_differs_from_a_printed_answer_is_found() -> None:
    real = {"id": "8d31", "version": 2, "more": [1, {"at": "2026-11-20T09:00:00Z"}]}
    assert differences({"id": "9…", "version": 2, "…": "and so on"}, real) == []
    assert differences({"id": "9…", "version": 3, "more": [1, {"at": "2024-01-01T00:00:00Z"}]}, real) != []
    assert differences({"id": "9…", "version": 2}, real) == [": more"]
    assert differences({**real, "lost": None}, real) == [": lost"]
    assert lacking("HTTP/1.1 204 No Content\nUpload-Offset: …", "HTTP/1.1 204 No Content\r\nupload-offset: 7\r\n") == []
    assert lacking("Upload-Offset: 8", "HTTP/1.1 204 No Content\r\nUpload-Offset: 7\r\n") == ["upload-offset: 8"]
