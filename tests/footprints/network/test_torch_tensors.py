"""The reader of PyTorch's older files, against PyTorch itself in a process of its own."""

from __future__ import annotations

import collections
import os
import pickle

import numpy as np
import pytest

from footprints.network.torch_tensors import read_tensors
from tests.helpers.programs import run_code

WHY = r"\w+ \w+"  # the reader, pickle and NumPy have words of their own

# Contiguous, transposed, cut out, a number alone, counts; and two names for one block.
_WRITE = """
import sys, collections, numpy as np, torch
torch.manual_seed(0)
whole = torch.randn(5, 4, 3, 2)
state = collections.OrderedDict(
    whole=whole, turned=whole.permute(3, 2, 0, 1), cut=whole[2:4, :, 1], alone=whole[0, 0, 0, 0],
    steps=torch.tensor(7), counts=torch.arange(6).reshape(2, 3),
)
torch.save(state, sys.argv[1], _use_new_zipfile_serialization=False)
np.savez(sys.argv[2], **{name: tensor.numpy() for name, tensor in state.items()})
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torch")
    run_code(_WRITE, folder / "state.pth", folder / "state.npz")
    return folder


def test_tensors_are_those_that_pytorch_wrote(written):
    found = read_tensors(written / "state.pth")
    with np.load(written / "state.npz") as expected:
        assert found.keys() == set(expected)
        for name, values in found.items():
            np.testing.assert_array_equal(values, expected[name], strict=True)


def test_a_file_that_was_cut_or_changed_is_refused(written, tmp_path):
    content = (written / "state.pth").read_bytes()
    path = tmp_path / "bad.pth"
    for size in (0, 3, 40, 400, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=WHY):
            read_tensors(path)
    at = content.index(b"whole")
    path.write_bytes(content[:at] + b"\xff" * 5 + content[at + 5 :])
    with pytest.raises(ValueError, match=WHY):
        read_tensors(path)


class _Runs:
    def __reduce__(self):
        return os.mkdir, ("was-run",)


@pytest.mark.parametrize("place", [2, 3])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, collections.OrderedDict(), []]
    parts[place] = _Runs()
    path = tmp_path / "bad.pth"
    path.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts))
    with pytest.raises(ValueError, match=r"wants .*mkdir"):
        read_tensors(path)
    assert not (tmp_path / "was-run").exists()


def test_a_file_of_the_newer_form_is_named_so(tmp_path):
    path = tmp_path / "new.pth"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(ValueError, match=WHY):
        read_tensors(path)
