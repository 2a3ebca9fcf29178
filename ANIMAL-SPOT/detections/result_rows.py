"""From a result that was read back to its annotations, at any threshold."""

from __future__ import annotations

from collections.abc import Callable

from animal_spot.detections.annotations import Annotation, found_windows, merge_windows
from animal_spot.detections.decisions import Thresholds
from animal_spot.detections.decoding import EventDecoder
from animal_spot.detections.event_settings import EventSettings
from animal_spot.detections.result_readers import Result


def rows_of(result: Result, thresholds: Thresholds | None = None) -> list[Annotation]:
    """Return the annotations of a result, by the decoder that it names or the original's rule.

    Args:
        result: What a prediction said of a recording.
        thresholds: Least confidences; None: what the result's decoder says, else 0.5.
    """
    if result.decoder is None:
        return original_rows(result)(thresholds or Thresholds())
    return event_rows(result, result.decoder)(thresholds or Thresholds(result.decoder.threshold))


def original_rows(result: Result) -> Callable[[Thresholds], list[Annotation]]:
    """Return a function that gives annotations at thresholds by the original's rule."""

    def rows(thresholds: Thresholds) -> list[Annotation]:
        decisions = result.rule(thresholds).decide_scores(result.winner, result.score)
        windows = found_windows(result.start_s, result.end_s, decisions, result.names)
        return list(merge_windows(windows))

    return rows


def event_rows(result: Result, settings: EventSettings) -> Callable[[Thresholds], list[Annotation]]:
    """Do the same by a decoder, which is run once for all thresholds.

    Raises:
        ValueError: If there is no background class.
    """
    decoder = EventDecoder(tuple(result.names), result.noise_class, settings, Thresholds(0.0))
    everything = decoder.annotations([(result.start_s, result.end_s, result.probabilities)])

    def rows(thresholds: Thresholds) -> list[Annotation]:
        return [row for row in everything if row.score >= thresholds.of(row.name)]

    return rows
