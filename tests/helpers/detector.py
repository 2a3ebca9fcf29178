"""Detectors and photos of known content, for the tests of finding and cutting out prints."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from tests.helpers.programs import run_code

RED, GREEN, BLUE, GROUND = (230, 20, 20), (20, 200, 20), (20, 20, 230), (120, 120, 120)


def _save(path: Path, nodes, constants, output_shape, image_size, names, dynamic=False) -> Path:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    sides = ["height", "width"] if dynamic else [image_size, image_size]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, *sides])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, output_shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    facts = {
        "task": "detect",
        "stride": "32",
        "imgsz": f"[{image_size}, {image_size}]",
        "names": str(dict(enumerate(names))),
    }
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def fixed_detector(path: Path, rows, image_size: int = 640, names=("footprint",)) -> Path:
    """Write an ONNX detector that finds the same boxes in every photo.

    Args:
        path: Of the file.
        rows: Lists of x1, y1, x2, y2 in pixels of the input, then a confidence a class.
        image_size: Side of the input.
        names: Of the classes.
    """
    from onnx import helper

    rows = np.asarray(rows, dtype=np.float32).reshape(-1, 4 + len(names))
    raw = rows.copy()
    raw[:, :2], raw[:, 2:4] = (rows[:, :2] + rows[:, 2:4]) / 2, rows[:, 2:4] - rows[:, :2]
    constants = {
        "boxes": np.ascontiguousarray(raw.T[None]),
        "nothing": np.zeros((1, 1, 1), np.float32),
    }
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
        helper.make_node("Add", ["boxes", "zero"], ["output0"]),
    ]
    return _save(path, nodes, constants, list(constants["boxes"].shape), image_size, names)


def red_square_detector(path: Path, image_size: int = 128, cell: int = 16) -> Path:
    """Write an ONNX detector of red: a box for each cell, as sure as the cell is red.

    The confidence is the mean of red minus the mean of green and blue, 0 to 1, so blue where red
    should be gives no box at all.
    """
    from onnx import helper

    n = image_size // cell
    centres = (np.arange(n) + 0.5) * cell
    y, x = np.meshgrid(centres, centres, indexing="ij")
    boxes = np.stack([x.ravel(), y.ravel(), np.full(n * n, cell), np.full(n * n, cell)])
    constants = {
        "weights": np.array([1, -0.5, -0.5], np.float32).reshape(1, 3, 1, 1),
        "boxes": boxes[None].astype(np.float32),
        "flat": np.array([1, 1, n * n], np.int64),
        "low": np.float32(0),
        "high": np.float32(1),
    }
    pool = {"kernel_shape": [cell, cell], "strides": [cell, cell]}
    nodes = [
        helper.make_node("Conv", ["images", "weights"], ["redness"]),
        helper.make_node("AveragePool", ["redness"], ["cells"], **pool),
        helper.make_node("Clip", ["cells", "low", "high"], ["sure"]),
        helper.make_node("Reshape", ["sure", "flat"], ["row"]),
        helper.make_node("Concat", ["boxes", "row"], ["output0"], axis=1),
    ]
    return _save(path, nodes, constants, [1, 5, n * n], image_size, ("red",))


def photo_with_square(
    shape: tuple[int, int], box: tuple[int, int, int, int], colour=RED, marker=None
) -> np.ndarray:
    """Draw a square on grey ground; ``marker`` is the box of a green one."""
    photo = np.full((*shape, 3), GROUND, np.uint8)
    photo[box[1] : box[3], box[0] : box[2]] = colour
    if marker is not None:
        photo[marker[1] : marker[3], marker[0] : marker[2]] = GREEN
    return photo


def save_rotated(path: Path, upright: np.ndarray, orientation: int) -> Path:
    """Write a photo as a camera held askew does: stored turned, with an EXIF note how to turn it.

    ``orientation`` 6: the stored picture must be turned 90 degrees clockwise, 8: anticlockwise,
    3: by 180 degrees, 1: not at all.
    """
    turns = {1: 0, 6: 1, 3: 2, 8: 3}[orientation]  # quarter turns anticlockwise to store
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(upright, turns)))
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"quality": 98, "subsampling": 0} if path.suffix == ".jpg" else {}
    stored.save(path, exif=exif.tobytes(), **options)
    return path


def listing_of(folder: Path) -> dict[str, tuple[int, str]]:
    """Return time and content of every file below a folder, to see that nothing was touched."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def malicious_checkpoints(folder: Path, marker: Path) -> dict[str, Path]:
    """Write ``.pt`` files that make the file ``marker`` when they are unpickled without care.

    It is tried out on each that they do.
    """
    code = """
import os, pickle, sys, torch
folder, marker = sys.argv[1:]
class Evil:
    def __reduce__(self):
        return (exec, (f"open({marker!r}, 'w').write('it ran')",))
content = {"model": Evil(), "epoch": -1, "train_args": {}}
torch.save(content, f"{folder}/zip.pt")
torch.save(content, f"{folder}/legacy.pt", _use_new_zipfile_serialization=False)
with open(f"{folder}/pickle.pt", "wb") as file:
    pickle.dump(content, file)
for kind in ("zip", "legacy", "pickle"):
    if kind == "pickle":
        pickle.load(open(f"{folder}/pickle.pt", "rb"))
    else:
        torch.load(f"{folder}/{kind}.pt", weights_only=False)
    os.unlink(marker)  # it was there
"""
    run_code(code, folder, marker)
    return {kind: folder / f"{kind}.pt" for kind in ("zip", "legacy", "pickle")}


RANDOM_NETWORK = """
import shutil, sys
from pathlib import Path
from footprints.detector.yolo import load_ultralytics
folder, image_size = Path(sys.argv[1]), int(sys.argv[2])
ultralytics = load_ultralytics()
import torch
torch.manual_seed(3)
model = ultralytics.YOLO("yolo11n.yaml", task="detect")
detector = type(model.model)({**model.model.yaml, "nc": 2}, verbose=False)
detector.names = {0: "print", 1: "other"}
norms = [m for m in detector.modules() if isinstance(m, torch.nn.BatchNorm2d)]
for norm in norms:
    norm.weight.data.uniform_(0.5, 1.5)
    norm.bias.data.normal_(0, 0.2)
    norm.momentum = 0.3
with torch.no_grad():  # statistics of coloured noise: untrained, it would hardly see the photo
    for _ in range(8):
        coarse = torch.rand(8, 3, 6, 6)
        detector.train()(torch.nn.functional.interpolate(coarse, size=(image_size, image_size)))
for norm in norms:
    norm.momentum = 0.03
detector.eval()
for branch in detector.model[-1].cv3:
    branch[-1].weight.data.normal_(0, 2.5)
    branch[-1].bias.data.fill_(-3.0)
detector.args = {"imgsz": image_size, "task": "detect"}
detector.task = "detect"
torch.save({"model": detector, "train_args": {"imgsz": image_size, "task": "detect"}},
           folder / "random.pt")
made = ultralytics.YOLO(str(folder / "random.pt")).export(
    format="onnx", imgsz=image_size, simplify=False, device="cpu")
assert Path(made) == folder / "random.onnx", made
"""


def random_network(folder: Path, image_size: int = 128) -> tuple[Path, Path]:
    """Write a yolo11n with two classes and random weights, as ``.pt`` and ``.onnx``."""
    folder.mkdir(parents=True, exist_ok=True)
    run_code(RANDOM_NETWORK, folder, image_size)
    return folder / "random.pt", folder / "random.onnx"


def write_detector_data(folder: Path, n: dict[str, int], seed: int = 0, side: int = 160) -> Path:
    """Write photos of dark ovals with boxes in YOLO's format; returns the data.yaml."""
    from PIL import ImageDraw

    rng = np.random.default_rng(seed)
    for part, count in n.items():
        for place in ("images", "labels"):
            (folder / place / part).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            # Light and dark areas of its own, or all photos would look alike to a hash.
            coarse = rng.integers(60, 230, (6, 8, 3)).astype(np.uint8)
            ground = Image.fromarray(coarse).resize((side, side * 3 // 4), Image.Resampling.BICUBIC)
            width, height = ground.size
            cx, cy = rng.integers(width // 3, 2 * width // 3), rng.integers(40, height - 40)
            rx, ry = rng.integers(14, 30, 2)
            ImageDraw.Draw(ground).ellipse((cx - rx, cy - ry, cx + rx, cy + ry), fill=(50, 30, 20))
            ground.save(folder / "images" / part / f"{i}.jpg", quality=95)
            (folder / "labels" / part / f"{i}.txt").write_text(
                f"0 {cx / width} {cy / height} {2 * rx / width} {2 * ry / height}\n"
            )
    path = folder / "data.yaml"
    path.write_text(
        "path: .\n" + "".join(f"{part}: images/{part}\n" for part in n) + "names:\n  0: footprint\n"
    )
    return path


NO_NETWORK = """
import os, socket
def refuse(*args, **kwargs):
    with open(os.environ["CALLS"], "a") as file:
        file.write(repr(args)[:200] + "\\n")
    raise OSError("no network in this test")
socket.getaddrinfo = socket.create_connection = refuse
_connect = socket.socket.connect
def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6):
        refuse(address)
    return _connect(self, address)
socket.socket.connect = connect
"""


class Watched:
    """An environment in which a process has an empty home and is caught asking the network."""

    def __init__(self, folder: Path) -> None:
        self.home, self.scratch, self._calls = (
            folder / name for name in ("home", "scratch", "calls")
        )
        for place in (self.home, self.scratch, folder / "site"):
            place.mkdir(parents=True, exist_ok=True)
        (folder / "site" / "sitecustomize.py").write_text(NO_NETWORK)
        self.environment = {
            "PYTHONPATH": str(folder / "site"),
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "TMPDIR": str(self.scratch),
            "CALLS": str(self._calls),
            "MPLCONFIGDIR": str(folder / "matplotlib"),  # its list of fonts, as of any program
        }

    def check(self) -> None:
        """Fail if the network was asked, or something left in the home or for ever in /tmp."""
        assert not self._calls.exists(), self._calls.read_text()
        assert list(self.home.rglob("*")) == []
        assert list(self.scratch.iterdir()) == []
