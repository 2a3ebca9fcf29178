"""Write a model with its whole signal path for programs that have none of this code."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from animal_spot.model_files.ensemble_file import Ensemble
from animal_spot.model_files.model_file import ModelFile, calibrated_network
from animal_spot.prediction.waveform_model import WaveformEnsemble, WaveformModel
from animal_spot.utils.environment import pip_install
from animal_spot.utils.files import require_writable_folder
from animal_spot.utils.tensor_files import torch_file

if TYPE_CHECKING:
    import onnx

ExportKind = Literal["onnx", "torchscript"]
INPUT_NAME, OUTPUT_NAME = "waveform", "probabilities"
EXAMPLE_FRAMES = 64  # more than ConvNeXt needs at least, which divides by 32


class MissingPackageError(ImportError):
    """A package that an export needs is not installed; the message names it."""


def export_model(content: ModelFile | Ensemble, kind: ExportKind, path: Path) -> None:
    """Write one file with signal path, network and softmax; see ``WaveformModel``.

    Batch size and number of samples are free. Classes and signal path go with it as JSON texts:
    ``metadata_props`` of ONNX, extra files of TorchScript.

    Args:
        content: The model, or several of one sampling rate; they are not changed. Temperatures are
            inside.
        kind: ``onnx`` or ``torchscript``.
        path: File to write; it appears when it is complete, and its folder is made.

    Raises:
        MissingPackageError: If ONNX is wanted and its packages are not installed.
        ValueError: If the kind is unknown, the models have several sampling rates, or one takes
            inputs of one size only.
        OSError: If the file cannot be written.
    """
    if kind not in ("onnx", "torchscript"):
        raise ValueError(f"kind must be 'onnx' or 'torchscript', got {kind!r}")
    require_writable_folder(path.parent, "the folder of the export")
    members = [content] if isinstance(content, ModelFile) else list(content)
    if not all(member.kind.exportable for member in members):
        raise ValueError(
            "a network on embeddings cannot be exported: the embedding model before it is not ours "
            "to convert; use predict.py"
        )
    rates = sorted({member.signal.sr for member in members})
    if len(rates) > 1:
        raise ValueError(
            f"an ensemble with sampling rates of {' and '.join(map(str, rates))} Hz cannot be "
            "exported, since a waveform has one: export its members one by one"
        )
    models = [_waveform_model(member) for member in members]
    model = models[0]
    if len(models) > 1:
        model = WaveformEnsemble(models, content.calibration.temperature or 1.0)
    model.eval()
    # Two waveforms: an export takes a batch of one for a constant.
    n_samples = max(
        member.signal.n_fft + (EXAMPLE_FRAMES - 1) * member.signal.hop_length for member in members
    )
    example = torch.zeros(2, n_samples)
    write = _write_onnx if kind == "onnx" else _write_torchscript
    with torch.no_grad():
        write(model, example, metadata_of(members[0]), path)


def _waveform_model(content: ModelFile) -> WaveformModel:
    if getattr(content.model.encoder, "input_size", None) is not None:
        raise ValueError(
            f"a {content.backbone} takes inputs of one size only, so it cannot be exported for "
            "waveforms of any length"
        )
    network = calibrated_network(content).cpu().float().to(memory_format=torch.contiguous_format)
    return WaveformModel(network, content.signal)


def metadata_of(content: ModelFile) -> dict[str, str]:
    """Return what a user of the exported file has to know, as JSON texts."""
    values = {
        "classes": content.classes,
        "sr": content.signal.sr,
        "sequence_len_ms": content.sequence_len_ms,
        "dataOpts": content.signal.data_opts(),
        "normalization": content.signal.normalization,
    }
    return {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}


def _write_torchscript(
    model: WaveformModel, example: Tensor, metadata: dict[str, str], path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(model, example, check_trace=False)
        buffer = io.BytesIO()  # PyTorch's own writing ends the process when the disk is full
        torch.jit.save(traced, buffer, _extra_files=dict(metadata))
    with torch_file(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def _write_onnx(
    model: WaveformModel, example: Tensor, metadata: dict[str, str], path: Path
) -> None:
    import_onnx()
    import onnx

    dynamic = torch.export.Dim.DYNAMIC
    proto = onnx_of(model, example, {0: dynamic, 1: dynamic}, [OUTPUT_NAME])
    _tidy(proto.graph)
    onnx.helper.set_model_props(proto, metadata)
    with torch_file(path) as temporary:
        temporary.write_bytes(proto.SerializeToString())


def import_onnx() -> None:
    """Make sure that a network can be written as ONNX.

    Raises:
        MissingPackageError: If a package for it is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401 - PyTorch's exporter needs it
    except ImportError as error:
        raise MissingPackageError(
            f"ONNX needs a package that is not installed ({error}): "
            f"{pip_install('onnx', 'onnxscript')}"
        ) from error


def onnx_of(
    model: nn.Module, example: Tensor, dynamic_axes: dict[int, Any], output_names: list[str]
) -> onnx.ModelProto:
    """Convert a network with one input, called ``waveform``.

    Args:
        model: In evaluation mode.
        example: An input, with at least 2 along each free axis.
        dynamic_axes: Free axes of the input.
        output_names: Names of its outputs.
    """
    with _quiet():
        program = torch.onnx.export(
            model,
            (example,),
            input_names=[INPUT_NAME],
            output_names=output_names,
            dynamic_shapes=(dynamic_axes,),
            dynamo=True,
            verbose=False,
        )
    return program.model_proto


def _tidy(graph: onnx.GraphProto) -> None:
    """Name the free axes; remove where in this program each node comes from."""
    axes = ("batch", "samples")
    for value, names in ((graph.input[0], axes), (graph.output[0], axes[:1])):
        for axis, name in zip(value.type.tensor_type.shape.dim, names, strict=False):
            axis.dim_param = name
    del graph.value_info[:]  # shapes in terms of the old names of the axes
    for part in (graph, *graph.input, *graph.output, *graph.initializer, *graph.node):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep an exporter from talking about its progress and its plans."""
    before: Any = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
