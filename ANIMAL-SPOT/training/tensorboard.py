"""TensorBoard: what is written, under which tags. None of it ever ends a training."""

from __future__ import annotations

import contextlib
import logging
import math
import re
import socket
import sys
import time
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

# TensorBoard would import TensorFlow where it is installed, for nothing: seconds and gigabytes.
sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))

from torch.utils.tensorboard.summary import hparams, image, scalar  # noqa: E402

from animal_spot.audio.picture_scale import picture_scale  # noqa: E402
from animal_spot.figures.confusion import Numbers, confusion_figure  # noqa: E402
from animal_spot.figures.curves import roc_figure  # noqa: E402
from animal_spot.figures.look import pixels  # noqa: E402
from animal_spot.figures.reliability import reliability_figure  # noqa: E402
from animal_spot.figures.spectrogram import spectrogram_figure  # noqa: E402
from animal_spot.training.event_file import EventFile  # noqa: E402
from animal_spot.training.phase_result import PhaseResult  # noqa: E402
from animal_spot.utils.errors import one_line  # noqa: E402
from animal_spot.utils.files import path_inside  # noqa: E402
from animal_spot.utils.text import printable  # noqa: E402

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_IMAGES_EACH = 2  # spectrograms of right clips, and of wrong ones
FIGURE_SHARE = 0.01  # of the run's time, at most
# What stands in the cells of the matrix under each tag.
_NUMBERS: dict[str, Numbers] = {
    "norm/cm_numbered": "shares",
    "norm/cm": "none",
    "raw/cm_numbered": "counts",
}

log = logging.getLogger(__name__)


class Summary:
    """Writes one run; what cannot be drawn or written is a warning, once each.

    Args:
        parent: Folder of the runs.
        run_name: Folder of this run in it.
        class_names: In index order.

    Raises:
        ValueError: If the run's name leads out of ``parent``.
    """

    def __init__(self, parent: Path, run_name: str, class_names: list[str]) -> None:
        self._parent = parent
        self._class_names = [printable(name) for name in class_names]
        self.go_on(run_name, 0)
        self._warned: set[str] = set()
        self._started = time.perf_counter()
        self._figure_seconds = self._last_drawing = 0.0
        self._drawn: set[str] = set()

    def go_on(self, run_name: str | None, first_epoch: int) -> None:
        """Write to the folder of a run that goes on; nothing was written yet.

        Args:
            run_name: Its folder, as its checkpoint says; None: as it is.
            first_epoch: Epoch that it goes on with; later entries of the folder, from before an
                interruption, are hidden.

        Raises:
            ValueError: If the name leads out of the parent.
        """
        self.run_name = run_name or self.run_name
        self.folder = path_inside(self._parent, self.run_name)
        self._events = EventFile(self.folder, self._parent, first_epoch or None)

    def add_phase(
        self,
        result: PhaseResult,
        epoch: int,
        *,
        lr: float | None = None,
        with_figures: bool = False,
        dataset: Any = None,
    ) -> None:
        """Write the numbers of a phase, and if wanted its figures and a few spectrograms.

        Figures are slow to draw: after the first ones of each phase they are left out whenever they
        would take more than a hundredth of the run's time.

        Args:
            result: The phase.
            epoch: Step of the entries.
            lr: Learning rate, for the train phase.
            with_figures: Draw the confusion matrix or the ROC curve.
            dataset: Where the spectrograms come from; None for no spectrogram.
        """
        phase = result.phase
        scalars = {f"{phase}/epoch_loss": result.loss}
        if result.binary is not None:
            scalars |= {f"{phase}/{name}": value for name, value in vars(result.binary).items()}
        else:
            scalars[f"{phase}/accuracy"] = result.accuracy
            scalars[f"{phase}/mean_per_class_accuracy"] = result.macro_accuracy
            for name, value in zip(self._class_names, result.per_class, strict=True):
                if not math.isnan(value):
                    scalars[f"{phase}/per_class_accuracy/{name}"] = value
        if lr is not None:
            scalars["lr"] = lr
        scalars[f"{phase}/time"] = result.seconds
        scalars[f"{phase}/data_loading_time"] = result.loading_seconds
        for tag, value in scalars.items():
            self._add_scalar(tag, value, epoch)
        if with_figures and self._may_draw(phase):
            begun = time.perf_counter()
            with self._harmless("figures"):
                self._add_figures(result, epoch)
            if dataset is not None:
                with self._harmless("spectrograms"):
                    self._add_spectrograms(result, epoch, dataset)
            self._last_drawing = time.perf_counter() - begun
            self._figure_seconds += self._last_drawing
        self._flush()

    def _add_scalar(self, tag: str, value: float, step: int) -> None:
        self._events.add(scalar(tag, value), step)

    def _add_figure(self, tag: str, figure: Figure, step: int) -> None:
        self._events.add(image(tag, pixels(figure), dataformats="HWC"), step)

    def _flush(self) -> None:
        with self._harmless("files"):
            self._events.flush()

    @contextlib.contextmanager
    def _harmless(self, what: str) -> Iterator[None]:
        """Turn an error into a warning, once for each kind of thing."""
        try:
            yield
        except Exception as error:
            if what not in self._warned:
                log.warning(
                    "TensorBoard's %s in %s are not complete (%s); the training goes on",
                    what,
                    self.folder,
                    one_line(error),
                )
                log.debug("where it came from", exc_info=True)
            self._warned.add(what)

    def _may_draw(self, phase: str) -> bool:
        """Allow the first figures of each phase, and later ones while there is time for them."""
        if phase not in self._drawn:
            self._drawn.add(phase)
            return True
        elapsed = time.perf_counter() - self._started
        return self._figure_seconds + self._last_drawing <= FIGURE_SHARE * elapsed

    def _add_figures(self, result: PhaseResult, epoch: int) -> None:
        phase, names = result.phase, self._class_names
        if result.binary is not None:
            title = f"{phase}: {' and '.join(names)}, {len(result.labels)} clips"
            figure, auc = roc_figure(
                result.labels.numpy(), result.confidences.float().numpy(), title=title
            )
            self._add_figure(f"{phase}_roc/roc", figure, epoch)
            if not math.isnan(auc):
                self._add_scalar(f"{phase}/auc", auc, epoch)
            return
        counts = result.confusion.numpy()
        title = f"{phase}, epoch {epoch}: {counts.sum()} clips"
        for tag, numbers in _NUMBERS.items():
            figure = confusion_figure(counts, names, title=title, numbers=numbers)
            self._add_figure(f"{phase}_confusion_matrix_{tag}", figure, epoch)

    def _add_spectrograms(self, result: PhaseResult, epoch: int, dataset: Any) -> None:
        """Show some right and some wrong clips, drawn by chance but the same for every epoch."""
        order = np.random.default_rng(0).permutation(len(result.labels))
        right = (result.labels == result.predictions).numpy()[order]
        for is_right, chosen in ((True, order[right]), (False, order[~right])):
            used: set[str] = set()
            for row in chosen:
                true = self._class_names[int(result.labels[row])]
                predicted = self._class_names[int(result.predictions[row])]
                kind = "true" if is_right else "false"
                tag = _plain_tag(f"{result.phase}/{kind} - {true} as {predicted}")
                if tag in used:
                    continue
                used.add(tag)
                index = int(result.indices[row])
                features, _, _ = dataset[(epoch, index)]
                name = printable(Path(dataset.samples[index].name).name)
                title = f"{name}\n{true} as {predicted}, p {float(result.confidences[row]):.2f}"
                scale = picture_scale(dataset.signal, features.shape[1])
                figure = spectrogram_figure(features[0].numpy(), scale, title=title)
                self._add_figure(tag, figure, epoch)
                if len(used) == N_IMAGES_EACH:
                    break

    def add_calibration(self, partitions: Mapping[str, Mapping[str, Any]]) -> None:
        """Write reliability diagrams and calibration errors, before and after, as epoch 0.

        Args:
            partitions: By name, what ``calibration.before_and_after`` returns.
        """
        for name, entry in partitions.items():
            for when in ("before", "after"):
                for key in ("expected_calibration_error", "loss"):
                    tag = f"{name}_calibration/{key}_{when}"
                    self._add_scalar(tag, entry[when][key], 0)
            with self._harmless("figures"):
                figure = reliability_figure({name: entry})
                self._add_figure(f"{name}_calibration/reliability", figure, 0)

    def add_hyper_parameters(self, settings: dict[str, Any], final: dict[str, float]) -> None:
        """Write the settings beside the final metrics, for TensorBoard's table of runs."""
        plain = {
            k: v if isinstance(v, (int, float, bool)) else printable(str(v))
            for k, v in settings.items()
        }
        present = {k: v for k, v in final.items() if not math.isnan(v)}
        for part in hparams(plain, {f"final/{k}": v for k, v in present.items()}):
            self._events.add(part)
        for name, value in present.items():
            self._add_scalar(f"final/{name}", value, 0)

    def close(self) -> None:
        """Write what is left to the event file."""
        self._flush()


def _plain_tag(tag: str) -> str:
    """Replace what the original's writer replaced in a tag."""
    return re.sub(r"[^A-Za-z0-9_\-./]", "_", tag)


def new_summary(parent: Path, prefix: str, class_names: list[str]) -> Summary:
    """Return a summary in a folder ``<prefix>_<yy-mm-dd-HH-MM>-<host>`` that is not taken yet."""
    name = f"{prefix}_{time.strftime('%y-%m-%d-%H-%M')}-{socket.gethostname()}"
    unique, number = name, 1
    while (parent / unique).exists():
        number += 1
        unique = f"{name}-{number}"
    return Summary(parent, unique, class_names)
