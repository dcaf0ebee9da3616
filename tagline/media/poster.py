"""A film's poster frame, made by the system's ffmpeg where there is one."""

import io
import os
import shutil
import subprocess
from typing import Final

from PIL import Image, PpmImagePlugin

from tagline.media.errors import MediaError

_SECONDS: Final = 30
_MOST_EDGE: Final = 2048


def poster(path: str | bytes, duration: float | None, longest: int) -> Image.Image:
    """The frame at one second (or at a tenth of a short film), upright, RGB, at most `longest` pixels.

    Raises MediaError: no_ffmpeg, video_broken.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        raise MediaError("no_ffmpeg", "Pictures of videos need ffmpeg, which is not installed.")
    second = min(1.0, (duration or 0.0) / 10)
    for start in (second, 0.0) if second else (0.0,):
        frame = _frame(program, os.fsdecode(path), start, min(longest, _MOST_EDGE))
        if frame is not None:
            return frame
    raise MediaError("video_broken", "The video is damaged: no picture could be taken from it.")


def _frame(program: str, path: str, start: float, longest: int) -> Image.Image | None:
    command = [program, "-nostdin", "-v", "quiet", "-threads", "1", "-timelimit", str(_SECONDS)]
    # Only this file and only as a film: a hostile one could otherwise name other files or addresses.
    command += ["-protocol_whitelist", "file", "-f", "mov", "-ss", f"{start:.3f}"]
    command += ["-i", "file:" + os.path.abspath(path), "-map", "0:v:0", "-frames:v", "1"]
    command += ["-vf", f"scale='min({longest},iw)':'min({longest},ih)':force_original_aspect_ratio=decrease"]
    command += ["-threads", "1", "-c:v", "ppm", "-pix_fmt", "rgb24", "-f", "image2pipe", "pipe:1"]
    try:
        # In the worker's own process group, so that whoever ends the worker's group ends this as well.
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
        image = PpmImagePlugin.PpmImageFile(io.BytesIO(done.stdout))
        image.load()
    except (OSError, SyntaxError, ValueError, EOFError, subprocess.TimeoutExpired):
        return None
    return image
