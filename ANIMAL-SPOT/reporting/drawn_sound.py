"""A spectrogram with axes as a small picture: PNG of few colours."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIZE = 204, 136  # pixels of the spectrogram
_LEFT, _RIGHT, _TOP, _BOTTOM = 27, 8, 9, 15  # pixels around it
_SHADES = 20  # of sound: more take more bytes and look the same
_GREYS = 12  # of words and lines
_GROUND, _INK = (16, 18, 21), (214, 219, 224)
_FRAME = (120, 220, 255)  # stands out from all shades of sound
_TICK_PX = 3
_UNIT_PX = 8  # below the upper edge
_STEPS = 1, 2, 5, 10
_TICKS = 5  # of an axis, about


@dataclass(frozen=True)
class Axes:
    """What a spectrogram spans.

    Attributes:
        length_s: Time from the left to the right edge.
        low_hz: Frequency at its lower edge.
        high_hz: Frequency at its upper edge.
    """

    length_s: float
    low_hz: float
    high_hz: float


@dataclass(frozen=True)
class Frame:
    """A frame about an event, in seconds from the left edge and in Hz."""

    begin_s: float
    end_s: float
    low_hz: float
    high_hz: float


def with_axes(spectrogram: bytes, axes: Axes, frame: Frame | None = None) -> bytes:
    """Put axes around a spectrogram.

    Args:
        spectrogram: PNG file with a palette from dark to bright, ``SIZE`` pixels.
        axes: What it spans.
        frame: Drawn thin.

    Returns:
        PNG file.
    """
    with Image.open(io.BytesIO(spectrogram)) as opened:
        shade = np.asarray(opened)
        colours = np.array(opened.getpalette("RGB"), np.uint8).reshape(-1, 3)
    height, width = shade.shape
    whole = (_LEFT + width + _RIGHT, _TOP + height + _BOTTOM)
    words = Image.new("L", whole, 0)
    _draw_axes(ImageDraw.Draw(words), axes, width, height)
    pixels = _SHADES + np.rint(np.asarray(words) * ((_GREYS - 1) / 255)).astype(np.uint8)
    levels = shade.astype(np.uint16) * _SHADES // 256
    pixels[_TOP : _TOP + height, _LEFT : _LEFT + width] = levels.astype(np.uint8)
    picture = Image.fromarray(pixels.astype(np.uint8), "P")
    inks = np.linspace(_GROUND, _INK, _GREYS)
    middles = colours[np.linspace(0, len(colours) - 1, _SHADES).astype(int)]
    picture.putpalette([*middles.ravel().tolist(), *inks.astype(int).ravel().tolist(), *_FRAME])
    if frame is not None:
        times = frame.begin_s, frame.end_s
        left, right = (_LEFT + _at(time_s, 0, axes.length_s, width) for time_s in times)
        low, high = (
            _TOP + height - 1 - _at(hz, axes.low_hz, axes.high_hz, height)
            for hz in (frame.low_hz, frame.high_hz)
        )
        ImageDraw.Draw(picture).rectangle((left, high, right, low), outline=_SHADES + _GREYS)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def _draw_axes(draw: ImageDraw.ImageDraw, axes: Axes, width: int, height: int) -> None:
    font = ImageFont.load_default()
    bottom = _TOP + height
    in_khz = axes.high_hz >= 2000
    scale, unit = (1000, "kHz") if in_khz else (1, "Hz")
    for value, text in ticks(axes.low_hz / scale, axes.high_hz / scale):
        y = bottom - 1 - _at(value * scale, axes.low_hz, axes.high_hz, height)
        if y < _TOP + _UNIT_PX:
            continue  # the unit stands there
        draw.line((_LEFT - _TICK_PX, y, _LEFT - 1, y), fill=255)
        draw.text((_LEFT - _TICK_PX - 2, y), text, fill=255, font=font, anchor="rm")
    draw.text((1, -1), unit, fill=255, font=font)
    for value, text in ticks(0, axes.length_s):
        x = _LEFT + _at(value, 0, axes.length_s, width)
        draw.line((x, bottom, x, bottom + _TICK_PX - 1), fill=255)
        draw.text((x, bottom + _TICK_PX), text, fill=255, font=font, anchor="mt")
    draw.text((1, bottom + _TICK_PX), "s", fill=255, font=font)


def _at(value: float, low: float, high: float, n_pixels: int) -> int:
    """Return the pixel of a value; that of the nearest edge, if it lies outside."""
    return round(min(max((value - low) / (high - low), 0), 1) * (n_pixels - 1))


def ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return about five round values from one to another, with their texts."""
    wanted = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(wanted))
    step = min((factor * power for factor in _STEPS), key=lambda step: abs(step - wanted))
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(n * step, f"{n * step:.{digits}f}") for n in range(first, last + 1)]
