"""What shards of prepare share: the folder of crops, and journals that become one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from footprints.preparation.crop_store import INCOMING, CropStore
from footprints.preparation.journal import Journal
from footprints.system.files import refuse_links
from footprints.system.shard import Shard
from footprints.system.shard_folder import shards_of

CROPS = "crops"
JOURNAL = "journal.jsonl"


def store_of(folder: Path, shard: Shard) -> CropStore:
    """Return the store of an output folder, with a place of this shard's own for new crops."""
    return CropStore(folder / CROPS, f"{INCOMING}-{shard.number}-of-{shard.of}")


def journal_of(folder: Path, shard: Shard) -> Journal:
    """Open the journal of a shard, which knows what all others made too."""
    others = [folder / other.journal for other in shards_of(folder, "jsonl") if other != shard]
    others.sort(key=lambda path: path.stat().st_mtime_ns)
    whole = folder / CROPS / JOURNAL
    return Journal(folder / shard.journal, [*([whole] if whole.is_file() else []), *others])


def take_in(folder: Path) -> None:
    """Append the journals of shards to the one of the whole, and remove what they left.

    Only for the process that has the folder for itself. A journal that was taken in twice, after
    a kill, says the same twice.
    """
    whole = folder / CROPS / JOURNAL
    journals = [folder / shard.journal for shard in shards_of(folder, "jsonl")]
    for path in sorted(journals, key=lambda path: path.stat().st_mtime_ns):
        refuse_links(path, folder)
        whole.parent.mkdir(exist_ok=True)
        with open(path, "rb") as source, open(whole, "a+b") as target:
            target.seek(max(0, target.seek(0, os.SEEK_END) - 1))
            if target.read(1) not in (b"", b"\n"):
                target.write(b"\n")  # a line was cut off
            shutil.copyfileobj(source, target)
            target.flush()
            os.fsync(target.fileno())
        path.unlink()
    for left in (folder / CROPS).glob(f"{INCOMING}-*-of-*"):
        shutil.rmtree(left)
