"""Which OpenAnimalTracks crops are of one photo or track: a table for evaluate --trail_table.

The data set does not say it, but its crops are numbered in the order of the photos: neighbours of
one class whose colours are alike mostly show prints of one track. Crops on both sides of a change
of colour may be of one track too, and a few neighbours only look alike.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image

_MOST = 6.0  # mean difference of the channels' means and deviations, of 255


def main(argv: list[str] | None = None) -> int:
    """Write the table; see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path, help="PREPARED/oat")
    parser.add_argument("--split", default="val")
    parser.add_argument("--table", type=Path, required=True, help="written: crop, trail")
    args = parser.parse_args(argv)
    rows: list[tuple[str, str]] = []
    for folder in sorted((args.data_dir / args.split).iterdir()):
        crops = sorted(folder.glob("*.png"), key=_number)
        run, before = 0, None
        for crop in crops:
            look = (_number(crop), _colours(crop))
            goes_on = before is not None and look[0] - before[0] == 1
            if not goes_on or np.abs(look[1] - before[1]).mean() > _MOST:
                run += 1
            before = look
            rows.append((crop.relative_to(args.data_dir).as_posix(), f"{folder.name} {run}"))
    with open(args.table, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("crop", "trail"), *rows])
    print(f"{len(rows)} crops of {len({trail for _, trail in rows})} trails")
    return 0


def _number(crop: Path) -> int:
    return int(crop.stem.split("_")[0])


def _colours(crop: Path) -> np.ndarray:
    pixels = np.asarray(Image.open(crop).convert("RGB"), dtype=float).reshape(-1, 3)
    return np.concatenate([pixels.mean(axis=0), pixels.std(axis=0)])


if __name__ == "__main__":
    sys.exit(main())
