"""Which channel of a sound file is heard: the values of ``--channel``. Standard library only."""

from __future__ import annotations

MIX, LOUDEST = "mix", "loudest"
MOST_CHANNELS = 1024  # that a sound file may have
HELP = (
    "what is heard of a file with several channels: mix (their mean), loudest, or the number of "
    "one, from 1"
)


def checked(channel: object) -> str:
    """Return a choice of channel in its one spelling.

    Raises:
        ValueError: If it is none of ``mix``, ``loudest`` and a number from 1.
    """
    text = str(channel).strip().lower()
    if text in (MIX, LOUDEST):
        return text
    if text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= MOST_CHANNELS:
        return str(int(text))
    raise ValueError(
        f"--channel must be mix, loudest or a number from 1 to {MOST_CHANNELS}, got {channel!r}"
    )
