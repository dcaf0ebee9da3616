"""Domain errors, and the one body that every error answer has (RFC 9457, `application/problem+json`).

Domain code raises these and knows nothing of HTTP; `answers.py` turns them into responses.
"""

import errno
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

# What a disk says that has no room left, for anything, for this user, or for a file that large.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Problem(Exception):
    """An error that is told to the client.

    `detail` is a sentence for people and says what to do next where that helps; `code` is stable and
    documented in docs/errors.md; `extra` is added to the body (`current` for conflicts).
    """

    status = 500
    code = "internal_error"
    # Where the status has no phrase of its own in HTTP.
    title: str | None = None

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.headers = dict(headers or {})
        self.extra = extra

    def body(self, request_id: str) -> dict[str, Any]:
        """The JSON body, for clients of every convention."""
        return {
            "type": "about:blank",
            "title": self.title or HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "success": False,
            "error": self.detail,
            "message": self.detail,
            "request_id": request_id,
            **self.extra,
        }


class BadRequest(Problem):
    """The request cannot be understood: malformed JSON, a header that makes no sense."""

    status, code = 400, "bad_request"


class Unauthenticated(Problem):
    """Nobody known is asking."""

    status, code = 401, "unauthenticated"


class Denied(Problem):
    """Known, but not allowed."""

    status, code = 403, "forbidden"


class NotFound(Problem):
    """There is no such thing, or it is somebody else's."""

    status, code = 404, "not_found"


class NotAllowed(Problem):
    """The path exists, but not with this method."""

    status, code = 405, "method_not_allowed"


class Conflict(Problem):
    """The thing has changed since; `current` is what it is now."""

    status, code = 409, "conflict"


class Gone(Problem):
    """It was here once."""

    status, code = 410, "gone"


class PreconditionFailed(Problem):
    """What the client's If-Match or If-Unmodified-Since asked for does not hold."""

    status, code = 412, "precondition_failed"


class TooLarge(Problem):
    """The body is larger than allowed."""

    status, code = 413, "too_large"


class UnsupportedMedia(Problem):
    """The content's type is not one that is taken here."""

    status, code = 415, "unsupported_media_type"


class RangeNotSatisfiable(Problem):
    """The range lies behind the end of the file."""

    status, code = 416, "range_not_satisfiable"


class Invalid(Problem):
    """A well-formed value that is out of range or of the wrong type.

    422 in photos and the root routes of accounts, 400 elsewhere: the route table says which (`api.py`).
    """

    status, code = 422, "validation_error"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(
            f"{field}: {message}" if field else message,
            errors=[{"field": field, "message": message}],
        )


class TooMany(Problem):
    """The client asks too often; `Retry-After` says when to come back."""

    status, code = 429, "too_many_requests"

    def __init__(self, detail: str, *, retry_after: int, limit: int, reset: int) -> None:
        numbers = {"RateLimit-Limit": limit, "RateLimit-Remaining": 0, "RateLimit-Reset": reset}
        headers = {name: str(number) for name, number in numbers.items()}
        super().__init__(detail, headers={"Retry-After": str(retry_after), **headers})


class Unavailable(Problem):
    """The storage or the database cannot be used now."""

    status, code = 503, "unavailable"

    def __init__(self, detail: str, *, code: str | None = None, retry_after: int = 10) -> None:
        super().__init__(detail, code=code, headers={"Retry-After": str(retry_after)})


class DiskFull(Problem):
    """There is no room left to write; reading goes on."""

    status, code = 507, "disk_full"
