import math
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tagline.media.placeholder import placeholder, thumbhash
from tests.media.samples import corners

Rgba = tuple[float, float, float, float]


def decoded(code: bytes, width: int = 32, height: int = 32) -> list[list[Rgba]]:
    """The published format read back: rows of (r, g, b, a), each from 0 to 1."""
    first, second = int.from_bytes(code[:3], "little"), int.from_bytes(code[3:5], "little")
    has_alpha, landscape = first >> 23, second >> 15
    edge = 5 if has_alpha else 7
    across = max(3, edge if landscape else second & 7)
    down = max(3, second & 7 if landscape else edge)
    start = 6 if has_alpha else 5
    nibbles = [nibble for byte in code[start:] for nibble in (byte & 15, byte >> 4)]
    used = 0

    def channel(mean: float, scale: float, nx: int, ny: int) -> list[tuple[int, int, float]]:
        nonlocal used
        waves = [(0, 0, mean)]
        for y in range(ny):
            for x in range(nx):
                if (x or y) and x * ny < nx * (ny - y):
                    waves.append((x, y, (nibbles[used] / 7.5 - 1) * scale * 1.0))
                    used += 1
        return waves

    light = channel((first & 63) / 63, (first >> 18 & 31) / 31, across, down)
    yellow = channel((first >> 6 & 63) / 31.5 - 1, (second >> 3 & 63) / 63, 3, 3)
    red = channel((first >> 12 & 63) / 31.5 - 1, (second >> 9 & 63) / 63, 3, 3)
    alpha = channel((code[5] & 15) / 15, (code[5] >> 4) / 15, 5, 5) if has_alpha else [(0, 0, 1.0)]
    assert len(nibbles) - used in (0, 1)

    def at(waves: list[tuple[int, int, float]], x: float, y: float) -> float:
        return sum(
            strength * math.cos(math.pi * cx * x) * math.cos(math.pi * cy * y) * (2 if cx else 1) * (2 if cy else 1)
            for cx, cy, strength in waves
        )

    rows = []
    for row in range(height):
        line: list[Rgba] = []
        for column in range(width):
            x, y = (column + 0.5) / width, (row + 0.5) / height
            lightness, p, q = at(light, x, y), at(yellow, x, y), at(red, x, y)
            blue = lightness - 2 / 3 * p
            r = (3 * lightness - blue + q) / 2
            line.append((r, r - q, blue, at(alpha, x, y)))
        rows.append(line)
    return rows


def mean(rows: list[list[Rgba]], channel: int) -> float:
    values = [pixel[channel] for row in rows for pixel in row]
    return sum(values) / len(values)


@pytest.mark.parametrize("colour", ["white", "black", "red", "lime", "blue", "#8a6f3c"])
def test_one_colour_comes_back_as_itself(colour: str) -> None:
    image = Image.new("RGB", (40, 30), colour)
    rows = decoded(b64decode(placeholder(image)))
    pixel = image.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    for channel in range(3):
        assert mean(rows, channel) == pytest.approx(pixel[channel] / 255, abs=0.03)


def test_gradients_go_the_way_they_went() -> None:
    across = Image.linear_gradient("L").rotate(90).convert("RGB")
    rows = decoded(b64decode(placeholder(across)))
    down = decoded(b64decode(placeholder(Image.linear_gradient("L").convert("RGB"))))
    assert rows[16][2][0] < rows[16][16][0] < rows[16][29][0]
    assert abs(rows[2][16][0] - rows[29][16][0]) < 0.1
    assert down[2][16][0] < down[16][16][0] < down[29][16][0]


def test_quarters_keep_their_colours() -> None:
    rows = decoded(b64decode(placeholder(corners())))
    red, green, blue, white = rows[6][6], rows[6][25], rows[25][6], rows[25][25]
    assert red[0] > red[1]
    assert green[1] > green[2]
    assert blue[2] > blue[0]
    assert min(white[:3]) > 0.6


def test_transparency_is_part_of_it() -> None:
    image = Image.new("RGBA", (32, 32), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 16, 32))
    rows = decoded(b64decode(placeholder(image)))
    assert rows[16][4][3] < 0.25 < 0.75 < rows[16][28][3]


def test_nothing_at_all_has_a_placeholder_too() -> None:
    assert len(b64decode(placeholder(Image.new("RGBA", (3, 900))))) > 5


def test_it_is_short() -> None:
    noise = Image.merge("RGB", [Image.effect_noise((300, 200), 200) for _ in range(3)])
    assert 15 <= len(b64decode(placeholder(noise))) <= 28


@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_every_small_picture_has_a_readable_one(width: int, height: int, data: st.DataObject) -> None:
    rgba = data.draw(st.binary(min_size=4 * width * height, max_size=4 * width * height))
    assert decoded(thumbhash(width, height, rgba), 2, 2)
