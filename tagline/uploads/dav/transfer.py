"""MOVE and COPY: what is checked, and which of the ways there are is the right one."""

import asyncio

import msgspec
from aiohttp import web

from tagline.errors import BadRequest, Denied, PreconditionFailed
from tagline.uploads.dav import moving, places
from tagline.uploads.dav.receiving import copied, store
from tagline.uploads.dav.share import Asked, check_conditions, check_hidden
from tagline.uploads.dav.tree import Node


class Transfer(msgspec.Struct, frozen=True):
    """From where, to where, and what is there now."""

    asked: Asked
    target: str
    there: Node | None


async def read(request: web.Request, asked: Asked, *, moves: bool) -> Transfer:
    """Read Destination and Overwrite and check everything; raises what RFC 4918 §9.8 and §9.9 have for it."""
    source = asked.there
    share, key = asked.share, asked.key
    place = places.destination_of(request.headers.get("Destination"))
    target = await share.tree.spelled(place.key)
    overwrite = request.headers.get("Overwrite", "T").strip().upper()
    if overwrite not in ("T", "F"):
        raise BadRequest("Overwrite is T or F.")
    if not key or not target or key == target:
        raise Denied("Nothing can go onto itself, and the library itself can go nowhere.", code="onto_itself")
    if f"{target}/".startswith(f"{key}/") or f"{key}/".startswith(f"{target}/"):
        raise Denied("A folder cannot go into itself, nor onto one that it is in.", code="onto_itself")
    share.gate.accepting.check_writable()
    there = await share.tree.at(target)
    if moves:
        asked.need(source)
    asked.need(there)
    await asked.check_parent(target)
    if not source.apart:
        check_hidden(target)
    check_conditions(request, source)
    if there and overwrite == "F":
        raise PreconditionFailed("There is something at the destination, and Overwrite is F.")
    if moves:
        asked.check_locks(key, member=True, deep=asked.is_folder)
    asked.check_locks(target, member=there is None, deep=there is not None and there.entry is None)
    return Transfer(asked, target, there)


async def move(transfer: Transfer) -> None:
    """Do a MOVE."""
    asked, target = transfer.asked, transfer.target
    share = asked.share
    async with share.alone(target):
        if asked.there.apart:
            await asyncio.shield(_move_apart(transfer))
        else:
            await asyncio.shield(_move(transfer))
    share.locks.end_below(asked.key)


async def _move_apart(transfer: Transfer) -> None:
    """A file that was kept apart gets another name, or its real one: then it comes into the library."""
    share, key, target = transfer.asked.share, transfer.asked.key, transfer.target
    kept = share.scratch.get(key)
    if kept is None:
        return
    if places.is_temporary(places.name_of(target)) or not kept.entry.size:
        await share.scratch.move(key, target)
    else:
        await store(share, transfer.asked.who, await share.gate.incoming.arrived(kept.path), target)
        await share.scratch.drop(key)
    await share.db.write(moving.move_properties, key, target)


async def _move(transfer: Transfer) -> None:
    asked, target = transfer.asked, transfer.target
    share, who, source = asked.share, asked.who, asked.there
    await _make_free(transfer)
    if source.entry:
        await moving.move_file(share.library, who, source.entry, target)
    else:
        await moving.move_folder(share.library, share.scratch, who, asked.key, target)


async def _make_free(transfer: Transfer) -> None:
    """Whatever is at the target leaves it."""
    share, target = transfer.asked.share, transfer.target
    await moving.make_free(share.library, share.tree, transfer.asked.who, target)
    await share.scratch.drop(target)
    await share.scratch.drop_below(target)


async def copy(transfer: Transfer, *, deep: bool) -> None:
    """Do a COPY; with `deep`, a folder with all that is in it."""
    async with transfer.asked.share.alone(transfer.target):
        await asyncio.shield(_copy(transfer, deep=deep))


async def _copy(transfer: Transfer, *, deep: bool) -> None:
    asked, target = transfer.asked, transfer.target
    share, who, source = asked.share, asked.who, asked.there
    if kept := share.scratch.get(asked.key):
        arrived = await copied(share, kept)
        try:
            await store(share, who, arrived, target)
        finally:
            await share.gate.incoming.drop(arrived.path.name)
        return
    await share.gate.incoming.check_room(source.entry.size if source.entry else 0)
    await _make_free(transfer)
    if source.entry:
        await moving.copy_one(share.library, who, source.entry, target)
    else:
        await moving.copy_folder(share.library, share.tree, who, asked.key, target, deep=deep)
