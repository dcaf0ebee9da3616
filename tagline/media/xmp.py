"""XMP packets (ISO 16684-1): description, subjects, place, time. No entity is ever expanded."""

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from tagline.media import captured

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_MOST_BYTES: Final = 1024 * 1024
_RDF: Final = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC: Final = "{http://purl.org/dc/elements/1.1/}"
_PHOTOSHOP: Final = "{http://ns.adobe.com/photoshop/1.0/}"
_LANG: Final = "{http://www.w3.org/XML/1998/namespace}lang"
_TIMES: Final = (
    "{http://ns.adobe.com/exif/1.0/}DateTimeOriginal",
    _PHOTOSHOP + "DateCreated",
    "{http://ns.adobe.com/xap/1.0/}CreateDate",
)
_PLACE: Final = (_PHOTOSHOP + "City", _PHOTOSHOP + "State", _PHOTOSHOP + "Country")
# A packet without any of these has nothing for us, and looking is cheaper than parsing.
_WORTH_PARSING: Final = re.compile(rb"description|subject|DateTimeOriginal|DateCreated|CreateDate|City|State|Country")


class Xmp(NamedTuple):
    """What was found; `place` is city, state, country, each perhaps empty."""

    description: str = ""
    subjects: tuple[str, ...] = ()
    place: tuple[str, ...] = ()
    taken: captured.Moment | None = None


def read(packet: bytes | None) -> Xmp:
    """The properties in `packet`; none for what is no XML, has a DTD or is longer than 1 MiB."""
    if not packet or len(packet) > _MOST_BYTES:
        return Xmp()
    packet = packet.strip(b"\0 \t\r\n")
    if packet[:2] not in (b"\xfe\xff", b"\xff\xfe") and not _WORTH_PARSING.search(packet):
        return Xmp()
    root = _parse(packet)
    if root is None:
        return Xmp()
    plain: dict[str, str] = {}
    description = ""
    subjects: list[str] = []
    for node in root.iter(_RDF + "Description"):
        for name, value in node.attrib.items():
            plain.setdefault(name, value)
        for child in node:
            if child.tag == _DC + "description":
                description = description or _alternative(child)
            elif child.tag == _DC + "subject":
                subjects += [item.text or "" for item in child.iter(_RDF + "li")]
            elif isinstance(child.tag, str):
                plain.setdefault(child.tag, child.text or "")
    return Xmp(
        description=description or plain.get(_DC + "description", ""),
        subjects=tuple(subjects),
        place=tuple(plain.get(name, "") for name in _PLACE),
        taken=next((moment for name in _TIMES if (moment := captured.by_iso(plain.get(name, "")))), None),
    )


def _parse(packet: bytes) -> "Element | None":
    # Most photos carry no XMP, and these imports cost 2 MB.
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(packet, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError):
        return None
    return root


def _alternative(node: "Element") -> str:
    """A language alternative's x-default, else its first text, else the plain text of `node`."""
    items = list(node.iter(_RDF + "li"))
    chosen = next((item for item in items if item.get(_LANG) == "x-default"), items[0] if items else node)
    return chosen.text or ""
