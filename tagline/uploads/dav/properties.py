"""Properties (RFC 4918 §4, §15): what PROPFIND tells of files and folders, and what PROPPATCH attaches to them."""

import asyncio
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import formatdate
from html import escape
from typing import TYPE_CHECKING, Literal

import msgspec

from tagline.db import Database, Row, Tx
from tagline.errors import BadRequest, DiskFull
from tagline.storage.provider import Storage
from tagline.uploads.dav import places, xml
from tagline.uploads.dav.library import MADE
from tagline.uploads.dav.locks import Locks
from tagline.uploads.dav.tree import Node
from tagline.uploads.dav.xml import DAV, Name

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# Of one file or folder.
MOST_PROPERTIES = 200
MOST_CHARACTERS = 64 * 1024
# Told where somebody asks for them, and not among all (RFC 4331 §2).
_QUOTA = ("quota-available-bytes", "quota-used-bytes")
_ALL = (
    "resourcetype", "displayname", "creationdate", "getlastmodified", "getcontentlength", "getcontenttype", "getetag",
    "supportedlock", "lockdiscovery",
)  # fmt: skip
_PROTECTED = frozenset({*_ALL, *_QUOTA}) - {"displayname"}
# Characters that names can have and XML cannot (XML 1.0 §2.2).
_NO_XML = re.compile("[\ufffe\uffff]")
_SUPPORTED = "".join(
    f"<D:lockentry><D:lockscope><D:{scope}/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockentry>"
    for scope in ("exclusive", "shared")
)


class Wanted(msgspec.Struct, frozen=True):
    """What a PROPFIND asks for: everything, the names alone, or `names`."""

    kind: Literal["all", "names", "some"]
    names: tuple[Name, ...] = ()

    @property
    def asks_for_quota(self) -> bool:
        """Whether the disk has to be asked."""
        return any(namespace == DAV and name in _QUOTA for namespace, name in self.names)


def wanted(root: "Element | None") -> Wanted:
    """The body of a PROPFIND; none means everything. Raises BadRequest."""
    if root is None:
        return Wanted("all")
    if xml.name(root) != (DAV, "propfind"):
        raise BadRequest("The body of PROPFIND is a propfind element.", code="malformed_xml")
    parts = {xml.name(child): child for child in root}
    if (DAV, "propname") in parts:
        return Wanted("names")
    if (DAV, "prop") in parts:
        return Wanted("some", _names(parts[DAV, "prop"]))
    if (DAV, "allprop") in parts:
        return Wanted("all", _names(parts.get((DAV, "include"), ())))
    raise BadRequest("propfind asks for nothing.", code="malformed_xml")


def _names(elements: "Iterable[Element]") -> tuple[Name, ...]:
    names = tuple(dict.fromkeys(map(xml.name, elements)))
    # Each is answered for each file of a folder.
    if len(names) > MOST_PROPERTIES:
        raise BadRequest(f"propfind asks for more than {MOST_PROPERTIES} properties at once.")
    return names


class Attached:
    """Properties that clients have attached, by key."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._of: dict[str, dict[Name, str]] = defaultdict(dict)
        for row in rows:
            if row["namespace"] != MADE["namespace"]:
                self._of[row["path"]][row["namespace"], row["name"]] = row["value"]

    def of(self, key: str) -> dict[Name, str]:
        """Name and whole element of each."""
        return self._of.get(key, {})


class Answering:
    """Writes what a PROPFIND asks for, one file or folder after the other."""

    def __init__(self, asked: Wanted, attached: Attached, locks: Locks, quota: tuple[int, int] | None) -> None:
        self._asked = asked
        self._attached = attached
        self._locks = locks
        self._quota = quota

    def response(self, node: Node) -> str:
        """The element of one."""
        attached = self._attached.of(node.key)
        if self._asked.kind == "names":
            names = [(DAV, name) for name in _ALL if self._live(node, name) is not None]
            found = [xml.empty(name) for name in dict.fromkeys([*names, *attached])]
            return self._told(node, found, [])
        names = list(self._asked.names)
        if self._asked.kind == "all":
            names = [*((DAV, name) for name in _ALL), *attached, *names]
        found, missing = [], []
        for name in dict.fromkeys(names):
            if name in attached:
                found.append(attached[name])
                continue
            value = self._live(node, name[1]) if name[0] == DAV else None
            if value is not None:
                found.append(f"<D:{name[1]}>{value}</D:{name[1]}>")
            elif self._asked.kind == "some" or name in self._asked.names:
                missing.append(xml.empty(name))
        return self._told(node, found, missing)

    @staticmethod
    def _told(node: Node, found: list[str], missing: list[str]) -> str:
        parts = [xml.propstat(200, found)] if found or not missing else []
        if missing:
            parts.append(xml.propstat(404, missing))
        return xml.response(places.address(node.key, folder=node.entry is None), *parts)

    def _live(self, node: Node, name: str) -> str | None:
        live = _LIVE.get(name)
        if live is not None:
            return live(node)
        if name == "lockdiscovery":
            return "".join(lock.described() for lock in self._locks.on(node.key))
        if name in _QUOTA and self._quota and node.entry is None:
            return str(self._quota[_QUOTA.index(name)])
        return None


_LIVE: dict[str, Callable[[Node], str | None]] = {
    "resourcetype": lambda node: "" if node.entry else "<D:collection/>",
    "displayname": lambda node: escape(_NO_XML.sub("\ufffd", places.name_of(node.key))) or "Tagline",
    "creationdate": lambda node: datetime.fromtimestamp(max(0, node.mtime_ns // 1_000_000_000), UTC).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    ),
    "getlastmodified": lambda node: formatdate(max(0, node.mtime_ns // 1_000_000_000), usegmt=True),
    "getcontentlength": lambda node: str(node.entry.size) if node.entry else None,
    "getcontenttype": lambda node: node.kind if node.entry else None,
    "getetag": lambda node: node.etag,
    "supportedlock": lambda node: _SUPPORTED,
}


async def quota(storage: Storage, reserve: int) -> tuple[int, int] | None:
    """Bytes that may still be stored, and that are used, on the library's disk; None if that is none."""
    path = storage.path("x")
    if path is None:
        return None
    seen = await asyncio.to_thread(os.statvfs, path.parent)
    free = seen.f_bavail * seen.f_frsize
    return max(0, free - reserve), (seen.f_blocks - seen.f_bfree) * seen.f_frsize


class Patch(msgspec.Struct, frozen=True):
    """One instruction of PROPPATCH: set a property to an element, or remove it (None)."""

    name: Name
    element: str | None


def patches(root: "Element | None") -> list[Patch]:
    """The instructions of a PROPPATCH, in order. Raises BadRequest."""
    if root is None or xml.name(root) != (DAV, "propertyupdate"):
        raise BadRequest("The body of PROPPATCH is a propertyupdate element.", code="malformed_xml")
    xml.inherit_language(root)
    found: list[Patch] = []
    for instruction in root:
        action = xml.name(instruction)
        if action not in ((DAV, "set"), (DAV, "remove")):
            continue
        for prop in instruction:
            if xml.name(prop) != (DAV, "prop"):
                continue
            for element in prop:
                value = xml.written(element) if action[1] == "set" else None
                found.append(Patch(xml.name(element), value))
    if not found:
        raise BadRequest("propertyupdate changes nothing.", code="malformed_xml")
    return found


async def patch(db: Database, key: str, instructions: list[Patch]) -> list[str]:
    """Do all of the instructions, or none (RFC 4918 §9.2); gives the propstat elements."""
    protected = [one for one in instructions if one.name[0] == DAV and one.name[1] in _PROTECTED]
    protected += [one for one in instructions if one.name[0] == MADE["namespace"]]
    if not protected:
        await db.write(_patch, key, instructions)
        return [xml.propstat(200, [xml.empty(name) for name in dict.fromkeys(one.name for one in instructions)])]
    refused = dict.fromkeys(one.name for one in protected)
    others = [one.name for one in instructions if one.name not in refused]
    parts = [xml.propstat(403, [xml.empty(name) for name in refused])]
    if others:
        parts.append(xml.propstat(424, [xml.empty(name) for name in dict.fromkeys(others)]))
    return parts


def _patch(tx: Tx, key: str, instructions: list[Patch]) -> None:
    for one in instructions:
        namespace, name = one.name
        if one.element is None:
            tx.run("dav.drop_property", path=key, namespace=namespace, name=name)
        else:
            tx.run("dav.set_property", path=key, namespace=namespace, name=name, value=one.element)
    taken = tx.row("dav.room_for_properties", path=key)
    assert taken is not None
    if taken["properties"] > MOST_PROPERTIES or taken["characters"] > MOST_CHARACTERS:
        raise DiskFull(f"One thing has at most {MOST_PROPERTIES} properties, {MOST_CHARACTERS:,} characters in all.")
