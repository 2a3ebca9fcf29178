"""How much of a place goes into what is written: nests and dens are not for everybody."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, replace

from footprints.places.taken import Taken
from footprints.system.flags import number

KM_PER_DEGREE = 111.32  # of latitude, and of longitude at the equator


@dataclass(frozen=True)
class Privacy:
    """What is told of a place.

    Attributes:
        strip: Nothing.
        round_km: Only in which square it lies, of a grid of so many kilometres; None: all.
    """

    strip: bool = False
    round_km: float | None = None

    @property
    def keeps_position(self) -> bool:
        """Whether the very position is told."""
        return not self.strip and self.round_km is None

    def of(self, taken: Taken) -> Taken:
        """Return what is told."""
        if self.strip or not taken.has_place:
            return taken.without_place()
        if self.round_km is None:
            return taken
        latitude, longitude = rounded(taken.latitude, taken.longitude, self.round_km)
        return replace(taken, latitude=latitude, longitude=longitude, altitude_m=None)


FULL = Privacy()


def rounded(latitude: float, longitude: float, km: float) -> tuple[float, float]:
    """Return the middle of the square of a fixed grid in which a position lies.

    Args:
        latitude: Degrees.
        longitude: Degrees.
        km: Side of a square.
    """
    high = km / KM_PER_DEGREE
    middle = min(90.0, max(-90.0, (math.floor(latitude / high) + 0.5) * high))
    wide = min(360.0, high / max(math.cos(math.radians(middle)), 1e-3))
    across = (math.floor((longitude + 180) / wide) + 0.5) * wide - 180
    return round(middle, 4), round(min(180.0, across), 4)


def add_location_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that keep places of photos out of what is written."""
    parser.add_argument(
        "--strip_location",
        action="store_true",
        help="write nowhere where photos were taken (default: tables, maps and copies have their "
        "position, if they say it)",
    )
    parser.add_argument(
        "--round_location_km",
        type=number(0, 500, low_is_in=False),
        metavar="KM",
        help="write in its place the middle of the square of so many kilometres in which they were "
        "taken",
    )


def privacy_of(args: argparse.Namespace, parser: argparse.ArgumentParser) -> Privacy:
    """Return what the flags say; both at once end the program."""
    if args.strip_location and args.round_location_km is not None:
        parser.error("give --strip_location or --round_location_km, not both")
    return Privacy(args.strip_location, args.round_location_km)
