"""``labels.csv``: what each clip of a corpus is, and where it was cut out."""

from __future__ import annotations

NAME = "labels.csv"
COLUMNS = (
    *("file", "label", "tape", "site", "source", "source_start_s", "source_end_s"),
    *("low_hz", "high_hz", "table", "row", "recording_start", "begin_time", "split"),
)
