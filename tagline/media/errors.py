"""The one error of this package: why a picture could not be read or made."""

import errno

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class MediaError(Exception):
    """Why one file could not be handled.

    `code` is stable: not_readable, still_being_written, broken_image, video_broken, too_many_pixels,
    out_of_memory, no_ffmpeg, heif_not_installed, disk_full, not_writable.
    `detail` is one sentence for people; it never carries a path or a library's own words.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail

    def answer(self) -> dict[str, str]:
        """How the error crosses the pipe."""
        return {"code": self.code, "detail": self.detail}


def broken_image() -> MediaError:
    """The bytes are not the picture that they claim to be."""
    return MediaError("broken_image", "The picture is damaged and cannot be shown.")


def out_of_memory() -> MediaError:
    """The memory limit of the worker was hit."""
    return MediaError("out_of_memory", "There was not enough memory for this file.")


def not_readable(error: OSError) -> MediaError:
    """What the system said when a file was opened or read."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return MediaError("not_readable", "The file is gone.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return MediaError("not_readable", "The file may not be read: its permissions forbid it.")
    if error.errno == errno.ELOOP:
        return MediaError("not_readable", "A symbolic link is not followed.")
    return MediaError("not_readable", "The file cannot be read.")


def not_written(error: OSError) -> MediaError:
    """What the system said when a thumbnail was written."""
    if error.errno in _FULL:
        return MediaError("disk_full", "There is no room left to write the thumbnail.")
    return MediaError("not_writable", "The thumbnail cannot be written.")
