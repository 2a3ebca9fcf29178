"""What many workers cost. Run by hand on a quiet machine; needs the extra cluster.

    python -m tests.bench.bench_cluster [--only NAME] [--recordings N] [--seconds S] [--files N]
        [--fake N] [--hours H] [--model FILE]

efficiency: two workers of Ray with a core each against one process on two cores, on N recordings of
    S seconds; and one worker with two cores. Time from the first window to the last table.
overhead: what a recording costs besides its windows, of 1-second files with few of them.
small: many 1-second files.
kill: a worker is killed in the middle; time lost, and whether the files are the same.
long: one recording of H hours, by one process, and by two workers that share its sections.
fake: listing, handing out, journal, resume and merge of N recordings that are not there, with a
    network that does nothing; memory of the driver, and what that means for 100 and 1,000 nodes.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import gc
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import IO

import numpy as np
import soundfile as sf

from animal_spot.audio.recordings import listed_names, output_stems
from animal_spot.cluster.handing_out import HandingOut
from animal_spot.detections.journal import Completed, Journal
from animal_spot.metadata.recording_time import RecordingTime
from animal_spot.metadata.time_list import TimeList
from animal_spot.prediction.run_tables import NotedEntries, Tally, write_run_tables
from animal_spot.prediction.shard import Shard
from animal_spot.prediction.shard_note import WholeList, read_note, tally_of, write_note
from animal_spot.utils.many_paths import PathList, PathMap, PathSet
from animal_spot.utils.own_files import Written
from tests.helpers.places import ROOT

NAMES = ("efficiency", "overhead", "small", "kill", "long", "fake")
PREDICT = ROOT / "ANIMAL-SPOT" / "predict.py"
RATE = 16_000
FLAGS = (
    "--no_cuda",
    "--engine",
    "openvino",
    "--precision",
    "fp32",
    "--no_report",
    "--format",
    "csv",
)


def model_in(folder: Path) -> Path:
    """Write a ResNet-18 whose answers differ from window to window."""
    from tests.helpers.prediction import Models

    folder.mkdir(exist_ok=True)
    return Models(folder)("multi")


def sounds_in(folder: Path, n: int, seconds: float) -> Path:
    """Write recordings of noise."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(n):
        samples = rng.normal(0, 0.05, int(seconds * RATE)).astype(np.float32)
        sf.write(folder / f"r{i:06d}.wav", samples, RATE)
    return folder


def started(
    model: Path, source: Path, output: Path, *flags: object, stderr: int | IO = subprocess.PIPE
) -> subprocess.Popen:
    """Start a prediction."""
    folders = ("--model_path", model, "--input_file", source, "--output_dir", output)
    command = [sys.executable, PREDICT, *folders, *FLAGS, *flags]
    return subprocess.Popen(list(map(str, command)), stderr=stderr, text=True)


def worked_s(process: subprocess.Popen, output: Path) -> float:
    """Wait for the end; return the seconds from the first result to the last."""
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(said[-3000:])
    times = [path.stat().st_mtime for path in output.glob("*_predict_output.csv")]
    return max(times) - min(times)


def checksum(output: Path) -> str:
    """Return a hash of all results but for seconds and statuses."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(output.glob("[!.]*")):
        if path.is_file() and path.name != "summary.csv":
            digest.update(path.name.encode() + path.read_bytes())
    with open(output / "summary.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            digest.update(f"{row['file']}{row['windows']}{row['detections']}".encode())
    return digest.hexdigest()


def compare(folder: Path, n: int, seconds: float, hop: float) -> None:
    """Print how two workers do against one process."""
    model, source = model_in(folder / "models"), sounds_in(folder / "in", n, seconds)
    runs = {
        "one process, all cores": (),
        "Ray, 1 worker, all cores": ("--ray", "--ray_workers", 1),
        "Ray, 2 workers": ("--ray", "--ray_workers", 2),
    }
    first = None
    for number, (name, flags) in enumerate(runs.items()):
        output = folder / f"out{number}"
        begun = time.perf_counter()
        took_s = worked_s(started(model, source, output, "--hop", hop, *flags), output)
        whole_s = time.perf_counter() - begun
        first = first or took_s
        print(
            f"{name:26} {took_s:7.1f} s, whole command {whole_s:6.1f} s, efficiency "
            f"{first / took_s:.2f}, {1000 * (took_s - first) / n:+.1f} ms a recording, files "
            f"{checksum(output)}"
        )


def long_sound_in(folder: Path, hours: float) -> Path:
    """Write a recording at 48 kHz: noise, and a tone of a second every ten."""
    folder.mkdir()
    rate, rng = 48_000, np.random.default_rng(0)
    with sf.SoundFile(folder / "long.wav", "w", rate, 1, "PCM_16") as file:
        for _ in range(round(hours * 360)):
            samples = rng.normal(0, 0.02, 10 * rate)
            begin, height_hz = rng.integers(0, 9 * rate), rng.uniform(500, 9000)
            tone = 0.1 * np.sin(2 * np.pi * height_hz * np.arange(rate) / rate)
            samples[begin : begin + rate] += tone
            file.write(samples.astype(np.float32))
    return folder


def used_by(process: subprocess.Popen) -> tuple[float, int]:
    """Wait for the end; return seconds of computing and most memory of what predicts, bytes.

    That are the command itself and Ray's workers, without Ray's own processes.
    """
    import psutil

    seconds, most = {}, 0
    while process.poll() is None:
        memory = 0
        with contextlib.suppress(psutil.Error):
            command = psutil.Process(process.pid)
            for one in (command, *command.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    if one == command or "ray::Worker" in " ".join(one.cmdline()):
                        seconds[one.pid] = sum(one.cpu_times()[:2])
                        memory += one.memory_full_info().pss
        most = max(most, memory)
        time.sleep(0.2)
    return sum(seconds.values()), most


def share(folder: Path, hours: float, model: Path | None) -> None:
    """Print how two workers share one long recording."""
    source = long_sound_in(folder / "in", hours)
    hop = 0.02 if model is None else 0.5
    model = model or model_in(folder / "models")
    for number, flags in enumerate(((), ("--ray", "--ray_workers", 2))):
        output, begun = folder / f"out{number}", time.perf_counter()
        with open(folder / "said", "w", encoding="utf-8") as said:
            command = started(model, source, output, "--hop", hop, *flags, stderr=said)
            computing_s, memory = used_by(command)
        whole_s = time.perf_counter() - begun
        if command.returncode:
            raise SystemExit((folder / "said").read_text()[-3000:])
        print(
            f"{'Ray, 2 workers' if flags else 'one process':26} whole command {whole_s:6.1f} s, "
            f"computing {computing_s:6.1f} s, memory {memory / 2**30:.2f} GiB, load "
            f"{os.getloadavg()[0]:.1f}, files {checksum(output)}"
        )


def killed(folder: Path, n: int, seconds: float) -> None:
    """Print what the death of a worker costs."""
    import psutil

    model, source = model_in(folder / "models"), sounds_in(folder / "in", n, seconds)
    flags = ("--hop", 0.02, "--ray", "--ray_workers", 2)
    calm_s = worked_s(started(model, source, folder / "calm", *flags), folder / "calm")
    output = folder / "killed"
    process = started(model, source, output, *flags)
    while len(list(output.glob("*.csv"))) < n // 2:
        time.sleep(0.05)
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "ray::Worker" in " ".join(child.cmdline()):
                os.kill(child.pid, signal.SIGKILL)
                break
    took_s = worked_s(process, output)
    same = checksum(output) == checksum(folder / "calm")
    print(f"calm {calm_s:.1f} s, a worker killed {took_s:.1f} s, files the same: {same}")


def memory_mb() -> float:
    """Return the memory of this process."""
    text = Path("/proc/self/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


def most_mb() -> float:
    """Return the most memory that this process had."""
    text = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) / 1024


class Stages:
    """Prints the time of the processor that each stage took, and what memory it left."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._began, self._mb = time.process_time(), memory_mb()

    def end(self, name: str, n: int | None = None) -> None:
        """Print a stage of ``n`` things; None: of all."""
        n = n or self._n
        took_s, mb = time.process_time() - self._began, memory_mb()
        print(
            f"{name:34} {took_s:7.1f} s, {1e6 * took_s / n:7.1f} us each, memory "
            f"{mb:6.0f} MB ({1024 * 1024 * (mb - self._mb) / n:+6.0f} B each)"
        )
        self._began, self._mb = time.process_time(), memory_mb()


def fake(folder: Path, n: int) -> None:
    """Print what the driver does for recordings that are not there."""
    root = "/archive"
    stage = Stages(n)
    paths = PathList(f"{root}/site{i % 500:03}/{2000 + i % 12}/REC_{i:08}.wav" for i in range(n))
    stage.end("list")
    names = listed_names([root], paths)
    n_held = sum(map(Shard(1, 100).holds, names))
    del names
    stage.end(f"a shard of 100 ({n_held})")
    moment = datetime(2024, 5, 1, tzinfo=timezone.utc)
    kinds = [RecordingTime(source="file name", site=f"site{i}") for i in range(500)]
    hour = timedelta(hours=1)
    times = TimeList(replace(kinds[i % 500], start=moment + i // 500 * hour) for i in range(n))
    stage.end("times")
    journal = Journal(folder)
    stem_of = PathMap(paths, output_stems(paths, journal.stems))
    stage.end("names of results")
    out: HandingOut[Path, int] = HandingOut(iter(paths), n)
    workers = range(1000)
    for worker in workers:
        out.join(worker)
    while not out.is_done:
        for worker in workers:
            while out.next_for(worker):
                pass
            if out._workers[worker].given:
                out.done(worker, 5.0)
    stage.end("hand out to 1,000 workers")
    complete = PathSet(paths)
    for path in paths:
        entry = entry_of(path, stem_of[path])
        journal.begin(path, entry.stem, entry.files)
        for name, size in entry.files.items():  # as ``adopt`` notes it before and afterwards
            journal.own._note(name, Written(size, "0" * 32, of=entry.stem))
            journal.own._note(name, Written(size, "0" * 32, (size, 1, 1), entry.stem))
        journal.add(entry)
        complete.add(path)
    stage.end("journal, 2 files, 3 annotations each")
    n_real = min(n, 10_000)
    for i in range(n_real):
        part = folder / "part"
        part.write_bytes(b"0" * 4096)
        journal.own.adopt(f"{i}.csv", part, digest="0" * 32, of=str(i))
    stage.end(f"one of {n_real} files put into place", n_real)
    entries = NotedEntries(journal, complete)
    tally = Tally(paths, {}, PathSet(paths), entries, times=PathMap(paths, times))
    write_run_tables(journal.own, ("a", "b"), (500.0, 8000.0), tally)
    journal.close()
    stage.end("tables over all")
    del journal, entries, tally, stem_of, complete
    gc.collect()
    again = Journal(folder)
    stage.end("journal read again")
    output_stems(paths, again.stems)
    stage.end("names of results again")
    n_known = sum(again.entry_of(str(path)) is not None for path in paths)
    stage.end("each looked up")
    print(f"{n_known} recordings, journal {size_mb(folder):.0f} MB, at most {most_mb():.0f} MB")
    note_shard(folder, paths, times, again)
    stage.end("note of a shard of all")
    del paths, times
    tally = tally_of([read_note(folder / Shard(1, 1).note)], again, lambda entry: True)
    stage.end("notes of shards put together")
    write_run_tables(again.own, ("a", "b"), (500.0, 8000.0), tally)
    again.close()
    stage.end("tables over all, by merge")
    print(f"{len(tally.entries)} recordings, at most {most_mb():.0f} MB")


def note_shard(folder: Path, paths: PathList, times: TimeList, journal: Journal) -> None:
    """Write what one shard of one leaves for the merge."""
    complete = PathSet(paths)
    for path in paths:
        complete.add(path)
    entries, time_of = NotedEntries(journal, complete), PathMap(paths, times)
    write_note(
        folder,
        Shard(1, 1),
        WholeList.of(paths, paths.texts),
        run="0" * 32,
        names=("a", "b"),
        band_hz=(500.0, 8000.0),
        tally=Tally(paths, {}, PathSet(paths), entries, times=time_of),
        inputs=["/archive"],
    )


def entry_of(path: Path, stem: str) -> Completed:
    """Return what is known of a recording of a minute with three calls."""
    return Completed(
        path=str(path),
        stem=stem,
        run="0" * 32,
        state=[5_760_044, 1_700_000_000_000_000_000, 1_700_000_000_000_000_000],
        digest="0" * 32,
        duration_s=60.0,
        n_windows=120,
        detections={"a": 2, "b": 1},
        seconds=0.5,
        files={f"{stem}_predict_output.csv": 9000, f"{stem}_predict_output.log": 9000},
        annotations=[[1.5, 2.5, "a", 0.91], [3.5, 4.5, "b", 0.8], [13.5, 14.5, "a", 0.8]],
    )


def size_mb(folder: Path) -> float:
    """Return the size of the journal."""
    return (folder / ".completed.jsonl").stat().st_size / 2**20


def main() -> int:
    """Run the benchmarks that are wanted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=NAMES)
    parser.add_argument("--recordings", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--files", type=int, default=10_000, help="1-second files")
    parser.add_argument("--fake", type=int, default=1_000_000)
    parser.add_argument("--hours", type=float, default=4.0, help="of the long recording")
    parser.add_argument("--model", type=Path, help="that hears the long recording")
    wanted = parser.parse_args()
    for name in NAMES if wanted.only is None else (wanted.only,):
        print(f"-- {name}")
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            if name == "efficiency":
                compare(folder, wanted.recordings, wanted.seconds, 0.02)
            elif name == "overhead":
                compare(folder, wanted.recordings, 1.0, 1.0)
            elif name == "small":
                compare(folder, wanted.files, 1.0, 0.25)
            elif name == "kill":
                killed(folder, wanted.recordings, wanted.seconds)
            elif name == "long":
                share(folder, wanted.hours, wanted.model)
            else:
                fake(folder, wanted.fake)
    return 0


if __name__ == "__main__":
    sys.exit(main())
