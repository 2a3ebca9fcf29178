"""Write ``docs/options``: a page of options for each command, from its parser.

Run by ``make docs``. Only parsers are built, so neither PyTorch nor TensorFlow is loaded.
"""

from __future__ import annotations

import argparse
import importlib
import re
from pathlib import Path

from animal_spot.cli import PROGRAMS
from footprints.cli import STEPS

FOLDER = Path(__file__).resolve().parent / "options"
# Programs whose command line is made in another module than the one that runs them.
PARSERS = {
    "clips": "cutting.config",
    "main": "training.config",
    "predict": "prediction.config",
    "merge": "prediction.merge_config",
    "evaluate": "evaluation.config",
    "activity": "effort.config",
    "review": "reviewing.config",
    "retrain": "reviewing.retrain_config",
    "report": "reporting.config",
}
# Command -> module with its build_parser(), and how the same program is started as a file.
COMMANDS = {
    f"animal-spot {name}": (
        f"animal_spot.{PARSERS.get(program.module, program.module)}",
        f"python ANIMAL-SPOT/{program.module}.py",
    )
    for name, program in PROGRAMS.items()
} | {f"footprints {step}": (f"footprints.{step}", f"python -m footprints.{step}") for step in STEPS}
NOTE = "<!-- Written by `make docs` from the program itself; changes made here are lost. -->"
DEFAULT = re.compile(r"\s*\(default(?:: (.*))?\)$")


def pages() -> dict[str, str]:
    """Return the text of each page by its file name."""
    made = {"README.md": [NOTE, "", "# Every option of every command", ""]}
    made["README.md"] += ["| command | what it does |", "| --- | --- |"]
    for command, (module, file) in COMMANDS.items():
        parser = importlib.import_module(module).build_parser()
        name = f"{command.replace(' ', '_').replace('-', '_')}.md"
        description = parser.description.partition(". ")[0].partition(": ")[0].rstrip(".")
        made["README.md"].append(f"| [{command}]({name}) | {_cell(description)} |")
        made[name] = _page(command, file, parser)
    return {name: "\n".join(lines) + "\n" for name, lines in made.items()}


def _page(command: str, file: str, parser: argparse.ArgumentParser) -> list[str]:
    lines = [NOTE, "", f"# {command}", "", parser.description, ""]
    lines += [f"`{file}` is the same program.", ""]
    for group in parser._action_groups:
        rows = [_row(a) for a in group._group_actions if _is_listed(a)]
        if not rows:
            continue
        if group.title not in ("positional arguments", "options", "optional arguments"):
            lines += [f"## {group.title[:1].upper()}{group.title[1:]}", ""]
            lines += [group.description, ""] if group.description else []
        elif lines[-2].startswith("|"):  # arguments and flags share one table
            lines = [*lines[:-1], *rows, ""]
            continue
        lines += ["| option | default | meaning |", "| --- | --- | --- |", *rows, ""]
    return [*lines, _cell(parser.epilog)] if parser.epilog else lines[:-1]


def _is_listed(action: argparse.Action) -> bool:
    return action.help is not argparse.SUPPRESS and "--help" not in action.option_strings


def _row(action: argparse.Action) -> str:
    help_text = (action.help or "") % {**vars(action), "prog": ""}
    stated = DEFAULT.search(help_text)
    meaning = DEFAULT.sub("", help_text)
    if action.choices and not all(str(choice) in meaning for choice in action.choices):
        meaning += f": {', '.join(f'`{choice}`' for choice in action.choices)}"
    value = action.metavar or ""
    value = " ".join(value) if isinstance(value, tuple) else value
    flags = [*action.option_strings[:-1], f"{(action.option_strings or [''])[-1]} {value}".strip()]
    names = ", ".join(f"`{flag}`".replace("|", "\\|") for flag in flags)
    return f"| {names} | {_cell(_default(action, stated))} | {_cell(meaning)} |"


def _default(action: argparse.Action, stated: re.Match[str] | None) -> str:
    """Return the default as a reader needs it: the same on every machine."""
    if isinstance(action.default, (list, tuple)) and action.nargs != "+":
        return " ".join(map(str, action.default)) or "–"
    if stated is not None:
        return (stated[1] or "on").partition(", here ")[0]
    if action.required:
        return "required"
    if action.nargs == 0:  # a switch
        return "off"
    if isinstance(action.default, list):
        return " ".join(map(str, action.default)) or "–"
    return "–" if action.default is None else str(action.default)


def _cell(text: str) -> str:
    """Return text as it stands in a cell of a table, flags as code."""
    text = re.sub(r"(?<![`\w-])(--[a-z][\w-]*(?:<\w+>)?)", r"`\1`", text)
    parts = re.split(r"(`[^`]*`)", text)  # every second one is code
    parts[::2] = [re.sub(r"([<*])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts).replace("|", "\\|")


def main() -> None:
    """Write all pages; remove those of commands that are gone."""
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
