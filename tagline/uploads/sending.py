"""Sending in one request: `POST /photos`, as a form or as the file itself."""

import asyncio
import base64
import hashlib
import re
import warnings
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import msgspec
from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.multipart import content_disposition_filename, parse_content_disposition

from tagline import times
from tagline.api import Identity
from tagline.errors import BadRequest, Invalid, TooLarge, TooMany
from tagline.photos.lines import FIRST_PHOTOGRAPH, LAST_PHOTOGRAPH
from tagline.uploads.accepting import Accepted, Accepting, Wanted
from tagline.uploads.expecting import proceed, waits
from tagline.uploads.parts import Arrived, Incoming, Part, pieces

# Bodies that arrive at once; each takes about a megabyte. Slow ones of many phones together stay below.
MOST_AT_ONCE = 64
# Of these, those of one device: it cannot keep the others out.
MOST_EACH = 32
LONGEST_FIELD = 4096
# What stands in front of a form's file has so long to arrive, s.
FIELDS_SECONDS = 30.0
_SUM = re.compile(r"[0-9a-fA-F]{64}")
_DIGEST = re.compile(r"\s*([a-z0-9-]+)\s*=\s*:([A-Za-z0-9+/=]*):\s*")


class SendQuery(msgspec.Struct, frozen=True):
    """What a form says in its fields, for a body that is the file itself."""

    filename: str = ""
    sha256: str = ""
    taken_at: str = ""
    album: str = ""
    again: bool = False


class Said(msgspec.Struct):
    """What a client says of its file, by any of the ways there are."""

    filename: str = ""
    sha256: str | None = None
    taken_at: tuple[int, int | None] | None = None
    album: str | None = None
    again: bool = False

    def take(self, field: str, text: str) -> None:
        """Note a field; raises Invalid."""
        match field:
            case "filename":
                self.filename = text
            case "sha256":
                if not _SUM.fullmatch(text):
                    raise Invalid("sha256", "is not 64 hexadecimal digits")
                self.sha256 = text.lower()
            case "taken_at":
                try:
                    self.taken_at = times.from_text(text)
                except (ValueError, OverflowError) as error:
                    raise Invalid("taken_at", str(error)) from None
                if not FIRST_PHOTOGRAPH <= self.taken_at[0] < LAST_PHOTOGRAPH:
                    raise Invalid("taken_at", "is not between 1826, when photographs began, and 2200")
            case "album":
                self.album = text
            case "again":
                self.again = text.lower() in ("true", "1", "yes", "on")

    @property
    def wanted(self) -> Wanted:
        """What counts for its place in the library."""
        return Wanted(self.filename, self.taken_at, self.album, self.again)


class Gate:
    """Lets so many bodies arrive at once, and the disk keep its reserve."""

    def __init__(self, incoming: Incoming, accepting: Accepting, most: int) -> None:
        self.incoming = incoming
        self.accepting = accepting
        # Of one file, bytes.
        self.most = most
        self._arriving = 0
        self._arriving_from: Counter[str | None] = Counter()

    def check_size(self, size: int | None) -> None:
        """Raises TooLarge for a file above UPLOAD_MAX_MB."""
        if size is not None and size > self.most:
            raise TooLarge(f"The file is larger than the {self.most >> 20} MB that are taken in (UPLOAD_MAX_MB).")

    @asynccontextmanager
    async def open(self, who: Identity) -> AsyncIterator[None]:
        """While a body arrives; raises TooMany where as many do as there may, of all or of a session or key."""
        device = who.session_id or who.key_id
        if self._arriving >= MOST_AT_ONCE or self._arriving_from[device] >= MOST_EACH:
            raise TooMany(
                "Too many files arrive at once. Wait a moment, then go on.", retry_after=2, limit=MOST_AT_ONCE, reset=2
            )
        self._arriving += 1
        self._arriving_from[device] += 1
        try:
            yield
        finally:
            self._arriving -= 1
            self._arriving_from -= Counter([device])


async def receive(gate: Gate, request: web.Request, who: Identity, query: SendQuery) -> Accepted:
    """Take the file of a request in; the photo that it is. Raises what `Accepting.accept` does, and Invalid."""
    gate.accepting.check_writable()
    said = Said()
    for field in ("filename", "sha256", "taken_at", "album", "again"):
        if value := getattr(query, field):
            said.take(field, str(value))
    async with gate.open(who):
        if request.content_type == "multipart/form-data":
            # The form around a file is small; what is in front of it may be a few kilobytes.
            gate.check_size((request.content_length or LONGEST_FIELD) - LONGEST_FIELD)
            return await _form(gate, request, who, said)
        gate.check_size(request.content_length)
        if disposition := request.headers.get("Content-Disposition"):
            with _lenient():
                _, parameters = parse_content_disposition(disposition)
                said.filename = content_disposition_filename(parameters) or said.filename
        for header in ("Repr-Digest", "Content-Digest"):
            if digest := _sha256_of(request.headers.get(header, "")):
                said.sha256 = digest
        if not request.can_read_body:
            raise BadRequest("There is no file in this request: its body is empty.", code="no_file")
        return await _file(gate, request, who, said, pieces(request.content), request.content_length)


async def _form(gate: Gate, request: web.Request, who: Identity, said: Said) -> Accepted:
    """A form: one file, and fields in front of it or behind."""
    await proceed(request)
    try:
        form = MultipartReader(request.headers, request.content)
        async with asyncio.timeout(FIELDS_SECONDS):
            file = await _fields(form, said)
        if file is None:
            raise BadRequest("There is no file in this form: send it as the field `file`.", code="no_file")
        return await _file(gate, request, who, said, _pieces_of(form, file, said), request.content_length)
    except TimeoutError:
        raise BadRequest("The form's fields did not arrive in time; send it again.", code="body_too_slow") from None
    except (ConnectionError, web.RequestPayloadError) as error:
        raise BadRequest("The form broke off.", code="body_broke_off") from error
    except (ValueError, AssertionError, HttpProcessingError) as error:
        raise BadRequest(
            "The form cannot be read; it has no end, or its parts are not apart.", code="malformed_form"
        ) from error


async def _fields(form: MultipartReader, said: Said) -> BodyPartReader | None:
    """Take in the fields up to the next file; gives that one, None at the end of the form."""
    while (field := await form.next()) is not None:
        if not isinstance(field, BodyPartReader):
            raise BadRequest("The form has a form inside.", code="malformed_form")
        with _lenient():
            name, filename = field.name, field.filename
        if name == "file" or filename:
            said.filename = said.filename or filename or ""
            digest = field.headers.get("Content-Digest") or field.headers.get("Repr-Digest") or ""
            said.sha256 = _sha256_of(digest) or said.sha256
            return field
        said.take(name or "", await _text(field))
    return None


async def _text(field: BodyPartReader) -> str:
    text = bytearray()
    while chunk := await field.read_chunk(LONGEST_FIELD):
        text += chunk
        if len(text) > LONGEST_FIELD:
            raise TooLarge(f"A field of the form is longer than {LONGEST_FIELD} bytes.")
    return text.decode("utf-8", "replace")


@contextmanager
def _lenient() -> Iterator[None]:
    """aiohttp warns of a Content-Disposition that makes no sense; that is the client's affair, and no use in a log."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


async def _pieces_of(form: MultipartReader, file: BodyPartReader, said: Said) -> AsyncIterator[bytes]:
    """The file of a form as it arrives; then the rest of the form, which may say more of it."""
    while piece := await file.read_chunk(256 * 1024):
        yield bytes(piece)
    if not file.at_eof():
        raise ValueError("the form ends within its file")
    if await _fields(form, said):
        raise BadRequest("There are several files in this form; send each in one of its own.", code="several_files")


async def _file(
    gate: Gate, request: web.Request, who: Identity, said: Said, body: AsyncIterable[bytes], length: int | None
) -> Accepted:
    accepting = gate.accepting
    if said.album:
        await accepting.folder(said.album)
    if said.sha256 and waits(request) and (here := await accepting.here(who, said.sha256, said.wanted)):
        # It has not been sent yet, and need not be.
        return here
    part = await gate.incoming.begin(length or 0)
    try:
        await proceed(request)
        arrived = await _whole(part, body, gate.most)
        if said.sha256 and said.sha256 != arrived.sha256:
            raise Invalid(
                "sha256", f"is not that of what arrived ({arrived.sha256}); nothing was stored. Send it again."
            )
        return await accepting.accept(who, arrived, said.wanted)
    finally:
        await asyncio.shield(part.drop())


async def _whole(part: Part, body: AsyncIterable[bytes], most: int) -> Arrived:
    await part.take(body, most)
    if not part.size:
        raise BadRequest("The file is empty.", code="no_file")
    return await part.finish()


def _sha256_of(header: str) -> str | None:
    """The SHA-256 of a Content-Digest or Repr-Digest (RFC 9530), in hex; None if it tells none."""
    for item in header.split(","):
        if (found := _DIGEST.fullmatch(item)) and found[1] == "sha-256":
            try:
                digest = base64.b64decode(found[2], validate=True)
            except ValueError:
                digest = b""
            if len(digest) != hashlib.sha256().digest_size:
                raise Invalid("Content-Digest", "has a sha-256 that is none")
            return digest.hex()
    return None


GATE = web.AppKey("gate", Gate)
