"""How training windows are made as recordings hold calls; without PyTorch, for command lines."""

from __future__ import annotations

from dataclasses import dataclass

TARGETS = ("soft", "ignore", "noise")


@dataclass(frozen=True)
class SceneLimits:
    """How often chance makes a training window what windows of recordings are.

    Attributes:
        partial: Share of windows of calls that are placed anywhere over the call.
        targets: What a window with a part of a call is: ``soft``, ``ignore`` or ``noise``; see
            ``scene_shares.class_weights``.
        bounds: Share of a call up to which a window is background, and from which it is the call.
        mix: Share of windows of calls that a second call is added to.
        fill_holes: Share of clips with holes, or shorter than the window, that get background laid
            under them.
        background_changes: Share of windows of background, and of background that is mixed in,
            which chance changes; see ``background_changes``.
    """

    partial: float = 0.0
    targets: str = "soft"
    bounds: tuple[float, float] = (0.2, 0.6)
    mix: float = 0.0
    fill_holes: float = 0.0
    background_changes: float = 0.0

    def __post_init__(self) -> None:
        if self.targets not in TARGETS:
            raise ValueError(f"partial targets must be one of {TARGETS}, got {self.targets}")
        low, high = self.bounds
        if not 0 <= low <= high <= 1 or high == 0:
            raise ValueError(
                f"--partial_shares must be two rising shares in 0..1, got {low:g} {high:g}"
            )

    @property
    def is_on(self) -> bool:
        """Whether any of it is wanted."""
        return bool(self.partial or self.mix or self.fill_holes or self.background_changes)
