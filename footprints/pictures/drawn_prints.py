"""Pictures of footprints that are computed: a print pressed into the ground, lit from one side.

The ground is a height map in pixels; a print is a set of pads that lower it and push up a rim. The
picture is what a matt surface of that shape looks like (Lambert's cosine law) under one lamp and
some light from the sky. It is no photo, but has what makes photos of prints hard: shadows that turn
with the light, grounds of several colours, stones, blur and noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Pad:
    """A part of a print, in units of half the print's length; x right, y backwards.

    Attributes:
        outline: Corners, shape ``(corners, 2)``.
        depth: How deep it is pressed in, 0 to 1.
    """

    outline: np.ndarray
    depth: float = 1.0


def _ellipse(
    x: float, y: float, rx: float, ry: float, turn_deg: float = 0.0, depth: float = 1.0
) -> Pad:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    turn = math.radians(turn_deg)
    across, along = rx * np.cos(angle), ry * np.sin(angle)
    outline = np.stack(
        [
            x + across * math.cos(turn) - along * math.sin(turn),
            y + across * math.sin(turn) + along * math.cos(turn),
        ],
        axis=1,
    )
    return Pad(outline, depth)


def _toe(turn_deg: float, length: float, width: float, y: float = 0.35, depth: float = 1.0) -> Pad:
    """A thin toe from the ball of a bird's foot at (0, y) outwards, 0 degrees being forwards."""
    turn = math.radians(turn_deg)
    dx, dy = math.sin(turn), -math.cos(turn)
    shape = [(0.0, 0.8), (0.5, 1.0), (0.85, 0.7), (1.0, 0.1)]  # (along, half width) from the ball
    left = [(dx * length * t - dy * width * w, dy * length * t + dx * width * w) for t, w in shape]
    right = [(dx * length * t + dy * width * w, dy * length * t - dx * width * w) for t, w in shape]
    return Pad(np.array(left + right[::-1]) + np.array([0.0, y]), depth)


def _cloven(side: int) -> Pad:
    """One half of a cloven hoof: straight inside, rounded outside, pointed in front."""
    outline = [(0.06, 0.8), (0.07, 0.0), (0.08, -0.95), (0.3, -0.6), (0.45, -0.05), (0.42, 0.5)]
    outline += [(0.3, 0.78)]
    return Pad(np.array(outline) * (side, 1))


def _web(first_deg: float, second_deg: float, length: float) -> Pad:
    """The skin between two toes of a swimming bird, with a hollow edge."""
    middle = (first_deg + second_deg) / 2
    corners = [(0.0, 0.35)]
    for turn_deg, reach in ((first_deg, 0.95), (middle, 0.78), (second_deg, 0.95)):
        turn = math.radians(turn_deg)
        corners.append((math.sin(turn) * length * reach, 0.35 - math.cos(turn) * length * reach))
    return Pad(np.array(corners), depth=0.75)


def _arch(first_deg: float, last_deg: float, rx: float, ry: float, width: float) -> Pad:
    """Return the wall of a hoof: a band along an ellipse, 0 degrees being forwards."""
    angle = np.radians(np.linspace(first_deg, last_deg, 30))
    outside = np.stack([rx * np.sin(angle), -ry * np.cos(angle)], axis=1)
    inside = outside * [1 - width / rx, 1 - width / ry]
    return Pad(np.concatenate([outside, inside[::-1]]))


def _wave(swing: float, half_width: float) -> Pad:
    """Return the winding furrow of a snake, 2 units long."""
    y = np.linspace(-1, 1, 40)
    x = swing * np.sin(3.5 * y)
    left, right = np.stack([x - half_width, y], axis=1), np.stack([x + half_width, y], axis=1)
    return Pad(np.concatenate([left, right[::-1]]))


SHAPES: dict[str, tuple[Pad, ...]] = {
    "cat": (
        _ellipse(0, 0.3, 0.42, 0.3),
        *(_ellipse(x, 0.52, 0.17, 0.15) for x in (-0.28, 0, 0.28)),
        *(_ellipse(s * 0.6, -0.1, 0.18, 0.25, s * 28) for s in (-1, 1)),
        *(_ellipse(s * 0.23, -0.55, 0.18, 0.26, s * 8) for s in (-1, 1)),
    ),
    "deer": (_cloven(-1), _cloven(1)),
    "dog": (
        Pad(np.array([(0, 0.08), (0.2, 0.25), (0.38, 0.6), (0.2, 0.68), (0, 0.6)])),
        Pad(np.array([(0, 0.08), (-0.2, 0.25), (-0.38, 0.6), (-0.2, 0.68), (0, 0.6)])),
        *(_ellipse(s * 0.46, -0.05, 0.15, 0.26, s * 12) for s in (-1, 1)),
        *(_ellipse(s * 0.18, -0.45, 0.15, 0.27, s * 3) for s in (-1, 1)),
        *(_ellipse(s * 0.56, -0.44, 0.035, 0.09, s * 15, 0.8) for s in (-1, 1)),
        *(_ellipse(s * 0.21, -0.88, 0.035, 0.1, s * 5, 0.8) for s in (-1, 1)),
    ),
    "duck": (
        _web(-38, 0, 1.3),
        _web(0, 38, 1.3),
        *(_toe(turn, 1.3, 0.06) for turn in (-38, 0, 38)),
        _ellipse(0, 0.35, 0.1, 0.1),
        _ellipse(0.02, 0.62, 0.04, 0.07, 0, 0.6),
    ),
    "hare": (
        *(_ellipse(s * 0.4, -0.5, 0.15, 0.45, s * 5) for s in (-1, 1)),
        _ellipse(0.06, 0.3, 0.11, 0.17),
        _ellipse(-0.05, 0.8, 0.11, 0.17),
    ),
    "heron": (
        *(_toe(turn, 1.25, 0.075) for turn in (-42, -4, 34)),
        _toe(172, 0.65, 0.07),
        _ellipse(0, 0.35, 0.09, 0.09),
    ),
}
"""Prints by the animal that they look like, each at most 2 units long and wide."""

STRANGERS: dict[str, tuple[Pad, ...]] = {
    "horse": (
        _arch(-150, 150, 0.8, 0.9, 0.22),
        Pad(np.array([(0, -0.15), (0.28, 0.75), (0, 0.55), (-0.28, 0.75)]), depth=0.8),
    ),
    "badger": (
        _ellipse(0, 0.35, 0.72, 0.3),
        *(_ellipse(x, 0.1 * abs(x) - 0.22, 0.13, 0.16) for x in (-0.64, -0.33, 0, 0.33, 0.64)),
        *(
            _ellipse(x, 0.1 * abs(x) - 0.82, 0.03, 0.14, 0, 0.8)
            for x in (-0.66, -0.34, 0, 0.34, 0.66)
        ),
    ),
    "snake": (_wave(0.35, 0.13),),
}
"""Tracks of animals that no drawn training picture of a class shows."""


def _made_up(seed: int) -> tuple[Pad, ...]:
    """Return the print of an animal that there is not: a few pads in front of one or two others."""
    rng = np.random.default_rng((20, seed))
    pads = []
    for _ in range(rng.integers(1, 3)):
        x, y = rng.uniform(-0.3, 0.3), rng.uniform(0.0, 0.6)
        size = rng.uniform(0.15, 0.7), rng.uniform(0.12, 0.4)
        pads.append(_ellipse(x, y, *size, rng.uniform(-40, 40), rng.uniform(0.7, 1.0)))
    n_toes = int(rng.integers(0, 7))
    spread = rng.uniform(0.2, 0.8)
    size = rng.uniform(0.06, 0.2), rng.uniform(0.08, 0.35)
    claw = rng.uniform(0.03, 0.2) if rng.random() < 0.5 else 0.0
    for x in np.linspace(-spread, spread, n_toes):
        y = rng.uniform(-0.6, -0.2) + 0.3 * abs(x)
        turn = float(rng.uniform(10, 40) * x)
        pads.append(_ellipse(float(x), y, *size, turn))
        if claw:
            pads.append(_ellipse(float(x) * 1.05, y - size[1] - claw, 0.04, claw, turn, 0.8))
    if rng.random() < 0.25:
        first, last = sorted(rng.uniform(-180, 180, 2).tolist())
        pads.append(_arch(first, last + 40, rng.uniform(0.5, 0.9), rng.uniform(0.5, 0.9), 0.2))
    return tuple(pads)


MADE_UP: dict[str, tuple[Pad, ...]] = {f"made_up_{i:02}": _made_up(i) for i in range(200)}
"""Prints of animals that there are not, as photos of other animals to learn from."""


@dataclass(frozen=True)
class Ground:
    """A kind of ground.

    Attributes:
        rgb: Colour in full light, 0 to 255.
        in_print: What the colour is multiplied by inside a print.
        rough: Height of waves, lumps and grains, in pixels, coarse to fine.
        softness: Blur of a print's edges, as a part of half the print's length.
        stones: Most stones in a photo.
    """

    rgb: tuple[float, float, float]
    in_print: tuple[float, float, float]
    rough: tuple[float, float, float]
    softness: float
    stones: int


GROUNDS = {
    "mud": Ground((128, 101, 78), (0.78, 0.78, 0.8), (6.0, 1.0, 0.15), 0.025, 8),
    "sand": Ground((206, 182, 142), (0.93, 0.92, 0.9), (6.0, 1.0, 0.35), 0.035, 5),
    "snow": Ground((228, 234, 242), (0.88, 0.92, 0.97), (5.0, 0.8, 0.1), 0.03, 2),
}


def _noise(shape: tuple[int, int], grain_px: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth random numbers, standard deviation about 1, that change over ``grain_px`` pixels."""
    height, width = shape
    if grain_px == 1:
        return rng.standard_normal(shape, dtype=np.float32)
    rows, columns = height // grain_px + 3, width // grain_px + 3
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    picture = Image.fromarray(coarse).resize(
        (columns * grain_px, rows * grain_px), Image.Resampling.BICUBIC
    )
    return np.asarray(picture)[grain_px : grain_px + height, grain_px : grain_px + width]


def _corners(pad: Pad, centre: tuple[float, float], axes: np.ndarray) -> np.ndarray:
    """Corners of a pad in pixels of the photo, shape ``(corners, 2)``."""
    return pad.outline @ axes.T + np.asarray(centre)


def _axes(radius_px: float, rng: np.random.Generator) -> np.ndarray:
    """A print's turn, size and slant as a matrix: the camera is never right above it."""
    turn = rng.uniform(0, 2 * np.pi)
    view = rng.uniform(0, 2 * np.pi)
    flat = np.diag([1.0, rng.uniform(0.82, 1.0)])
    mirrored = np.diag([rng.choice([-1.0, 1.0]), 1.0])
    return radius_px * _turned(view) @ flat @ _turned(turn - view) @ mirrored


def _turned(angle: float) -> np.ndarray:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _overlap(box: Box, others: Sequence[Box]) -> bool:
    return any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
        for other in others
    )


def _pressed(
    size: tuple[int, int],
    pads: list[tuple[np.ndarray, float]],
    radius_px: float,
    softness: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Press pads into flat ground of ``size`` (width, height) pixels.

    Returns:
        How deep each pixel is, 0 to 1, and its height in pixels: a hollow with a rim about it.
    """
    from scipy.ndimage import gaussian_filter

    fine = 3  # drawn so many times larger, for smooth edges
    large = Image.new("L", (size[0] * fine, size[1] * fine))
    draw = ImageDraw.Draw(large)
    for outline, depth in sorted(pads, key=lambda pad: pad[1]):
        draw.polygon([tuple(point) for point in outline * fine], fill=round(255 * depth))
    depth = np.asarray(large.reduce(fine), dtype=np.float32) / 255
    depth = gaussian_filter(depth, max(0.6, softness * radius_px), truncate=3)
    around = gaussian_filter(depth, 0.1 * radius_px, truncate=2)
    relief = 0.24 * radius_px * (0.55 * np.clip(around - depth, 0, None) - depth)
    return depth, relief


def _stones(
    shape: tuple[int, int], count: int, rng: np.random.Generator
) -> tuple[np.ndarray, list[tuple[slice, slice, np.ndarray, float]]]:
    """Height of stones on the ground, in pixels; rows, columns, cover and shade of each stone."""
    heights, stones = np.zeros(shape, dtype=np.float32), []
    for _ in range(count):
        rx, ry = rng.uniform(1.5, 9, size=2)
        x, y = rng.uniform(0, shape[1]), rng.uniform(0, shape[0])
        reach = math.ceil(max(rx, ry)) + 1
        rows = slice(max(0, int(y) - reach), int(y) + reach + 1)
        columns = slice(max(0, int(x) - reach), int(x) + reach + 1)
        part = heights[rows, columns]
        at_y, at_x = np.mgrid[rows, columns][:, : part.shape[0], : part.shape[1]]
        inside = 1 - ((at_x - x) / rx) ** 2 - ((at_y - y) / ry) ** 2
        part += 0.9 * min(rx, ry) * np.sqrt(np.clip(inside, 0, None))
        stones.append((rows, columns, np.clip(3 * inside, 0, 1), rng.uniform(0.5, 1.1)))
    return heights, stones


def draw_photo(
    animals: Sequence[str],
    size: tuple[int, int],
    rng: np.random.Generator,
    *,
    radius: tuple[float, float] = (0.2, 0.38),
    ground: str | None = None,
) -> tuple[np.ndarray, list[Box]]:
    """Draw a photo of prints; equal generators give equal pictures.

    Args:
        animals: One of ``SHAPES``, ``STRANGERS`` or ``MADE_UP`` for each print; none gives bare
            ground.
        size: Width and height in pixels.
        rng: Where turn, size, place, light, ground, stones, blur and noise come from.
        radius: Smallest and largest half length of a print, as a part of the shorter side.
        ground: One of ``GROUNDS``; drawn by lot if None.

    Returns:
        The picture, shape ``(height, width, 3)``, uint8 RGB, and for each print its box in pixels
        ``(x1, y1, x2, y2)``. Prints lie wholly in the photo and their boxes do not overlap; a
        print for which no place is found after 200 tries is left out, together with its box.
    """
    width, height = size
    kind = GROUNDS[ground if ground is not None else rng.choice(sorted(GROUNDS))]
    height_map = np.zeros((height, width), dtype=np.float32)
    for grain_px, rough in zip((max(24, min(size) // 4), 7, 1), kind.rough, strict=True):
        height_map += rough * rng.uniform(0.5, 1.2) * _noise((height, width), grain_px, rng)
    if grain := kind.rough[-1]:  # single grains are a little wider than a pixel
        height_map += grain * _noise((height, width), 2, rng)
    heights, stones = _stones((height, width), int(rng.integers(0, kind.stones + 1)), rng)
    height_map += heights

    boxes: list[Box] = []
    deep = np.zeros_like(height_map)
    for animal in animals:
        shape = (SHAPES | STRANGERS | MADE_UP)[animal]
        for _ in range(200):
            radius_px = rng.uniform(*radius) * min(size)
            axes = _axes(radius_px, rng)
            at_origin = np.concatenate([_corners(pad, (0, 0), axes) for pad in shape])
            low, high = at_origin.min(axis=0), at_origin.max(axis=0)
            room = np.array(size) - (high - low) - 4
            if (room < 0).any():
                continue
            centre = rng.uniform(2 - low, 2 - low + room)
            box: Box = (*(low + centre).tolist(), *(high + centre).tolist())
            if not _overlap(box, boxes):
                edge = math.ceil(0.25 * radius_px)  # where the rim has run out
                x, y = np.maximum(0, np.floor(low + centre) - edge).astype(int)
                part_size = np.minimum(size, np.ceil(high + centre) + edge).astype(int) - (x, y)
                pads = [(_corners(pad, centre - (x, y), axes), pad.depth) for pad in shape]
                depth, relief = _pressed(tuple(part_size.tolist()), pads, radius_px, kind.softness)
                part = (slice(y, y + part_size[1]), slice(x, x + part_size[0]))
                height_map[part] += relief
                deep[part] = np.maximum(deep[part], depth)
                boxes.append(box)
                break

    colour = np.array(kind.rgb) * rng.uniform(0.8, 1.05) * rng.normal(1, 0.02, 3)
    picture = np.broadcast_to(colour, (height, width, 3)).astype(np.float32)
    picture *= 1 + deep[..., None] * (np.array(kind.in_print, dtype=np.float32) - 1)
    picture *= 1 + 0.05 * _noise((height, width), 30, rng)[..., None]
    for rows, columns, cover, shade in stones:
        grey = np.float32(120 * shade)
        picture[rows, columns] += cover[..., None] * (grey - picture[rows, columns]) * 0.8
    picture *= _light(height_map, deep, rng)[..., None]
    blur = ImageFilter.GaussianBlur(rng.uniform(0.2, 1.0))
    picture = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    blurred = np.asarray(Image.fromarray(picture).filter(blur), dtype=np.float32)
    noisy = blurred + rng.uniform(1, 4) * rng.standard_normal(picture.shape, dtype=np.float32)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), boxes


def _light(height_map: np.ndarray, deep: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness of each pixel, about 1 on flat ground."""
    from_deg, up_deg = rng.uniform(0, 360), rng.uniform(25, 60)
    lamp_x = math.cos(math.radians(from_deg)) * math.cos(math.radians(up_deg))
    lamp_y = math.sin(math.radians(from_deg)) * math.cos(math.radians(up_deg))
    lamp_z = math.sin(math.radians(up_deg))
    slope_y, slope_x = np.gradient(height_map)
    facing = (lamp_z - slope_x * lamp_x - slope_y * lamp_y) / np.sqrt(1 + slope_x**2 + slope_y**2)
    sky = rng.uniform(0.3, 0.6)
    light = sky * (1 - 0.25 * deep) + (1 - sky) * np.clip(facing, 0, None) / lamp_z
    height, width = height_map.shape
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :] * math.cos(
        rng.uniform(0, 2 * np.pi)
    )
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] * math.sin(
        rng.uniform(0, 2 * np.pi)
    )
    return (light * (1 + rng.uniform(0, 0.35) * (across + down))).astype(np.float32)
