"""The command ``footprints``: one name for all steps.

``footprints STEP ...`` is ``python -m footprints.STEP ...``.
"""

import sys  # loaded by the interpreter itself: no file of the current folder is run

from footprints.system.guard import guard_program

STEPS = (  # in the order in which people come to them
    "synthesise",
    "audit",
    "train_detector",
    "detect",
    "prepare",
    "train",
    "evaluate",
    "predict",
    "merge",
    "review",
    "retrain",
    "report",
    "export_camtrap",
    "export",
)


def main(argv: list[str] | None = None) -> int:
    """Run the step that the first argument names with the others; returns its exit status."""
    if argv is None:
        # Before anything else is imported; help wants none of the packages of the steps.
        guard_program(needs_packages=sys.argv[1:2] != [] and sys.argv[1] in STEPS)
    import importlib

    from footprints.system.errors import run

    step, *arguments = _step_and_arguments(sys.argv[1:] if argv is None else argv)
    return run(lambda: importlib.import_module(f"footprints.{step}").main(arguments))


def _step_and_arguments(argv: list[str]) -> list[str]:
    """Return the arguments, the first being a step.

    Raises:
        SystemExit: If it is none: after the help or the version, or with a usage error.
    """
    import argparse
    import difflib

    if argv and argv[0] in STEPS:
        return argv
    parser = argparse.ArgumentParser(
        prog="footprints",
        usage="%(prog)s [-h] [--version] STEP ...",
        description="From a photo of a footprint to the species: find the print, crop it, name the "
        "animal.",
        epilog=f"steps:\n{_first_lines()}\n\nfootprints STEP --help lists the flags of a step.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    parser.add_argument("step", metavar="STEP", help=argparse.SUPPRESS)
    name = parser.parse_args(argv[:1]).step
    nearest = difflib.get_close_matches(name, STEPS, 1, 0.5)
    advice = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(STEPS)}"
    parser.error(f"no step {name!r}; {advice}")


def _first_lines() -> str:
    """Return a line for each step: its name and the first line of what it says of itself."""
    import ast
    from pathlib import Path

    width = max(map(len, STEPS))
    lines = []
    for step in STEPS:
        source = Path(__file__).with_name(f"{step}.py").read_text(encoding="utf-8")
        text = ast.get_docstring(ast.parse(source)) or ""
        lines.append(f"  {step:{width}}  {text.partition('.')[0]}")
    return "\n".join(lines)


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("animal-spot")
    except metadata.PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
