"""Which class of a model is the background, that is: no call. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from animal_spot.utils.names import composed

NOISE = "noise"  # what the class is called unless it is said otherwise
# What else people call it; only offered, since a class of that name may be of calls.
USUAL_WORDS = frozenset(
    {
        *("noises", "background", "background noise", "bg", "ambient", "ambience", "ambient noise"),
        *(
            "no call",
            "nocall",
            "no calls",
            "none",
            "nothing",
            "empty",
            "silence",
            "silent",
            "other",
        ),
        *("rauschen", "hintergrund", "hintergrundrauschen", "hintergrundgeräusch", "umgebung"),
        *("lärm", "stille", "kein ruf", "geräusch", "geräusche", "bruit", "bruit de fond"),
        *("bruits", "fond", "ambiance", "silence", "ruido", "ruído", "ruido de fondo", "fondo"),
        *("ruído de fundo", "fundo", "ambiente", "silencio", "silêncio", "rumore", "sfondo"),
        *("rumore di fondo", "silenzio", "ruis", "achtergrond", "achtergrondruis", "støj", "stoj"),
        *("baggrund", "baggrundsstøj", "støy", "bakgrunn", "bakgrunnsstøy", "buller", "brus"),
        *("bakgrund", "bakgrundsbrus", "kohina", "tausta", "melu", "szum", "tło", "hałas", "šum"),
        *("pozadí", "pozadie", "hluk", "zaj", "háttér", "háttérzaj", "zgomot", "fundal", "шум"),
        *("фон", "фоновый шум", "тишина", "θόρυβος", "gürültü", "arka plan", "雑音", "ノイズ"),
        *("背景", "噪声", "噪音", "背景噪声", "소음", "배경"),
    }
)


def noise_name(names: Iterable[str]) -> str | None:
    """Return the class called noise, as it is written, in whatever case; None without one."""
    return next((name for name in names if name.lower() == NOISE), None)


def noise_class_of(wanted: str | None, names: Sequence[str]) -> str | None:
    """Settle which class is the background.

    Args:
        wanted: What ``--noise_class`` says; None: the class called noise, if there is one.
        names: All classes.

    Returns:
        One of ``names``, or None: all classes are calls.

    Raises:
        ValueError: If what is wanted is no class.
    """
    if wanted is None:
        return noise_name(names)
    for name in names:
        if composed(name) == composed(wanted):
            return name
    raise ValueError(
        f"--noise_class {wanted}: there is no such class, only {', '.join(names) or 'none'}"
    )


def is_background(name: str, noise_class: str | None) -> bool:
    """Tell whether an annotation means background: the noise class, or noise, in any case."""
    return composed(name).casefold() in (NOISE, composed(noise_class or NOISE).casefold())


def names_like_noise(names: Iterable[str]) -> list[str]:
    """Return the classes whose names are usual words for background, in several languages."""
    return [name for name in names if composed(_spaced(name)).casefold() in USUAL_WORDS]


def no_noise_warning(names: Sequence[str], *, of: str = "the data") -> str:
    """Return what a user is told who has no class of background.

    Args:
        names: All classes.
        of: What has these classes.
    """
    text = (
        f"NO BACKGROUND CLASS: none of the classes of {of} ({', '.join(names)}) is background, so "
        "every sound of a recording must be taken for a call; expect ten times the false alarms, "
        "which accuracy on clips does not show"
    )
    if offered := names_like_noise(names):
        ways = " or ".join(f"--noise_class {name!r}" for name in offered)
        return f"{text}. If {' or '.join(offered)} is background, say so: {ways}"
    return f"{text}. Add clips without calls, named noise-..., or say which class: --noise_class"


def _spaced(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").split())
