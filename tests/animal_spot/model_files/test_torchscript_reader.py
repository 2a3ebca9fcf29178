"""TorchScript archives are read as data: good ones exactly, and nothing of bad ones is run."""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from animal_spot import predict
from animal_spot.model_files.model_file import bytes_of, load_torchscript
from animal_spot.model_files.torchscript_reader import ArchiveError, read_torchscript
from animal_spot.utils.tensor_files import UnreadableFileError, load_tensors
from tests.helpers.prediction import make_content

pytestmark = pytest.mark.filterwarnings("ignore:.*TorchScript|.*torch.jit")


class Plain(nn.Module):
    """A network that writes nothing when it is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


# What a planted archive does when PyTorch loads it: PATH becomes a file of its choice.
WRITER = """
import torch
from torch import nn

class Writer(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 3))

    @torch.jit.export
    def __getstate__(self):
        return (self.weight, self.training)

    @torch.jit.export
    def __setstate__(self, state):
        # type: (Tuple[Tensor, bool]) -> None
        file = torch.from_file({path!r}, True, 6, dtype=torch.float32)
        self.weight = file.copy_(state[0].flatten()).reshape(2, 3)
        self.training = state[1]

    def forward(self, x):
        return x @ self.weight
"""


@pytest.fixture
def planted(tmp_path, monkeypatch) -> tuple[Path, Path]:
    """An archive that writes a file when PyTorch loads it, and that file."""
    written = tmp_path / "written"
    (tmp_path / "writer_module.py").write_text(WRITER.format(path=str(written)))
    monkeypatch.syspath_prepend(tmp_path)
    import writer_module

    archive = tmp_path / "planted.pt"
    torch.jit.save(torch.jit.script(writer_module.Writer()), str(archive))
    torch.jit.load(str(archive))
    assert written.is_file(), "the archive does no harm, so that this test would prove nothing"
    written.unlink()
    return archive, written


def test_nothing_of_an_archive_is_run(planted, tmp_path, capsys):
    archive, written = planted
    with pytest.raises(
        UnreadableFileError, match=r"planted\.pt is not a TorchScript archive of a network"
    ):
        load_torchscript(archive)
    given = ("--model_path", str(archive), "--jit_load", "--no_cuda")
    assert predict.main([*given, "--export", "torchscript", str(tmp_path / "x.pt")]) == 1
    assert predict.main([*given, "--input_file", str(archive)]) == 1
    with pytest.raises(UnreadableFileError, match="it is a TorchScript archive"):
        load_tensors(archive)
    assert not written.exists()
    assert "weights_only" not in capsys.readouterr().err


def test_a_good_archive_gives_what_pytorch_reads(tmp_path):
    content, path = make_content({"K1": 0, "noise": 1, "K2": 2}), tmp_path / "m.pt"
    path.write_bytes(bytes_of(content, torchscript=True))
    inputs = torch.rand(2, 1, 24, 32)
    reference = torch.jit.load(str(path))
    loaded = load_torchscript(path)
    with torch.no_grad():
        assert torch.equal(loaded.model.eval()(inputs), reference(inputs))
    state, texts = read_torchscript(path, ("classes", "no such text"))
    expected = reference.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], value) for name, value in expected.items())
    assert texts == {"classes": "{'K1': 0, 'noise': 1, 'K2': 2}"}


def test_any_kind_of_tensor_is_read_as_pytorch_reads_it(tmp_path):
    net = Plain()
    for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool):
        net.register_buffer(f"of_{len(net._buffers)}", torch.arange(6).reshape(2, 3).to(dtype))
    net.register_buffer("turned", torch.arange(6.0).reshape(2, 3).t())
    net.register_buffer("none", torch.zeros(0, 4))
    net.register_buffer("scalar", torch.tensor(7))
    path = tmp_path / "m.pt"
    torch.jit.save(torch.jit.trace(net, torch.rand(1, 3)), str(path))
    state, _ = read_torchscript(path, ())
    expected = torch.jit.load(str(path)).state_dict()
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        assert state[name].dtype == value.dtype, name
        assert torch.equal(state[name], value), name


class Harmful:
    """A pickle of it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def with_parts(archive: Path, target: Path, **parts: bytes) -> Path:
    """Copy an archive with other parts."""
    with zipfile.ZipFile(archive) as given, zipfile.ZipFile(target, "w") as written:
        for name in given.namelist():
            part = name.partition("/")[2]
            written.writestr(name, parts.get(part.replace(".", "_"), given.read(name)))
    return target


def test_damaged_and_planted_parts_are_refused_in_one_line(tmp_path):
    good, made = tmp_path / "good.pt", tmp_path / "made"
    torch.jit.save(torch.jit.trace(Plain(), torch.rand(1, 3)), str(good))
    bad = {
        "pickle": pickle.dumps(Harmful(made), protocol=2),
        "memo": pickle.PROTO + b"\x02N" + pickle.LONG_BINPUT + b"\xff\xff\xff\x7f.",
        "cut": b"\x80\x02c",
        "nothing": b"",
        "list": pickle.dumps([1, 2], protocol=2),
    }
    for name, content in bad.items():
        path = with_parts(good, tmp_path / f"{name}.pt", data_pkl=content)
        if name == "list":
            assert read_torchscript(path, ()) == ({}, {})
        else:
            with pytest.raises(ArchiveError) as caught:
                read_torchscript(path, ())
            assert "\n" not in str(caught.value)
        with pytest.raises(UnreadableFileError):
            load_torchscript(path)
    assert not made.exists()
    (tmp_path / "half.pt").write_bytes(good.read_bytes()[:1000])
    (tmp_path / "text.pt").write_text("no archive")
    with_parts(good, tmp_path / "numbers.pt", **{"data/0": b"\0" * 4})
    for name in ("half.pt", "text.pt", "numbers.pt"):
        with pytest.raises(UnreadableFileError, match=name):
            load_torchscript(tmp_path / name)
    os.mkfifo(tmp_path / "fifo.pt")
    with pytest.raises(UnreadableFileError, match="it is not a file"):
        load_torchscript(tmp_path / "fifo.pt")
    with pytest.raises(UnreadableFileError, match="it is not a file"):
        load_tensors(tmp_path / "fifo.pt")
    with pytest.raises(FileNotFoundError):
        load_torchscript(tmp_path / "gone.pt")


def test_pytorch_s_advice_to_read_unsafely_is_never_passed_on(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save({"x": Harmful(tmp_path / "made")}, tmp_path / "planted.pk")
        torch.save(Plain(), tmp_path / "module.pk")
    (tmp_path / "text.pk").write_text("text")
    (tmp_path / "cut.pk").write_bytes((tmp_path / "module.pk").read_bytes()[:500])
    for name in ("planted.pk", "module.pk", "text.pk", "cut.pk"):
        with pytest.raises(UnreadableFileError, match=f"{name} cannot be read: it is") as caught:
            load_tensors(tmp_path / name)
        assert "weights_only" not in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "made").exists()
