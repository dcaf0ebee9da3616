"""Expecting: clients that send `Expect: 100-continue` wait to be told that their body is wanted (RFC 9110 §10.1.1)."""

from aiohttp import HttpVersion11, web

from tagline.errors import BadRequest


def waits(request: web.Request) -> bool:
    """Whether the client waits to be told to send its body."""
    return (
        request.version >= HttpVersion11
        and request.headers.get("Expect", "").lower() == "100-continue"
        and request.get(PROCEEDED) is None
    )


async def hold_back(request: web.Request) -> web.StreamResponse | None:
    """For routes of large bodies: `Expect: 100-continue` is answered once the body is wanted, by `proceed`.

    Other expectations are passed over, as RFC 9110 §10.1.1 allows.
    """
    return None


async def proceed(request: web.Request) -> None:
    """Tell a client that waits for it to send its body; raises BadRequest where it has gone."""
    if waits(request) and not request.content.is_eof():
        request[PROCEEDED] = True
        try:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        except ConnectionError as error:
            raise BadRequest("The client has gone.", code="body_broke_off") from error
        # That was no part of the answer.
        request.writer.output_size = 0


async def end_of_waiting(request: web.Request, response: web.StreamResponse) -> None:
    """`on_response_prepare`: a client whose body is not wanted any more may not send another request behind it, since
    nobody could tell the two apart (RFC 9112 §9.3)."""
    if waits(request) and request.can_read_body and not request.content.is_eof():
        response.force_close()
        response.headers["Connection"] = "close"


PROCEEDED = web.RequestKey("proceeded", bool)
