"""Put the results of several seeds side by side.

    python -m tests.bench.summarise_runs RUN/model/results.json ...

Prints a row for each run and their mean; +- is the 95 % interval of that mean over the seeds
(Student's t). The interval of the last line is Wilson's for the clips of one test set, which is
what limits the comparison.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

from animal_spot.utils.intervals import wilson_interval

T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}  # by degrees of freedom


def main() -> None:
    """Print the table."""
    rows = []
    for name in sys.argv[1:]:
        results = json.loads(Path(name).read_text())
        val, test = results["partitions"]["val"], results["partitions"]["test"]
        rows.append((val["macro_accuracy"], test["accuracy"], test["macro_accuracy"]))
        n_clips = results["clips"]["test"]
        seed = results["settings"]["seed"]
        print(f"seed {seed}: " + ", ".join(f"{value:.3f}" for value in rows[-1]))
    for title, values in zip(
        ("val, mean of classes", "test, all clips", "test, mean of classes"),
        zip(*rows, strict=True),
        strict=True,
    ):
        mean, text = statistics.mean(values), ""
        if len(values) > 1:
            spread = statistics.stdev(values) * T_95[len(values) - 1] / len(values) ** 0.5
            text = f" +- {spread:.3f}"
        print(f"{title}: {mean:.3f}{text}")
    mean = statistics.mean(row[1] for row in rows)
    low, high = wilson_interval(round(mean * n_clips), n_clips)
    print(f"{n_clips} test clips: {mean:.3f} means {low:.3f} to {high:.3f}")


if __name__ == "__main__":
    main()
