"""Every setting of ``report.py``: name, default, meaning and limits, in one place."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from animal_spot.settings.flags import option, parser_of, refuse_out_of_range, settings_from


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Settings of ``report.py``. Fields are in the order in which ``--help`` lists them."""

    debug: bool = option(False, "log more", flags=("-d", "--debug"))
    paths: tuple[str, ...] = option(
        (),
        "what to report on: folders of train, predict, evaluate, files of review, or a folder that "
        "holds some of them",
        flags=("paths",),
        nargs="+",
        default=None,
        metavar="PATH",
    )
    output: str | None = option(
        None,
        "the report; none: report.html in the folder that is reported on",
        metavar="FILE.html",
    )
    recordings: str | None = option(
        None, "folder of the recordings, if they are not any more where they were", metavar="DIR"
    )
    clips: str | None = option(
        None, "folder of the clips, if they are not any more where they were", metavar="DIR"
    )
    examples: int = option(6, "sounds of each class; 0: no sound", least=0, most=40)
    seed: int = option(0, "of the drawing of examples", least=0, most=2**32 - 1)
    replace_edited: bool = option(
        False, "replace files of the report that were edited too, and keep each as .bak"
    )

    def __post_init__(self) -> None:
        refuse_out_of_range(self)
        if self.output is not None and not self.output.lower().endswith((".html", ".htm")):
            raise ValueError(f"--output {self.output} must end in .html")


def build_parser(prog: str = "report.py") -> argparse.ArgumentParser:
    """Build the command line of ``report.py`` from the fields of ``ReportConfig``."""
    return parser_of(
        ReportConfig,
        prog=prog,
        description="Make one HTML file of what the other commands wrote: data, scores, pictures, "
        "examples to listen to. Its figures are saved for papers too.",
    )


def parse_config(argv: list[str] | None, prog: str = "report.py") -> ReportConfig:
    """Read the command line; a wrong one ends the program with status 2."""
    return settings_from(ReportConfig, build_parser(prog), argv, lists=("paths",))
