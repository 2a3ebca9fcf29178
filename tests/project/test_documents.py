"""Documents: links lead somewhere, commands are understood, pages of options are up to date."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from tests.helpers.places import ROOT
from tests.helpers.programs import run_python

DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.parent.name != "options")
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGES.md", *PAGES]
OPTION_PAGES = sorted((DOCS / "options").glob("*.md"))
FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def make_options():
    place = importlib.util.spec_from_file_location("make_options", DOCS / "make_options.py")
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


MAKE_OPTIONS = make_options()


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    made: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower())
        name = plain.strip().replace(" ", "-")
        n = 0
        while name + (f"-{n}" if n else "") in made:
            n += 1
        made.add(name + (f"-{n}" if n else ""))
    return made


def links(page: Path) -> list[str]:
    """Return where the links of a page lead to, but for the web."""
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text(encoding="utf-8")))
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [link for link in found if not link.startswith(("http://", "https://"))]


@pytest.mark.parametrize("page", [*DOCUMENTS, *OPTION_PAGES], ids=named)
def test_links_lead_somewhere(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_page_is_reached_from_the_readme():
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        ahead += [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
    assert {*DOCUMENTS, *OPTION_PAGES} <= reached


@pytest.mark.parametrize(("name", "most"), [("README.md", 150), ("CHANGES.md", 250)])
def test_front_pages_are_short(name, most):
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= most


def test_pages_of_options_are_up_to_date():
    made = MAKE_OPTIONS.pages()
    assert {path.name for path in OPTION_PAGES} == set(made)
    for name, text in made.items():
        assert (DOCS / "options" / name).read_text(encoding="utf-8") == text, "type: make docs"


def commands(page: Path) -> list[list[str]]:
    """Return the words of each command that a page shows."""
    shown = []
    for block in FENCE.findall(page.read_text(encoding="utf-8")):
        text = block.replace(".venv\\Scripts\\", "").replace("`\n", " ").replace("\\\n", " ")
        for line in text.splitlines()[1:-1]:
            line = re.sub(r"^\s*([A-Z_]+=(\"[^\"]*\"|\S*)\s+)+", "", line)
            if line.startswith(("animal-spot ", "footprints ", "python ", "./")):
                shown.append(shlex.split(line.replace("\\", "/"), comments=True))
    return shown


def parser_for(words: list[str]) -> tuple[str, list[str]] | None:
    """Return the module that understands a command, and its flags; None: a program of others."""
    for command, (module, file) in MAKE_OPTIONS.COMMANDS.items():
        for form in (command.split(), file.split()):
            if words[: len(form)] == form:
                return module, words[len(form) :]
    if re.match(r"\./TRAINING/train_(?!footprints)", words[0]):
        return "animal_spot.training.config", words[1:]
    assert words[0] not in ("animal-spot", "footprints"), words
    return None


SHOWN = [(page, words) for page in DOCUMENTS for words in commands(page)]


@pytest.mark.parametrize(
    ("page", "words"), SHOWN, ids=[f"{named(page)}-{' '.join(w[:2])}" for page, w in SHOWN]
)
def test_commands_are_understood(page, words):
    for word in words[:2]:
        if re.match(r"(\./)?(ANIMAL-SPOT|TRAINING|PREDICTION|EVALUATION|tests)/", word):
            assert (ROOT / word).is_file()
    if (known := parser_for(words)) is None:
        return
    module, flags = known
    parser = importlib.import_module(module).build_parser()
    if module.endswith(".tune"):
        _, flags = parser.parse_known_args(flags)
        parser = importlib.import_module("animal_spot.training.config").build_parser()
    parser.parse_args(flags)


@pytest.mark.parametrize("page", DOCUMENTS, ids=named)
def test_files_that_are_named_are_there(page):
    text = page.read_text(encoding="utf-8")
    roots = "ANIMAL-SPOT|TRAINING|PREDICTION|EVALUATION|tests|footprints|requirements"
    for name in re.findall(rf"`((?:{roots})/[\w./-]*)", text):
        assert (ROOT / name).exists(), name


def test_modules_of_the_architecture_are_there():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    n_named = 0
    for room, module in re.findall(r"`(\w+)[./](\w+)", text):
        rooms = [ROOT / half / room for half in ("ANIMAL-SPOT", "footprints")]
        if any(path.is_dir() for path in rooms):
            assert any((path / f"{module}.py").is_file() for path in rooms), f"{room}.{module}"
            n_named += 1
    assert n_named > 20


def test_scripts_are_listed_with_the_settings_that_they_have():
    page = (DOCS / "sounds" / "train.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(train_\w+\.sh)` \| (.*) \|$", page, re.MULTILINE))
    scripts = {path.name for path in (ROOT / "TRAINING").glob("train_*.sh")}
    assert set(rows) == scripts - {"train_footprints.sh", "train_transfer.sh"}  # a former name
    for name, row in rows.items():
        text = (ROOT / "TRAINING" / name).read_text(encoding="utf-8")
        presets = re.findall(r"--preset (\w+)", row)
        assert presets == re.findall(r"--preset (\w+)", text.split("start_training")[-1])
        assert ("--pretrained" in row) == ("--pretrained \\" in text)
        assert ("--noise_from_class" in row) == ("set_noise_flags" in text)


def test_options_are_written_without_heavy_packages():
    code = (
        "import runpy, sys\n"
        f"runpy.run_path({str(DOCS / 'make_options.py')!r})['pages']()\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    result = run_python("-c", code, check=True)
    assert not {"torch", "tensorflow", "keras", "ultralytics"} & set(result.stdout.split())
