import threading
import time

import numpy as np
import pytest
import soundfile as sf
import torch

from animal_spot.audio.recordings import Recording
from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.audio.window_features import WindowFeatures
from animal_spot.audio.windows import WindowGrid
from animal_spot.detections.decisions import DecisionRule
from animal_spot.prediction import detectors as making
from animal_spot.prediction.config import PredictConfig
from animal_spot.prediction.detectors import Detector, build_detectors
from animal_spot.prediction.predictor import Predictor
from tests.helpers.prediction import HOP_S, LENGTH_S, SIGNAL, make_content, write_sound


class MeanEngine:
    """A network of two numbers: logits are a weighted mean and the maximum of a window."""

    def __init__(self, batch_size=4, weight=3.0, n_parallel=1):
        self.name, self.batch_size, self.n_parallel = "mean", batch_size, n_parallel
        self.weight = weight
        self.sizes, self._lock = [], threading.Lock()

    def infer(self, features):
        with self._lock:
            self.sizes.append(len(features))
        assert len(features) <= self.batch_size
        mean, peak = features.mean((1, 2, 3)), features.amax((1, 2, 3))
        logits = torch.stack([self.weight * mean, peak], 1)
        return logits.numpy(), torch.stack([mean, peak], 1).numpy()


class FixedEngine:
    """Answers what it is told, whatever it is given."""

    def __init__(self, probability, batch_size=4):
        self.name, self.batch_size, self.n_parallel = "fixed", batch_size, 1
        self.logit = float(np.log(probability / (1 - probability)))
        self.n_windows = 0

    def infer(self, features):
        self.n_windows += len(features)
        logits = np.tile(np.float32([0, self.logit]), (len(features), 1))
        return logits, np.full((len(features), 2), self.logit, np.float32)


def detector(engine=None, sr=16000, exact=None, last_window=False, **signal) -> Detector:
    pipeline = SpectrogramPipeline(SignalConfig(**(SIGNAL | signal | {"sr": sr})))
    grid = WindowGrid.of_seconds(LENGTH_S, HOP_S, sr, last_window=last_window)
    features = WindowFeatures(pipeline, grid)
    return Detector(engine or MeanEngine(), features, grid, 500.0, exact)


def run(paths, detectors, n_readers=0, **options):
    """Return number of windows, probabilities or the reason of each recording, by name."""
    found = {}
    for outcome in Predictor(detectors, n_readers=n_readers, **options).run(paths):
        assert outcome.path.name not in found
        if outcome.reason:
            found[outcome.path.name] = outcome.reason
        else:
            found[outcome.path.name] = np.concatenate(list(outcome.probabilities.batches(7)))
            assert len(found[outcome.path.name]) == outcome.n_windows
        outcome.close()
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    lengths = [0.26, 3.0, 0.4, 0.1, 0.1, 1.0, 0.26, 25.0, 0.011, 0.5]
    return [write_sound(folder / f"{i}.wav", s, seed=i) for i, s in enumerate(lengths)]


@pytest.fixture(scope="module")
def plain(files):
    """One file, one window at a time."""
    found = {}
    for path in files:
        found |= run([path], [detector(MeanEngine(batch_size=1))])
    return found


@pytest.mark.parametrize("n_readers", [0, 1, 4])
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_results_do_not_depend_on_batches_and_readers(files, plain, n_readers, batch_size):
    found = run(files, [detector(MeanEngine(batch_size=batch_size))], n_readers)
    assert found.keys() == plain.keys()
    for name, probabilities in plain.items():
        np.testing.assert_allclose(found[name], probabilities, rtol=0, atol=1e-6)


def test_several_threads_may_infer(files, plain):
    found = run(files, [detector(MeanEngine(batch_size=3, n_parallel=3))], 2)
    for name, probabilities in plain.items():
        np.testing.assert_allclose(found[name], probabilities, rtol=0, atol=1e-6)


def test_short_recordings_share_batches(tmp_path):
    files = [write_sound(tmp_path / f"{i}.wav", 0.25, seed=i) for i in range(12)]
    engine = MeanEngine(batch_size=4)
    assert len(run(files, [detector(engine)])) == 12
    assert engine.sizes == [4, 4, 4]


def test_windows_come_in_order_with_their_numbers(files):
    seen = {}

    def note(outcome, first, inputs, probabilities):
        assert len(inputs) == len(probabilities)
        assert first == seen.get(outcome.path.name, 0)
        seen[outcome.path.name] = first + len(inputs)

    found = run(files, [detector()], 3, on_windows=note)
    assert seen == {name: len(probabilities) for name, probabilities in found.items()}


def test_lengths_are_told(files):
    (outcome,) = Predictor([detector()], n_readers=0).run(files[7:8])
    assert outcome.duration_s == 25
    assert (outcome.n_samples, outcome.rate, outcome.n_windows) == (400_000, 16000, 199)
    outcome.close()


def test_length_is_that_at_the_first_detector_s_rate(tmp_path):
    path = write_sound(tmp_path / "a.wav", 1.0, rate=11025)
    (outcome,) = Predictor([detector()], n_readers=0).run([path])
    assert (outcome.n_samples, outcome.rate, outcome.duration_s) == (16000, 11025, 1.0)
    outcome.close()


def test_bad_recordings_do_not_stop_the_others(files, plain, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound")
    late = tmp_path / "late.wav"
    samples = np.zeros(16000 * 45, np.float32)
    samples[-1] = np.nan
    sf.write(late, samples, 16000, subtype="FLOAT")
    paths = [files[0], bad, files[1], late, tmp_path / "none.wav", files[2]]
    for n_readers in (0, 2):
        found = run(paths, [detector()], n_readers)
        assert len(found) == len(paths)
        assert "unreadable" in found["bad.wav"]
        assert "not a number" in found["late.wav"]
        assert "unreadable" in found["none.wav"]
        for path in (files[0], files[1], files[2]):
            np.testing.assert_allclose(found[path.name], plain[path.name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("n_readers", [0, 2])
def test_any_error_in_a_recording_is_its_own(files, n_readers, monkeypatch):
    blocks = Recording.blocks

    def failing(self, *args):
        if self.path == files[1]:
            raise ZeroDivisionError("a decoder gone\nmad")
        return blocks(self, *args)

    monkeypatch.setattr(Recording, "blocks", failing)
    found = run(files[:3], [detector()], n_readers)
    assert found["1.wav"] == "ZeroDivisionError: a decoder gone"
    assert isinstance(found["0.wav"], np.ndarray)
    assert isinstance(found["2.wav"], np.ndarray)


@pytest.mark.parametrize("n_readers", [0, 2])
def test_an_error_of_the_network_ends_the_run(files, n_readers):
    class Broken(MeanEngine):
        def infer(self, features):
            raise RuntimeError("out of something")

    before = threading.active_count()
    with pytest.raises(RuntimeError, match="out of something"):
        run(files, [detector(Broken())], n_readers)
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() == before, "a thread goes on"


@pytest.mark.parametrize("n_readers", [0, 2])
def test_a_stop_ends_the_run(files, n_readers):
    class StopError(Exception):
        pass

    calls = []

    def check():
        calls.append(1)
        if len(calls) > 3:
            raise StopError

    with pytest.raises(StopError):
        run(files, [detector()], n_readers, check=check)


def test_progress_is_of_the_sound_that_was_done(files):
    done = []
    found = run(files, [detector()], on_progress=done.append)
    assert sum(done) == pytest.approx(HOP_S * sum(len(p) for p in found.values()))


def test_too_low_a_rate(tmp_path):
    path = write_sound(tmp_path / "a.wav", 1.0, rate=900)
    reason = run([path], [detector()])["a.wav"]
    assert "rate" in reason
    assert "900" in reason


def test_a_recording_without_one_sample_at_the_network_s_rate(tmp_path):
    path = tmp_path / "a.wav"
    sf.write(path, np.zeros(3, np.float32), 96000)
    assert "empty" in run([path], [detector()])["a.wav"]


# -- several networks -----------------------------------------------------------------------------


def test_probabilities_are_averaged(files):
    one, other = MeanEngine(weight=3.0), MeanEngine(weight=-8.0)
    first, second = (run(files, [detector(engine)]) for engine in (one, other))
    both = run(files, [detector(one), detector(other)], 1)
    for name, probabilities in both.items():
        wanted = (first[name] + second[name]) / 2
        np.testing.assert_allclose(probabilities, wanted, rtol=0, atol=1e-6)
        assert probabilities.dtype == np.float32


def test_networks_of_other_rates_and_signal_paths(files):
    one = detector(MeanEngine(batch_size=4))
    other = detector(MeanEngine(batch_size=7, weight=-5.0), sr=24000, n_freq_bins=20)
    first, second = run(files, [one]), run(files, [other])
    for order in ([one, other], [other, one]):
        both = run(files, order)
        for name, probabilities in both.items():
            wanted = (first[name] + second[name]) / 2
            np.testing.assert_allclose(probabilities, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("last_window", [False, True], ids=["regular", "last-window"])
@pytest.mark.parametrize("n_samples", [5512, 5513, 8268, 8269, 8270, 11024, 11026])
def test_networks_whose_rates_round_the_end_otherwise(tmp_path, n_samples, last_window):
    """The first network's windows count: as many, and where, as it has alone."""
    path = tmp_path / "a.wav"
    rng = np.random.default_rng(0)
    sf.write(path, rng.uniform(-0.5, 0.5, n_samples), 22050, subtype="FLOAT")
    one = detector(MeanEngine(), sr=22050, last_window=last_window)
    other = detector(MeanEngine(), sr=16000, last_window=last_window)
    assert len(run([path], [one, other])["a.wav"]) == len(run([path], [one])["a.wav"])
    assert len(run([path], [other, one])["a.wav"]) == len(run([path], [other])["a.wav"])


def test_feature_vectors_are_joined(files):
    one, other = detector(MeanEngine()), detector(MeanEngine(), n_freq_bins=20)
    vectors = []
    for detectors in ([one], [other], [one, other]):
        (outcome,) = Predictor(detectors, n_readers=0, keep_embeddings=True).run(files[1:2])
        vectors.append(np.concatenate(list(outcome.embeddings.batches(100))))
        outcome.close()
    np.testing.assert_allclose(vectors[2], np.concatenate(vectors[:2], 1), rtol=0, atol=1e-6)


# -- close decisions ------------------------------------------------------------------------------


def test_close_decisions_are_made_by_the_exact_engine(files):
    for probability, again in ((0.505, True), (0.485, True), (0.53, False), (0.1, False)):
        exact = FixedEngine(0.4)
        close = detector(FixedEngine(probability), exact=exact)
        found = run(files[1:2], [close], rule=DecisionRule(("A", "B")))["1.wav"]
        assert exact.n_windows == (len(found) if again else 0)
        wanted = 0.4 if again else probability
        np.testing.assert_allclose(found[:, 1], wanted, atol=1e-6)


def test_without_an_exact_engine_nothing_is_computed_again(files):
    engine = FixedEngine(0.5)
    found = run(files[1:2], [detector(engine)], rule=DecisionRule(("A", "B")))["1.wav"]
    assert engine.n_windows == len(found)


# -- numbers that are none ------------------------------------------------------------------------


class BrokenAbove(MeanEngine):
    """Answers NaN to a window whose loudest part is above a limit."""

    def __init__(self, limit, **options):
        super().__init__(**options)
        self.limit = limit

    def infer(self, features):
        logits, embedding = super().infer(features)
        logits[embedding[:, 1] > self.limit] = np.nan
        return logits, embedding


@pytest.mark.parametrize("n_readers", [0, 2])
def test_a_recording_without_finite_answers_fails_alone(files, plain, n_readers, tmp_path):
    loud = tmp_path / "loud.wav"
    sf.write(loud, 40 * np.random.default_rng(0).standard_normal(40_000), 16000, subtype="FLOAT")
    (outcome,) = Predictor([detector()], n_readers=0, keep_embeddings=True).run([loud])
    peaks = np.concatenate(list(outcome.embeddings.batches(99)))[:, 1]
    limit = float(peaks.min()) - 1e-6
    outcomes = [Predictor([detector()], n_readers=0, keep_embeddings=True).run(files)]
    highest = max(
        float(rows[:, 1].max())
        for o in outcomes[0]
        if not o.reason
        for rows in o.embeddings.batches(99)
    )
    assert highest < limit, "the good recordings are as loud as the bad one"

    found = run([*files[:3], loud, *files[3:]], [detector(BrokenAbove(limit))], n_readers)
    assert "not a finite number" in found.pop("loud.wav")
    assert found.keys() == plain.keys()
    for name, wanted in plain.items():
        if isinstance(wanted, str):
            assert found[name] == wanted
        else:
            np.testing.assert_allclose(found[name], wanted, rtol=0, atol=1e-6)


class TableEngine:
    """Gives the rows of a table, which the windows are the numbers of."""

    name, batch_size, n_parallel = "table", 4, 1

    def __init__(self, logits):
        self.logits = np.float32(logits)

    def infer(self, features):
        rows = self.logits[features.flatten().long().numpy()]
        return rows, rows


@pytest.mark.parametrize(
    ("broken", "agrees"),
    [
        pytest.param("neither", True, id="all-finite"),
        pytest.param("both", True, id="a-window-that-has-no-answer-in-fp32-either"),
        pytest.param("other", False, id="an-answer-that-only-fp32-has"),
        pytest.param("apart", False, id="too-far-apart"),
    ],
)
def test_arithmetics_are_compared_on_finite_answers(broken, agrees, caplog, monkeypatch):
    rng = np.random.default_rng(0)
    exact = rng.normal(size=(12, 3))
    other = exact.copy()
    if broken == "both":
        exact[5] = other[5] = np.nan
    elif broken == "other":
        other[5] = np.inf
    elif broken == "apart":
        other += rng.normal(size=other.shape)
    tables = {"fp32": exact, "bf16": other}
    replaced = {
        "choose_engine": lambda *_: ("torch", "bf16"),
        "build_engine": lambda *given, **_: TableEngine(tables[given[3]]),
        "sample_windows": lambda *_: torch.arange(12.0)[:, None],
    }
    for name, replacement in replaced.items():
        monkeypatch.setattr(making, name, replacement)
    grid = WindowGrid.of_seconds(LENGTH_S, HOP_S, 16000)
    with caplog.at_level("INFO", "animal_spot.prediction.detectors"):
        (made,) = build_detectors(PredictConfig(precision="auto"), [make_content()], [grid], [])
    assert (made.exact is not None) == agrees
    if agrees:
        numbers = torch.arange(12.0)[:, None]
        np.testing.assert_allclose(made.engine.infer(numbers)[0], other, atol=1e-6)
        assert f"on {11 if broken == 'both' else 12} sampled windows within 0.0000" in caplog.text
    else:
        assert "fp32 is used instead" in caplog.text


def test_two_engines_of_a_network_are_made_of_one_conversion(files, monkeypatch):
    """Converting takes longer than all else before the first window."""
    pytest.importorskip("openvino")
    monkeypatch.setattr("animal_spot.models.precision.has_native_bf16", lambda _: True)
    converted, compiled = [], []

    class Counted(making.OpenVinoNetwork):
        def __init__(self, *arguments):
            converted.append(self)
            super().__init__(*arguments)

        def for_batches_of(self, n):
            compiled.append(n)
            return super().for_batches_of(n)

    monkeypatch.setattr(making, "OpenVinoNetwork", Counted)
    grid = WindowGrid.of_seconds(LENGTH_S, HOP_S, 16000)
    config = PredictConfig(engine="openvino", device="cpu")
    build_detectors(config, [make_content()], [grid], files)
    assert len(converted) == 1
    assert len(compiled) >= 2
