"""Places: what an address below `/dav/` names, and which names are never part of the library."""

import mimetypes
import re
from urllib.parse import quote, unquote_to_bytes, urlsplit

import msgspec

from tagline.errors import BadRequest, Invalid, Problem
from tagline.storage.ignoring import passed_over
from tagline.storage.paths import key_fault

ROOT = "/dav/"

# What programs call a file that they are still writing, beside what every walk passes over.
_UNFINISHED = (".part", ".partial", ".tacitpart", ".filepart", ".tmp", ".temp", ".crdownload", ".download", ".!ut")
# What systems write for themselves; nobody misses it.
_RUBBISH = (".ds_store", "thumbs.db", "desktop.ini", ".apdisk", ".localized")
_KINDS = {
    ".xmp": "application/rdf+xml", ".dng": "image/x-adobe-dng", ".heic": "image/heic",
    ".heif": "image/heif", ".avif": "image/avif",
}  # fmt: skip
# What a browser would run with this server's rights.
_RUNS = re.compile(r"html|script|svg|/xml$|xsl")


class Place(msgspec.Struct, frozen=True):
    """An address. `key` has no slash at its end, "" is the library itself; `said_folder` if the address had one."""

    key: str
    said_folder: bool


class Elsewhere(Problem):
    """What is asked for lies on another server, or outside `/dav/` (RFC 4918 §9.8.5)."""

    status = 502
    code = "foreign_destination"


def place_of(raw_path: str) -> Place:
    """What a path of an address (percent-encoded, without query) names; raises Invalid for what is no key."""
    rest = raw_path.removeprefix(ROOT) if raw_path != ROOT[:-1] else ""
    if "%2f" in rest.lower():
        raise Invalid("path", "must not contain an encoded slash")
    try:
        text = unquote_to_bytes(rest).decode()
    except UnicodeError:
        raise Invalid("path", "is not UTF-8") from None
    key = text.removesuffix("/")
    if key and (fault := key_fault(key)):
        raise Invalid("path", fault)
    return Place(key, text != key or not key)


def destination_of(header: str | None) -> Place:
    """What `Destination` names. Behind a proxy its host may be any: only the path counts."""
    if not header:
        raise BadRequest("Say in Destination where it is to go.")
    try:
        address = urlsplit(header)
    except ValueError:
        raise BadRequest("Destination is no address.") from None
    if address.query or address.fragment:
        raise BadRequest("Destination has more than a path.")
    if address.scheme not in ("", "http", "https") or not (address.path + "/").startswith(ROOT):
        raise Elsewhere("Destination is not below /dav/ on this server.")
    return place_of(address.path)


def address(key: str, *, folder: bool) -> str:
    """The path of an address, percent-encoded; folders have a slash at their end."""
    return ROOT + quote(key, safe="/~!$()*,:@") + ("/" if folder and key else "")


def is_temporary(name: str) -> bool:
    """Whether files of this name are kept apart: hidden, a system's own, or still being written."""
    return passed_over(name) or name.lower().endswith(_UNFINISHED) or name.lower() in ("thumbs.db", "desktop.ini")


def is_rubbish(name: str) -> bool:
    """Whether a file that is kept apart may go when its time is over: half of one, or a system's own."""
    return name.lower().endswith((*_UNFINISHED, *_RUBBISH)) or name.startswith("._")


def is_apart(key: str) -> bool:
    """Whether any part of a key is such a name."""
    return any(is_temporary(part) for part in key.split("/")) if key else False


def name_of(key: str) -> str:
    """The last part of a key."""
    return key.rpartition("/")[2]


def above(key: str) -> str:
    """The key of the folder that something is in."""
    return key.rpartition("/")[0]


def folder_key(key: str) -> str:
    """As the storage calls a folder: with a slash at its end, but for the library itself."""
    return f"{key}/" if key else ""


def bounds(key: str) -> dict[str, str]:
    """From where to where the paths below a folder are: `0` is what comes after the slash."""
    return {"below": folder_key(key), "beyond": f"{key}0" if key else "\U0010ffff"}


def media_type(key: str) -> str:
    """The media type of a file that is no photo, by its name; nothing that a browser would run."""
    name = name_of(key).lower()
    kind = _KINDS.get(name[name.rfind(".") :]) or mimetypes.guess_type(name, strict=False)[0]
    return "application/octet-stream" if kind is None or _RUNS.search(kind) else kind
