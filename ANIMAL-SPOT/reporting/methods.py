"""The paragraph on methods for a paper, made from the settings of a run, with what to cite."""

from __future__ import annotations

from typing import Any

from animal_spot.reporting.page import Block, Copied, Note, Section, Table, Text
from animal_spot.reporting.training_data import in_words
from animal_spot.reporting.training_results import Results
from animal_spot.reporting.training_words import config_of, embedding_name, groups_of, network_name
from animal_spot.settings.flags import marked
from animal_spot.training.config import TrainConfig
from animal_spot.utils.errors import one_line
from animal_spot.utils.text import printable

CITATION = (
    "Bergler, C., Smeele, S. Q., Tyndel, S. A., Barnhill, A., Ortiz, S. T., Kalan, A. K., Cheng, "
    "R. X., Brinkløv, S., Osiecka, A. N., Tougaard, J., Jakobsen, F., Wahlberg, M., Nöth, E., "
    "Maier, A., and Klump, B. C.: ANIMAL-SPOT enables animal-independent signal detection and "
    "classification using deep learning. Scientific Reports 12, 21966 (2022). "
    "https://doi.org/10.1038/s41598-022-26429-y"
)
BIRDNET = (
    "Kahl, S., Wood, C. M., Eibl, M., and Klinck, H.: BirdNET: A deep learning solution for avian "
    "diversity monitoring. Ecological Informatics 61, 101236 (2021). "
    "https://doi.org/10.1016/j.ecoinf.2021.101236"
)
_AT_ONCE = 12  # settings that are shown before a click


def how_trained(results: Results) -> Section:
    """Return how a network was trained: in sentences, as a paragraph for a paper, as a table.

    Args:
        results: Of the run.
    """
    blocks: list[Block] = []
    try:
        config = config_of(results.settings)
        groups = groups_of(config, results.part("head"))
    except (ValueError, TypeError, LookupError) as error:
        blocks.append(
            Note(f"The settings of this run cannot be put into words: {one_line(error)}.")
        )
    else:
        blocks += [Section(title, [Text((text,))]) for title, text in groups.items()]
        blocks.append(Copied("Methods, for a paper", methods_text(results, config, groups)))
        blocks.append(Copied("What to cite", "\n".join(citations(config))))
    blocks.append(_settings_table(results))
    return Section("How it was trained", blocks)


def methods_text(results: Results, config: TrainConfig, groups: dict[str, str]) -> str:
    """Return the paragraph."""
    base = (
        f"layers on the embeddings of {embedding_name(config)}"
        if config.kind.hears == "embeddings"
        else network_name(config)
    )
    said = [
        f"Calls were classified with ANIMAL-SPOT (Bergler et al. 2022), with {base} as network.",
        f"The data were {_lowered(in_words(results))}",
        *groups.values(),
        _judged(results),
        _made_with(results, config),
    ]
    return printable(" ".join(text for text in said if text))


def citations(config: TrainConfig) -> list[str]:
    """Return the works that a paper should name, one a line."""
    is_birdnet = config.kind.hears == "embeddings" and embedding_name(config) == "BirdNET"
    return [CITATION, *([BIRDNET] if is_birdnet else [])]


def intervals_in_words(results: Results) -> str:
    """Say what the 95 % intervals of a run rest on."""
    if results.folds:
        draws = results.part("bootstrap").get("draws")
        drawn = f" ({draws:,} draws)" if isinstance(draws, int) else ""
        return (
            f"Intervals are those of a bootstrap over whole recordings{drawn}; it has none where "
            "all clips are right, or all wrong."
        )
    return (
        "Intervals are Wilson's, which take clips for independent; those of one recording are "
        "alike, so what is true may lie further off."
    )


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _judged(results: Results) -> str:
    if results.folds:
        return (
            f"It was judged by {len(results.folds)}-fold cross-validation, each clip by a network "
            f"that never heard its recording. {intervals_in_words(results)}"
        )
    part = "test" if "test" in results.scores else "validation"
    return f"It was judged on {part} clips, from which it did not learn."


def _made_with(results: Results, config: TrainConfig) -> str:
    names = {"animal_spot": "animal-spot", "python": "Python", "torch": "PyTorch"}
    versions = [
        f"{names.get(name, name)} {text}" for name, text in sorted(results.versions.items())
    ]
    arithmetic = f", arithmetic {results.precision}" if results.precision else ""
    return f"Seed {config.seed}{arithmetic}; {', '.join(versions)}."


def _settings_table(results: Results) -> Table:
    """Return all settings, those first that are not as by default."""
    fields = TrainConfig.__dataclass_fields__
    free = marked(TrainConfig, "free")  # where things are, and what changes nothing
    rows = []
    for key, value in results.settings.items():
        known = fields.get(key)
        default = known.default if known is not None else None
        is_default = known is not None and _plain(value) == _plain(default)
        meaning = known.metadata.get("help", "") if known is not None else ""
        cells = (printable(key), _shown(value), _shown(default), printable(meaning))
        rows.append(((is_default, key in free), cells))
    rows.sort(key=lambda row: row[0])
    n_own = sum(rank == (False, False) for rank, _ in rows)
    return Table(
        "settings",
        "All settings",
        ("option", "value", "without it", "meaning"),
        [row for _, row in rows],
        note="First those that differ from what counts without them.",
        most=min(_AT_ONCE, max(1, n_own)),
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(map(_shown, value))
    return printable(f"{value:g}" if isinstance(value, float) else str(value))
