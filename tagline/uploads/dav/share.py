"""The share: what the handlers of WebDAV work with, and what is checked before anything is done."""

import asyncio
from weakref import WeakValueDictionary

import msgspec
from aiohttp import web

from tagline.api import Identity, identity
from tagline.conditions import Validators, is_not_modified
from tagline.db import Database
from tagline.errors import BadRequest, Conflict, Denied, NotFound, PreconditionFailed
from tagline.storage.provider import Storage
from tagline.uploads.dav import ifs, places
from tagline.uploads.dav.library import Library
from tagline.uploads.dav.locks import Locks
from tagline.uploads.dav.places import Place
from tagline.uploads.dav.scratch import Scratch
from tagline.uploads.dav.tree import Node, Tree, tag_of
from tagline.uploads.sending import Gate


class Share:
    """One library, as WebDAV shows it."""

    def __init__(self, db: Database, storage: Storage, library: Library, scratch: Scratch, gate: Gate) -> None:
        self.db = db
        self.storage = storage
        self.library = library
        self.scratch = scratch
        self.gate = gate
        self.tree = Tree(db, storage, scratch)
        self.locks = Locks()
        self._alone: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def alone(self, key: str) -> asyncio.Lock:
        """Who puts something under a key does so alone."""
        return self._alone.setdefault(key, asyncio.Lock())


SHARE = web.AppKey("share", Share)


class Asked(msgspec.Struct, frozen=True):
    """A request, as far as all methods read it: where, by whom, what is there, and which locks it names."""

    share: Share
    who: Identity
    place: Place
    key: str
    node: Node | None
    tokens: frozenset[str]

    @property
    def there(self) -> Node:
        """What is there; raises NotFound."""
        if self.node is None:
            raise NotFound("There is nothing at this address.")
        return self.node

    @property
    def is_folder(self) -> bool:
        """Whether a folder is there."""
        return self.node is not None and self.node.entry is None

    def need(self, node: Node | None) -> None:
        """Raises Denied for who may only add, where something in the library would be changed."""
        if node is not None and not node.apart and not self.who.may("write"):
            raise Denied(
                f"This changes what is in the library, and needs the scope `write`; the credentials have "
                f"`{self.who.scope}`."
            )

    def check_locks(self, key: str, *, member: bool, deep: bool = False) -> None:
        """Raises Locked unless the request has the locks that are there."""
        self.share.locks.check(key, self.tokens, self.who.user_id, member=member, deep=deep)

    async def check_parent(self, key: str) -> None:
        """Raises Conflict unless the folder is there in which something is to be (RFC 4918 §9.3.1, §9.7.1).

        Raises Denied where scans are told to pass it over: what is not seen by them would be missing the next day.
        """
        if not await self.share.tree.is_folder(places.above(key)):
            raise Conflict("The folder that this is to be in does not exist. Make it first.", code="no_folder")
        if await self.share.storage.leaves_out(key):
            raise Denied("A .taglineignore of the library leaves names like this one out.", code="hidden_name")


async def asked(request: web.Request) -> Asked:
    """Read a request; raises Invalid for an address that is none, PreconditionFailed where its `If` does not hold."""
    share = request.app[SHARE]
    if share.storage.writable:
        await share.scratch.open()
    if "#" in request.raw_path:
        # What a client cuts off before it asks; else it may mean something else than what is above.
        raise BadRequest("An address with a fragment names nothing here.")
    place = places.place_of(request.rel_url.raw_path)
    key = await share.tree.spelled(place.key)
    tokens: frozenset[str] = frozenset()
    if header := request.headers.get("If"):
        lists = ifs.read(header)
        tokens = ifs.tokens(lists)

        async def etag(about: str) -> str | None:
            node = await share.tree.at(await share.tree.spelled(about))
            return node.etag if node else None

        def locked(about: str, token: str) -> bool:
            return any(lock.token == token for lock in share.locks.on(about))

        if not await ifs.holds(lists, key, etag, locked):
            raise PreconditionFailed("What the header If asks for does not hold: another lock, or another content.")
    return Asked(share, identity(request), place, key, await share.tree.at(key), tokens)


def check_conditions(request: web.Request, node: Node | None) -> None:
    """Raises PreconditionFailed where If-Match and its kin do not hold."""
    headers = request.headers
    if node and node.entry:
        is_not_modified(request.method, headers, Validators(tag_of(node.entry), node.mtime_ns / 1e9))
    elif node is None and "If-Match" in headers:
        raise PreconditionFailed("There is nothing that If-Match could mean.")
    elif node is not None and headers.get("If-None-Match", "").strip() == "*":
        raise PreconditionFailed("There is something already.")


def check_hidden(key: str) -> None:
    """Raises Denied for what the library cannot have under a hidden or temporary name."""
    if places.is_apart(key):
        raise Denied(
            "Names like this are hidden from the library: what is in it cannot get one, and no folder can.",
            code="hidden_name",
        )
