"""XML as WebDAV has it: bodies read without entities and bombs, answers written piece by piece."""

import asyncio
from collections.abc import Iterator
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from tagline.api import whole_body
from tagline.errors import BadRequest

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# A name in XML: its namespace ("" if none) and its local part.
Name = tuple[str, str]

DAV = "DAV:"
_DEEPEST = 100
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

TYPE = "application/xml; charset=utf-8"
HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<D:multistatus xmlns:D="DAV:">'
END = "</D:multistatus>\n"


async def body_of(request: web.Request) -> "Element | None":
    """The root element of a request's body, None if it has no body; raises BadRequest, TooLarge (over 1 MiB)."""
    if not request.can_read_body:
        return None
    raw = await whole_body(request)
    if not raw.strip():
        return None
    return await asyncio.to_thread(parsed, raw)


def parsed(raw: bytes) -> "Element":
    """The root element of XML; raises BadRequest (code `malformed_xml`)."""
    # 6 ms that a start without WebDAV clients need not wait.
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        root: Element = fromstring(raw, forbid_dtd=True)
    except (ParseError, ValueError, LookupError):
        # ValueError: entities and other things that defusedxml forbids; LookupError: an unknown encoding.
        raise BadRequest("The body is no well-formed XML without a DTD.", code="malformed_xml") from None
    level, depth = [root], 0
    while level:
        depth += 1
        if depth > _DEEPEST:
            raise BadRequest("The body is nested too deeply.", code="malformed_xml")
        level = [child for element in level for child in element]
    return root


def name(element: "Element") -> Name:
    """The name of an element or of what is named by it."""
    if element.tag.startswith("{"):
        namespace, _, local = element.tag[1:].partition("}")
        return namespace, local
    return "", element.tag


def inherit_language(root: "Element") -> None:
    """Write `xml:lang` down to where it counts: a property keeps it when it is stored (RFC 4918 §4.3)."""
    pending = [(root, root.get(_LANG))]
    while pending:
        element, language = pending.pop()
        for child in element:
            own = child.get(_LANG) or language
            if name(element) == (DAV, "prop") and own:
                child.set(_LANG, own)
            pending.append((child, own))


def written(element: "Element") -> str:
    """An element as text that stands for itself, whatever is around it."""
    # Part of what `parsed` has loaded already.
    from xml.etree.ElementTree import tostring

    element.tail = None
    return tostring(element, encoding="unicode")


def empty(named: Name) -> str:
    """An element with nothing in it."""
    namespace, local = named
    if namespace == DAV:
        return f"<D:{local}/>"
    return f'<X:{local} xmlns:X="{escape(namespace)}"/>' if namespace else f"<{local}/>"


def propstat(status: int, properties: list[str]) -> str:
    """Properties that share a status."""
    return f"<D:propstat><D:prop>{''.join(properties)}</D:prop>{status_line(status)}</D:propstat>"


def status_line(status: int) -> str:
    """`HTTP/1.1 404 Not Found`, as an element."""
    return f"<D:status>HTTP/1.1 {status} {HTTPStatus(status).phrase}</D:status>"


def response(href: str, *parts: str) -> str:
    """What is said of one address."""
    return f"<D:response><D:href>{escape(href)}</D:href>{''.join(parts)}</D:response>\n"


def multistatus(responses: Iterator[str] | list[str]) -> web.Response:
    """A whole answer 207."""
    return web.Response(status=207, text=HEAD + "".join(responses) + END, headers={"Content-Type": TYPE})
