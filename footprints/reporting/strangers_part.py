"""What a report says of animals of no class."""

from __future__ import annotations

from footprints.reporting.page import Cell
from footprints.reporting.record import Record

_RULES = {
    "none of these": "the network's output for other animals",
    "distance": "the distance to the photos of training",
    "energy": "the energy of the classes",
}


def refusal_rows(refusal: Record, counted: Record) -> list[tuple[str, Cell]]:
    """Return rows on when photos are refused as those of strangers; none without a refusal.

    Args:
        refusal: With ``rule``.
        counted: With the counts of ``scores.strangers.counts``.
    """
    rule = refusal.text("rule")
    if rule is None:
        return []
    rows: list[tuple[str, Cell]] = [("strangers are told by", _RULES.get(rule, rule))]
    known, lost = counted.count("known"), counted.count("known_lost")
    if known and lost is not None:
        rows.append(("photos of the classes that this loses", _of(lost, known)))
    strangers, refused = counted.count("strangers"), counted.count("strangers_refused")
    if strangers and refused is not None:
        rows.append(("photos of other animals that it refuses", _of(refused, strangers)))
        low, high = counted.interval("strangers_refused_interval")
        rows.append(("95 % interval of that", f"{_percent(low)} to {_percent(high)}"))
    elif known:
        rows.append(("photos of other animals that it refuses", "none were there to try"))
    return rows


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({_percent(part / whole)})"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
