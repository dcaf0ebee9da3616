"""Placeholders: thumbhash (Evan Wallace, https://evanw.github.io/thumbhash/), a blur in about 25 bytes.

The picture's brightness (l), two colour differences (yellow against blue: p, red against green: q) and
opacity (a) are each written as their mean and a few cosine waves, four bits a wave.
"""

import math
from binascii import b2a_base64
from functools import lru_cache
from operator import mul
from typing import Final, NamedTuple

from PIL import Image

LONGEST: Final = 32
"""Pixels along the longer edge; more change nothing that could be seen."""


class _Waves(NamedTuple):
    """One channel: its mean, its waves from -1 to 1, and the largest of them, which scales the others."""

    mean: float
    waves: list[float]
    scale: float


def placeholder(image: Image.Image) -> str:
    """The thumbhash of `image` (RGB or RGBA, upright), in base64."""
    longest = max(image.size)
    width, height = (max(1, round(LONGEST * edge / longest)) for edge in image.size)
    small = image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0).convert("RGBA")
    return b2a_base64(thumbhash(width, height, small.tobytes()), newline=False).decode()


def thumbhash(width: int, height: int, rgba: bytes) -> bytes:
    """The hash of a picture of at most 100 by 100 pixels, 4 bytes (RGBA, not premultiplied) a pixel."""
    alphas = [a / 255 for a in rgba[3::4]]
    transparent = min(alphas) < 1
    channels: list[list[float]] = []
    means = []
    for offset in range(3):
        values = [value / 255 for value in rgba[offset::4]]
        opaque = sum(alphas)
        mean = sum(map(mul, values, alphas)) / opaque if opaque else 0.0
        means.append(mean)
        if transparent:
            # What shows through is the picture's own mean, so that no wave is spent on it.
            values = [mean * (1 - a) + value * a for value, a in zip(values, alphas, strict=True)]
        channels.append(values)
    red, green, blue = channels
    brightness = [(r + g + b) / 3 for r, g, b in zip(red, green, blue, strict=True)]
    yellow = [(r + g) / 2 - b for r, g, b in zip(red, green, blue, strict=True)]
    redness = [r - g for r, g in zip(red, green, strict=True)]

    most = 5 if transparent else 7
    longest = max(width, height)
    across = max(1, math.floor(most * width / longest + 0.5))
    down = max(1, math.floor(most * height / longest + 0.5))
    light = _waves(brightness, width, height, max(3, across), max(3, down))
    p = _waves(yellow, width, height, 3, 3)
    q = _waves(redness, width, height, 3, 3)

    landscape = width > height
    first = (
        _quantised(light.mean, 63)
        | _quantised(0.5 + 0.5 * p.mean, 63) << 6
        | _quantised(0.5 + 0.5 * q.mean, 63) << 12
        | _quantised(light.scale, 31) << 18
        | transparent << 23
    )
    second = (
        (down if landscape else across) | _quantised(p.scale, 63) << 3 | _quantised(q.scale, 63) << 9 | landscape << 15
    )
    head = first.to_bytes(3, "little") + second.to_bytes(2, "little")
    waves = [*light.waves, *p.waves, *q.waves]
    if transparent:
        a = _waves(alphas, width, height, 5, 5)
        head += bytes([_quantised(a.mean, 15) | _quantised(a.scale, 15) << 4])
        waves += a.waves
    nibbles = [_quantised(wave, 15) for wave in waves]
    if len(nibbles) % 2:
        nibbles.append(0)
    return head + bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))


def _waves(values: list[float], width: int, height: int, across: int, down: int) -> _Waves:
    """The low corner of the channel's cosine transform: waves (x, y) with x / across + y / down < 1."""
    rows = [values[start : start + width] for start in range(0, width * height, width)]
    columns = [[sum(map(mul, row, wave)) for row in rows] for wave in _cosines(width, across)]
    verticals = _cosines(height, down)
    mean = 0.0
    waves = []
    for y in range(down):
        for x in range(across):
            if x * down >= across * (down - y):
                break
            strength = sum(map(mul, columns[x], verticals[y])) / (width * height)
            if x or y:
                waves.append(strength)
            else:
                mean = strength
    scale = max(map(abs, waves), default=0.0)
    if scale:
        waves = [0.5 + 0.5 / scale * strength for strength in waves]
    return _Waves(mean, waves, scale)


@lru_cache(maxsize=128)
def _cosines(length: int, count: int) -> list[list[float]]:
    return [[math.cos(math.pi / length * wave * (at + 0.5)) for at in range(length)] for wave in range(count)]


def _quantised(value: float, most: int) -> int:
    """`value` (0 to 1) as a whole number up to `most`, halves upward as in the reference."""
    return max(0, min(most, math.floor(value * most + 0.5)))
