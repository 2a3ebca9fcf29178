#!/usr/bin/env python3
"""Say how many new photos of the footprints demo were named right.

    python TRAINING/footprints_demo_answers.py photos_truth.csv predictions.json

The right answer to an animal that the model has no class for is "unknown".
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

UNKNOWN = "unknown"


def main(truth_csv: str, predictions_json: str) -> int:
    """Count and print; returns the exit status."""
    with Path(truth_csv).open(newline="", encoding="utf-8") as file:
        truth = {row["photo"]: row["class"] for row in csv.DictReader(file)}
    run = json.loads(Path(predictions_json).read_text(encoding="utf-8"))
    answers = {row["photo"]: row["answer"] for row in run["photos"]}
    known = {photo: name for photo, name in truth.items() if name in run["classes"]}
    right = sum(answers.get(photo) == name for photo, name in known.items())
    doubtful = sum(answers.get(photo) == UNKNOWN for photo in known)
    without = sum(photo not in answers for photo in known)
    wrong = len(known) - right - doubtful - without
    line = f"{right} of {len(known)} new photos are named right; {UNKNOWN}: {doubtful}"
    print(f"{line}, a wrong name: {wrong}" + (f", no answer: {without}" if without else ""))
    strangers = {photo: name for photo, name in truth.items() if photo not in known}
    for photo, name in strangers.items():
        answer = answers.get(photo, "no answer")
        verdict = "right" if answer == UNKNOWN else "wrong, it should be unknown"
        print(f"the stranger, {photo} ({name}, of no class): answered {answer}, {verdict}")
    if len(strangers) > 1:
        refused = sum(answers.get(photo) == UNKNOWN for photo in strangers)
        print(f"{refused} of {len(strangers)} photos of animals of no class are answered {UNKNOWN}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
