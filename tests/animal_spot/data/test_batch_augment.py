"""Mixed and masked batches: what is drawn, and whole runs of main.py with them."""

import itertools
import json
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats

from animal_spot.audio.clip_files import read_waveform
from animal_spot.audio.dsp import fit_length
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.data.batch_augment import N_MASKS, BatchAugmentation, draw_masks, mixup
from animal_spot.model_files.model_file import load_model
from animal_spot.training.config import TrainConfig, parse_config
from tests.helpers.clips import make_corpus
from tests.helpers.training import SMALL, TAPES, train

N = 16


def told_apart(n: int = N) -> tuple[torch.Tensor, torch.Tensor]:
    """Return clips of which number i is 1 in bin i alone, and i as its class."""
    features = torch.eye(n)[:, None, None].repeat(1, 1, 3, 1)
    return features, torch.arange(n)


def mixing(alpha: float = 0.4, **options) -> BatchAugmentation:
    return BatchAugmentation(n_classes=N, mixup_alpha=alpha, **options)


# -- mixing -------------------------------------------------------------------------------------


def test_mixed_clips_are_shares_of_two_and_targets_the_same_shares():
    features, labels = told_apart()
    before = features.clone()
    mixed, targets = mixing()(features, labels, 3, 4)
    assert mixed.shape == features.shape
    # Bin i of a clip is what it holds of clip i, and clip i is all of class i.
    for frame in range(3):
        torch.testing.assert_close(mixed[:, 0, frame], targets)
    torch.testing.assert_close(targets.sum(1), torch.ones(N))
    assert ((targets > 0).sum(1) <= 2).all()
    assert targets.dtype == torch.float32
    assert torch.equal(features, before), "the batch was changed"


def test_mixing_by_hand():
    features = torch.tensor([1.0, 3.0, 5.0]).reshape(3, 1, 1, 1)
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    share, partner = torch.tensor([1.0, 0.25, 0.5]), torch.tensor([1, 0, 2])
    mixed, mixed_targets = mixup(features, targets, share, partner)
    assert mixed.flatten().tolist() == [1.0, 1.5, 5.0]
    assert mixed_targets.tolist() == [[1.0, 0.0], [0.75, 0.25], [1.0, 0.0]]


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_have_the_beta_distribution_and_partners_are_any(alpha):
    features, labels = told_apart()
    shares, partners = [], Counter()
    for batch in range(300):
        _, targets = mixing(alpha)(features, labels, 0, batch)
        off_diagonal = targets - targets.diag().diag()
        mixed = (off_diagonal > 0).any(1)
        shares += targets.diag()[mixed].tolist()
        partners.update(off_diagonal[mixed].argmax(1).tolist())
    # With the clip itself as partner (1 in 16) there is nothing to see, nor where the share
    # rounds to 1 in float32: 2 in 100 of the smallest alpha. 0.02 is the 95 % limit of so many.
    assert len(shares) > 0.9 * 300 * N
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).statistic < 0.02 + 0.02
    expected = len(shares) / N
    assert set(partners) == set(range(N))
    assert max(abs(n - expected) for n in partners.values()) < 5 * np.sqrt(expected)


def test_without_options_nothing_changes():
    features, labels = told_apart()
    same, targets = BatchAugmentation(n_classes=N)(features, labels, 0, 0)
    assert same is features
    assert targets is labels


def test_negative_alpha_is_refused(capsys):
    with pytest.raises(ValueError, match="mixup_alpha must be at least 0"):
        mixing(-0.1)
    with pytest.raises(SystemExit):
        parse_config(["--mixup_alpha", "-0.1"])
    assert "--mixup_alpha must be at least 0" in capsys.readouterr().err


# -- masking ------------------------------------------------------------------------------------


@pytest.mark.parametrize("silence", [0.0, 0.8])
def test_masks_are_stripes_of_silence_and_the_rest_stays(silence):
    features = 1 + torch.rand(8, 1, 80, 64, generator=torch.Generator().manual_seed(0))
    before = features.clone()
    augmentation = BatchAugmentation(n_classes=2, spec_augment=True, silence=silence)
    labels = torch.zeros(8, dtype=torch.long)
    n_masked = 0
    for batch in range(20):
        found, targets = augmentation(features, labels, 0, batch)
        assert targets is labels
        masked = found == silence
        assert torch.equal(found[~masked], features[~masked])
        in_time, in_frequency = masked.all(3, keepdim=True), masked.all(2, keepdim=True)
        assert torch.equal(masked, in_time | in_frequency)
        assert int(in_time.sum((1, 2, 3)).max()) <= N_MASKS * 80 // 8
        assert int(in_frequency.sum((1, 2, 3)).max()) <= N_MASKS * 64 // 8
        n_masked += int(masked.sum())
        assert len({tuple(m.flatten().tolist()) for m in masked}) > 1, "each clip has its own"
    assert torch.equal(features, before), "the batch was changed"
    # Two masks of each axis of on average a 16th each, less what overlaps.
    expected = 1 - (1 - 1 / 16) ** 4
    assert n_masked / (20 * features.numel()) == pytest.approx(expected, rel=0.1)


def test_widths_and_places_of_masks_are_even():
    length, n = 24, 60_000  # widths 0 to 3
    masked = draw_masks(n, length, np.random.default_rng(0))
    # A clip is whole if both masks have width 0: 1 in 16. Four standard errors.
    whole = (~masked.any(1)).mean()
    assert whole == pytest.approx(1 / 16, abs=4 * np.sqrt(1 / 16 * 15 / 16 / n))
    # One mask covers the first frame if it starts there: widths 1, 2, 3 have 24, 23, 22 places.
    covers = (1 / 24 + 1 / 23 + 1 / 22) / 4
    first = 1 - (1 - covers) ** N_MASKS
    for edge in (0, -1):
        assert masked[:, edge].mean() == pytest.approx(first, abs=4 * np.sqrt(first / n))
    # A frame in the middle is covered by as many places as the mask is wide.
    covers = (1 / 24 + 2 / 23 + 3 / 22) / 4
    middle = 1 - (1 - covers) ** N_MASKS
    assert masked[:, 12].mean() == pytest.approx(middle, abs=4 * np.sqrt(middle / n))


def test_an_axis_too_short_for_masks_has_none():
    assert not draw_masks(50, 7, np.random.default_rng(0)).any()


# -- chance -------------------------------------------------------------------------------------


def both(seed: int = 0) -> BatchAugmentation:
    return mixing(1.0, seed=seed, spec_augment=True)


def drawn(augmentation: BatchAugmentation, epoch: int, batch: int, device: str = "cpu"):
    features, labels = told_apart()
    features = features.repeat(1, 1, 10, 1)
    result = augmentation(features.to(device), labels.to(device), epoch, batch)
    return [tensor.cpu() for tensor in result]


def test_draws_depend_on_seed_epoch_and_batch_alone():
    torch.manual_seed(0)
    reference = drawn(both(5), 2, 7)
    torch.manual_seed(1)
    np.random.seed(1)
    assert all(map(torch.equal, drawn(both(5), 2, 7), reference))
    for other in (drawn(both(6), 2, 7), drawn(both(5), 3, 7), drawn(both(5), 2, 8)):
        assert not torch.equal(other[1], reference[1])
        assert not torch.equal(other[0] == 0, reference[0] == 0)


def test_global_generators_are_left_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    drawn(both(), 0, 0)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_draws_what_a_cpu_draws():
    for batch in range(5):
        for found, expected in zip(
            drawn(both(), 0, batch, "cuda"), drawn(both(), 0, batch), strict=True
        ):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


# -- main.py ------------------------------------------------------------------------------------

RECIPE = (
    *(*SMALL, "--max_train_epochs", "3", "--epochs_per_eval", "1", "--augmentation"),
    *("--mixup_alpha", "0.4", "--spec_augment", "--per_channel_normalization"),
    *("--gain", "-3", "3", "--noise_from_class", "noise", "--noise_snr", "5", "15"),
    *("--label_smoothing", "0.1", "--val_metric", "loss"),
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    base = tmp_path_factory.mktemp("corpus")
    return make_corpus(base / "data", {"A": TAPES * 2, "B": TAPES * 2, "noise": TAPES})


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    run = tmp_path_factory.mktemp("mixed")
    train(corpus, run, *RECIPE)
    return run


@pytest.mark.slow
def test_each_option_reaches_the_training(corpus, tmp_path):
    weights = []
    for name, options in (
        ("plain", ()),
        ("mixed", ("--mixup_alpha", "0.3")),
        ("masked", ("--spec_augment",)),
    ):
        train(corpus, tmp_path / name, *SMALL, "--max_train_epochs", "1", *options)
        content = torch.load(tmp_path / name / "model" / "ANIMAL-SPOT.pk", weights_only=True)
        weights.append(content["classifierState"]["linear.weight"])
    for one, other in itertools.combinations(weights, 2):
        assert not torch.equal(one, other)


def test_silence_of_cepstra_is_80_percent_of_their_range():
    config = TrainConfig(freq_compression="mfcc")
    assert SpectrogramPipeline(config.signal).silence == pytest.approx(0.8)


@pytest.mark.slow
def test_validation_is_neither_mixed_nor_masked(corpus, finished):
    """The loss of the saved network on the clips as they are, computed as any program may."""
    content = load_model(finished / "model" / "ANIMAL-SPOT.pk")
    assert content.normalization == "pcen"
    pipeline = SpectrogramPipeline(content.signal)
    losses = []
    for csv_name in (corpus / "val").read_text().split():
        for row in (corpus / csv_name).read_text().split():
            waveform = read_waveform(corpus / row, content.signal.sr)
            features = fit_length(pipeline.features(waveform), 32)
            label = content.classes[row.split("/")[-1].split("-")[0]]
            with torch.no_grad():
                logits = content.model.eval()(features[None])
            losses.append(float(-logits.log_softmax(1)[0, label]))
    results = json.loads((finished / "model" / "results.json").read_text())
    assert len(losses) == results["clips"]["val"]
    # Spectrograms of training come from the cache: within 0.002 dB.
    assert content.extra["metrics"]["val_loss"] == pytest.approx(np.mean(losses), rel=5e-3)


def test_all_of_it_is_off_by_default():
    config = TrainConfig()
    assert (config.mixup_alpha, config.spec_augment) == (0.0, False)
    assert config.augmentation_limits.gain_db == (-6, 2)
    assert config.augmentation_limits.snr_db == (-3, 11)
