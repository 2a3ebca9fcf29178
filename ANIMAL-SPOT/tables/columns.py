"""Columns of tables, named by a person or found by their names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Columns:
    """Names of columns that a person gave; None: found by itself. Case does not matter.

    Attributes:
        label: What was heard.
        begin: Begin of the event.
        end: Its end.
        duration: How long it lasts, in place of its end.
        recording: Path or name of the recording.
        low: Lower end of its box in Hz.
        high: Upper end of its box in Hz.
        channel: Number of the channel, from 1.
    """

    label: str | None = None
    begin: str | None = None
    end: str | None = None
    duration: str | None = None
    recording: str | None = None
    low: str | None = None
    high: str | None = None
    channel: str | None = None
