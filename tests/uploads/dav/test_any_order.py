"""Anything in any order: the tree is what a plain tree would be, and no content that ever came is lost."""

import random
from urllib.parse import unquote

import pytest

from tests.house import Client, House
from tests.uploads.dav.webdav import find, hrefs, jpeg, move, put, share

FOLDERS = ("a", "b", "a/c", "b/c", "a/c/d")
NAMES = ("x.jpg", "y.jpg", "notes.txt", "z.png")
PLACES = [*FOLDERS, *NAMES, *(f"{folder}/{name}" for folder in FOLDERS[:4] for name in NAMES)]
CONTENTS = [*(jpeg(seed) for seed in range(5)), b"one", b"two"]

Content = bytes | None


class Plain:
    """A tree as RFC 4918 has it: what each method answers, and what is there then. None is a folder."""

    def __init__(self) -> None:
        self.there: dict[str, Content] = {}

    def _has_parent(self, path: str) -> bool:
        above = path.rpartition("/")[0]
        return not above or (above in self.there and self.there[above] is None)

    def _below(self, path: str) -> list[str]:
        return [each for each in self.there if each == path or each.startswith(f"{path}/")]

    def put(self, path: str, content: bytes) -> int:
        if path in self.there and self.there[path] is None:
            return 405
        if not self._has_parent(path):
            return 409
        status = 204 if path in self.there else 201
        self.there[path] = content
        return status

    def make(self, path: str) -> int:
        if path in self.there:
            return 405
        if not self._has_parent(path):
            return 409
        self.there[path] = None
        return 201

    def delete(self, path: str) -> int:
        if path not in self.there:
            return 404
        for each in self._below(path):
            del self.there[each]
        return 204

    def transfer(self, path: str, target: str, *, moves: bool) -> int:
        if path not in self.there:
            return 404
        if f"{target}/".startswith(f"{path}/") or f"{path}/".startswith(f"{target}/"):
            return 403
        if not self._has_parent(target):
            return 409
        status = 204 if target in self.there else 201
        if target in self.there:
            self.delete(target)
        for each in self._below(path):
            self.there[target + each[len(path) :]] = self.there[each]
        if moves:
            self.delete(path)
        return status


async def tree(dav: Client, path: str = "") -> dict[str, Content]:
    """All that is shown, with its content."""
    found: dict[str, Content] = {}
    for href in hrefs(await find(dav, path))[1:]:
        key = unquote(href).removeprefix("/dav/")
        if key.endswith("/"):
            found[key[:-1]] = None
            found |= await tree(dav, key)
        else:
            found[key] = (await dav.get(href)).body
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", [4, 5, 10, 26, 72, 117])
async def test_whatever_is_done_the_tree_is_right_and_nothing_is_lost(house: House, seed: int) -> None:
    dice = random.Random(seed)
    dav, plain = await share(house), Plain()
    came: set[bytes] = set()
    done = []
    for _ in range(120):
        method = dice.choice(["PUT", "PUT", "PUT", "MKCOL", "MKCOL", "DELETE", "MOVE", "MOVE", "COPY"])
        path, target = dice.choice(PLACES), dice.choice(PLACES)
        if method == "PUT":
            content = dice.choice(CONTENTS)
            is_folder = path in plain.there and plain.there[path] is None
            if dice.random() < 0.2 and not is_folder and (await put(dav, f"{path}.tmp", content)).status == 201:
                status = (await move(dav, f"{path}.tmp", path)).status
            else:
                status = (await put(dav, path, content)).status
            expected = plain.put(path, content)
            if status in (201, 204):
                came.add(content)
        elif method == "MKCOL":
            status, expected = (await dav.ask("MKCOL", f"/dav/{path}")).status, plain.make(path)
        elif method == "DELETE":
            status, expected = (await dav.delete(f"/dav/{path}")).status, plain.delete(path)
        else:
            status = (await move(dav, path, target, method)).status
            expected = plain.transfer(path, target, moves=method == "MOVE")
        done.append((method, path, target, status))
        assert status == expected, done
    assert await tree(dav) == plain.there, done
    scan = await house.scan()
    assert (scan["missing"], scan["imported_count"], scan["moved"], scan["error_count"]) == (0, 0, 0, 0), (scan, done)
    assert await tree(dav) == plain.there, done
    # Every photo that is shown is one, and every content is somewhere on the disk, be it out of sight.
    for path, shown in plain.there.items():
        photo = await house.db.row("dav.photo_at", path=path)
        assert (photo is not None) == (shown or b"").startswith(b"\xff\xd8"), (path, done)
    assert {photo["object_key"] for photo in await house.photos("limit=500")} <= set(plain.there), done
    on_disk = {path.read_bytes() for path in house.library.rglob("*") if path.is_file()}
    assert came <= on_disk, done
