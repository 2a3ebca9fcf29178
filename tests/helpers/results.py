"""Results of a prediction as logs, csv and parquet files."""

from __future__ import annotations

import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet

HEADER = (
    "23:36:16|I|{file}\n"
    "23:36:16|I|Model Path: m.pk\n"
    "23:36:16|I|dataOpts: {{'sr': 44100, 'fmin': 500, 'fmax': 10000}}\n"
    "23:36:16|I|prediction length: 0.4[s], hop length: 0.1[s], threshold: 0.6, prediction fmin: "
    "500[Hz] prediction fmax: 10000[Hz]\n"
    "23:36:16|I|class distribution: {classes}\n"
    "23:36:16|I|some normalization\n"
)


def window(start: float, end: float, names: list[str], p: list[float]) -> str:
    """Write a window of several classes as the original does."""
    winner = int(np.argmax(p))
    layer = "".join(f"{name}={value};\n" for name, value in zip(names, p, strict=True))
    return (
        f"23:36:17|I|time={start}-{end}, pred=1, pred_class={names[winner]}-{winner}, "
        f"prob={p[winner]}\noutput_layer:\n{layer}\n"
    )


def log_text(names: list[str], rows: list[list[float]], file: str = "a/rec.wav") -> str:
    text = HEADER.format(file=file, classes={name: i for i, name in enumerate(names)})
    times = [(round(0.1 * i, 3), round(0.1 * i + 0.4, 3)) for i in range(len(rows))]
    return text + "".join(window(*t, names, p) for t, p in zip(times, rows, strict=True))


def write_csv(path, names, p, file="a/rec.wav"):
    with open(path, "w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text)
        header = ["file", "start_s", "end_s", "pred", "pred_class", "prob", "fmin_hz", "fmax_hz"]
        writer.writerow([*header, *(f"p_{name}" for name in names)])
        for i, row in enumerate(p):
            best = int(np.argmax(row))
            writer.writerow([file, i / 4, i / 4 + 0.5, 1, names[best], row[best], 500, 1e4, *row])
    return path


def write_parquet(path, names, p, file="a/rec.wav"):
    start = np.arange(len(p)) / 4
    columns = {
        "file": pa.array([file] * len(p)).dictionary_encode(),
        "start_s": start,
        "end_s": start + 0.5,
        "pred": np.ones(len(p), np.int8),
        "pred_class": [names[int(np.argmax(row))] for row in p],
        "prob": np.max(p, axis=1, initial=0).astype(np.float32),
        "fmin_hz": np.full(len(p), 500.0),
        "fmax_hz": np.full(len(p), 1e4),
        **{f"p_{name}": np.array(p, np.float32)[:, i] for i, name in enumerate(names)},
    }
    pyarrow.parquet.write_table(pa.table(columns), path)
    return path
