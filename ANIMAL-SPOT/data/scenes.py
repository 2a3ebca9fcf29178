"""Training windows made as recordings hold calls: cut by an edge, two at once, in background.

A recording is heard in windows that begin anywhere, so most of those that touch a call hold a part
of it. A network that has only heard clips with the call in full gives these parts any name. All is
done on power spectrograms, where sounds that do not belong together add up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from animal_spot.audio import dsp
from animal_spot.audio.spectrograms import PowerBand, SpectrogramPipeline
from animal_spot.data.augment import (
    draw_distortion,
    noise_rows,
    pitch_source_bins,
    random_filter_db,
    stretched_rows,
)
from animal_spot.data.augmentation_limits import Augmentation
from animal_spot.data.background_changes import change_background
from animal_spot.data.call_finder import Calls
from animal_spot.data.holes import floor_of, has_holes, lay_under, noise_of_floor
from animal_spot.data.scene_limits import SceneLimits

_ALONE = 0.5  # share of partial windows that hear the call without the rest of its clip
_AROUND_S = 0.2  # most that such a call keeps around it
_FADE = 3  # frames
_BESIDE = 0.05  # of a window: how far it may lie beside the call, which it does not hold then
_SECOND_DB = (-6.0, 6.0)  # level of a second call relative to the first
_FEWEST_QUIET = 8  # frames


@dataclass(frozen=True)
class Clip:
    """A training clip.

    Attributes:
        band: Its spectrogram, kept wide enough for pitch shifts.
        calls: Where its calls are; None: it is of background.
    """

    band: PowerBand
    calls: Calls | None


@dataclass(frozen=True)
class Heard:
    """A clip as chance has altered it.

    Attributes:
        power: Of the bands of a network input, shape ``(frames, bands)``.
        salience: See ``Calls``, shape ``(frames,)``; 0 where it is of background.
    """

    power: Tensor
    salience: np.ndarray

    @property
    def extent(self) -> tuple[int, int]:
        """First frame of the first call and the one after the last of the last."""
        loud = np.flatnonzero(self.salience)
        return (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (0, len(self.salience))

    def share_in(self, start: int, n_frames: int) -> float:
        """Return how much of its calls a window holds, of what one of that length can hold."""
        total = np.concatenate([[0.0], np.cumsum(self.salience)])
        length = len(self.salience)
        first, end = np.clip([start, start + n_frames], 0, length)
        most = total[-1]
        if n_frames < length:
            most = (total[n_frames:] - total[:-n_frames]).max()
        return float(min(1.0, (total[end] - total[first]) / most)) if most > 0 else 1.0

    def call_power(self) -> float:
        """Return the mean power of the frames of its calls."""
        frames = torch.from_numpy(self.salience > 0)
        return float(self.power[frames].mean()) if frames.any() else float(self.power.mean())


@dataclass(frozen=True)
class SceneMaker:
    """Makes network inputs of clips.

    Attributes:
        pipeline: Signal path.
        n_frames: Length of an input.
        augmentation: How far chance may go.
        limits: How often a window is partial, mixed or filled.
    """

    pipeline: SpectrogramPipeline
    n_frames: int
    augmentation: Augmentation
    limits: SceneLimits

    def make(
        self,
        clip: Clip,
        rng: np.random.Generator,
        draw_noise: Callable[[], PowerBand] | None = None,
        draw_second: Callable[[], Clip] | None = None,
    ) -> tuple[Tensor, list[float]]:
        """Make a window.

        Args:
            clip: What it is of.
            rng: The clip's generator.
            draw_noise: Gives the band of a noise clip; None: there is none.
            draw_second: Gives another clip with a call; None: there is none.

        Returns:
            Shape ``(1, n_frames, n_features)``, and which share of the clip's call is in it, then
            that of the second call if one was added. A window that is not partial holds all.
        """
        limits = self.limits
        own = self._heard(clip, rng, gain=True)
        holds_call = clip.calls is not None
        is_partial = holds_call and rng.random() < limits.partial
        is_filled = rng.random() < limits.fill_holes
        is_noisy = draw_noise is not None and rng.random() < self.augmentation.noise_probability
        if is_filled and has_holes(own.power.numpy()):
            under = self._noise(draw_noise, len(own.power), rng)
            own = Heard(lay_under(own.power, under, rng), own.salience)
        if not holds_call and self._changes(rng):
            power = change_background(own.power, lambda n: self._noise(draw_noise, n, rng), rng)
            own = Heard(power, own.salience)
        excess = len(own.power) - self.n_frames
        position, share = rng.random(), 1.0
        offset = dsp.crop_offset(abs(excess), position)
        start = offset if excess > 0 else -offset
        if is_partial:
            first, end = own.extent
            beside = max(1, round(_BESIDE * self.n_frames))
            start = int(rng.integers(first - self.n_frames - beside, end + beside + 1))
            share = own.share_in(start, self.n_frames)
            if draw_noise is not None and rng.random() < _ALONE:
                own = self._alone(own, rng)
        window, covered = self._place(own.power, start)
        is_whole = covered.stop - covered.start == self.n_frames
        shares = [share]
        if holds_call and draw_second is not None and rng.random() < limits.mix:
            second = self._alone(self._heard(draw_second(), rng, gain=False), rng)
            added, share = self._second(second, own.call_power(), rng)
            window = window + added
            shares.append(share)
        noise = None
        if is_noisy or (is_partial and not is_whole):
            noise = self._noise(draw_noise, self.n_frames, rng)
        if noise is not None and self._changes(rng):
            noise = change_background(noise, lambda n: self._noise(draw_noise, n, rng), rng)
        if noise is not None:
            window = self._add_noise(window, own.power, noise, rng)
        elif not is_whole and (is_partial or is_filled or len(shares) > 1):
            window = self._fill_gap(window, covered, own, rng)
        elif not is_whole:  # as it was before: padded when it is normalised
            window = window[covered]
        if self.augmentation.filter_db:
            response_db = random_filter_db(window.shape[1], self.augmentation.filter_db, rng)
            window = window * 10.0 ** (response_db / 10.0)
        return self.pipeline.finish_clip(window, self.n_frames, position), shares

    def _changes(self, rng: np.random.Generator) -> bool:
        chance = self.limits.background_changes
        return chance > 0 and rng.random() < chance  # draws nothing where it is not wanted

    def _heard(self, clip: Clip, rng: np.random.Generator, *, gain: bool) -> Heard:
        change = draw_distortion(self.augmentation, rng, gain=gain)
        rows = stretched_rows(len(clip.band.values), change.stretch)
        if self.augmentation.time_shift:
            rows = np.roll(rows, rng.integers(len(rows)))
        power = self._power(clip.band, rows, change.pitch) * 10.0 ** (change.gain_db / 10.0)
        nothing = np.zeros(len(clip.band.values))
        salience = nothing if clip.calls is None else clip.calls.salience
        return Heard(power, salience[rows])

    def _power(self, band: PowerBand, rows: np.ndarray, pitch: float) -> Tensor:
        bins = pitch_source_bins(self.pipeline.bins, band.n_stft_bins, pitch)
        return self.pipeline.compress(band.to_power(band.gather(rows, bins)))

    def _noise(
        self, draw: Callable[[], PowerBand] | None, n_frames: int, rng: np.random.Generator
    ) -> Tensor | None:
        """Draw that many frames of noise, without the digital silence that it may hold."""
        if draw is None:
            return None
        band = draw()
        sounds = np.flatnonzero(band.values.any(axis=1))
        if not len(sounds):
            return None
        change = draw_distortion(self.augmentation, rng, gain=False)
        rows = sounds[noise_rows(len(sounds), n_frames, change.stretch, rng)]
        return self._power(band, rows, change.pitch)

    def _alone(self, heard: Heard, rng: np.random.Generator) -> Heard:
        """Fade out what is not near the calls of a clip."""
        frame_s = self.pipeline.config.hop_length / self.pipeline.config.sr
        around = int(rng.uniform(0, _AROUND_S) / frame_s)
        first, end = heard.extent
        frame = np.arange(len(heard.salience))
        beyond = np.maximum(first - around - frame, frame - (end - 1 + around))
        amplitude = np.clip(1 - beyond / _FADE, 0, 1)
        envelope = torch.from_numpy((amplitude**2).astype(np.float32))
        return Heard(heard.power * envelope[:, None], heard.salience)

    def _place(self, power: Tensor, start: int) -> tuple[Tensor, slice]:
        """Cut a window out of a clip that may lie beyond its ends; return also what is covered."""
        window = power.new_zeros(self.n_frames, power.shape[1])
        first, end = np.clip([start, start + self.n_frames], 0, len(power)).tolist()
        covered = slice(first - start, end - start) if end > first else slice(0, 0)
        window[covered] = power[first:end]
        return window, covered

    def _second(
        self, call: Heard, first_power: float, rng: np.random.Generator
    ) -> tuple[Tensor, float]:
        """Return what another call adds to a window, at some time and level, and its share."""
        first, end = call.extent
        start = int(rng.integers(first - self.n_frames + 1, end))
        added, _ = self._place(call.power, start)
        level = first_power / call.call_power() if call.call_power() > 0 else 0.0
        factor = level * 10.0 ** (rng.uniform(*_SECOND_DB) / 10.0)
        return added * factor, call.share_in(start, self.n_frames)

    def _add_noise(
        self,
        window: Tensor,
        clip_power: Tensor,
        noise: Tensor,
        rng: np.random.Generator,
    ) -> Tensor:
        """Add noise as loud as to the whole clip in one window, however much of it is here."""
        low, high = self.augmentation.snr_db
        snr_db = float(rng.integers(low, high + 1))
        factor = clip_power.sum() / noise.sum() * 10.0 ** (-snr_db / 10.0)
        return window + noise * factor if torch.isfinite(factor) else window

    def _fill_gap(
        self, window: Tensor, covered: slice, own: Heard, rng: np.random.Generator
    ) -> Tensor:
        """Fill what lies beyond the ends of a clip with its own quiet frames, there and back."""
        gap = np.ones(self.n_frames, dtype=bool)
        gap[covered] = False
        sounds = own.power.sum(1).numpy() > 0
        quiet = np.flatnonzero(sounds & (own.salience == 0))
        if len(quiet) >= _FEWEST_QUIET:
            there_and_back = np.concatenate([quiet, quiet[::-1]])
            place = rng.integers(len(there_and_back)) + np.arange(self.n_frames)
            fill = own.power[there_and_back[place % len(there_and_back)]]
        else:
            fill = noise_of_floor(floor_of(own.power), self.n_frames, rng)
        return torch.where(torch.from_numpy(gap)[:, None], fill, window)
