"""Where in a clip the call is, from its spectrogram. Pure functions.

A clip is labelled as a whole, but a window of a recording may hold a part of its call only. So the
call is looked for as what stands out from the clip's own background:

1. Levels are smoothed over some frames and bands, so that neither the speckle of noise nor the
   single holes that denoising leaves count.
2. The background of a band is what is exceeded in six frames of ten, but nothing lower than what
   the neighbouring bands have, nor than ``_RANGE_DB`` under the loudest cell: a band that denoising
   has emptied for most of the clip would else make a call of its remnants.
3. A frame is as salient as the mean, over its most salient tenth of bands, of what each has above
   background, each at most ``_MOST_DB``: a call is narrow or has harmonics, so it need not fill
   the band, and what is loud everywhere counts no more. A running median over ``_CLICK_S`` takes
   clicks away.
4. Frames above a share of the greatest salience are active; activity with no longer gap than
   ``_GAP_S`` is one call, and what is shorter than ``_SHORTEST_S`` is none.

On real clips, raw and denoised, this marks the calls that one sees, a second one too. It cannot
know which of several has the label: all count, each by its salience. Quiet ends of a call, and a
faint call beside a louder sound, are missed. Where nothing stands out, the whole clip is the call.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter, uniform_filter

_SMOOTH_S, _SMOOTH_BANDS = 0.08, 3
_NEIGHBOURS = 15  # bands
_RANGE_DB = 32.0
_LEAST_DB, _MOST_DB = 3.0, 25.0
_SALIENT_SHARE = 0.1
_ACTIVE_SHARE = 0.4
_CLICK_S = 0.25
_GAP_S, _SHORTEST_S = 0.25, 0.15


@dataclass(frozen=True)
class Calls:
    """What stands out in a clip.

    Attributes:
        spans: First frame of each call and the one after its last, in order; at least one call.
        salience: How far each frame of a call stands out, in dB, 0 outside; shape ``(frames,)``.
    """

    spans: tuple[tuple[int, int], ...]
    salience: np.ndarray


def find_calls(power: np.ndarray, frame_s: float) -> Calls:
    """Find the calls of a clip; see the module for how.

    Args:
        power: Of the bands of a network input, shape ``(frames, bands)``.
        frame_s: Seconds between frames.
    """
    salience = salience_of(power, frame_s)
    spans = _active_spans(salience, frame_s) or [(0, len(power))]
    inside = np.zeros(len(power))
    for first, end in spans:
        inside[first:end] = np.maximum(salience[first:end], 1e-3)
    return Calls(tuple(spans), inside)


def salience_of(power: np.ndarray, frame_s: float) -> np.ndarray:
    """Return how far each frame stands out from the background, in dB, shape ``(frames,)``."""
    size = (max(1, round(_SMOOTH_S / frame_s)), _SMOOTH_BANDS)
    smooth = uniform_filter(power.astype(np.float64), size, mode="nearest")
    if not smooth.max() > 0:
        return np.zeros(len(power))
    level = 10 * np.log10(np.maximum(smooth, smooth.max() * 1e-12))
    background = np.percentile(level, 40, axis=0)
    around = median_filter(background, _NEIGHBOURS, mode="nearest")
    background = np.maximum(np.maximum(background, around), level.max() - _RANGE_DB)
    excess = np.clip(level - background - _LEAST_DB, 0, _MOST_DB)
    n_salient = max(1, round(_SALIENT_SHARE * excess.shape[1]))
    salience = np.sort(excess, axis=1)[:, -n_salient:].mean(axis=1)
    return median_filter(salience, max(1, round(_CLICK_S / frame_s)), mode="nearest")


def _active_spans(salience: np.ndarray, frame_s: float) -> list[tuple[int, int]]:
    """Return the stretches of frames that stand out, gaps closed, clicks left out."""
    active = salience > max(_ACTIVE_SHARE * salience.max(), 1.0)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(np.int8), [0]])))
    spans: list[tuple[int, int]] = []
    for first, end in edges.reshape(-1, 2).tolist():
        if spans and (first - spans[-1][1]) * frame_s <= _GAP_S:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((first, end))
    return [(first, end) for first, end in spans if (end - first) * frame_s >= _SHORTEST_S]
