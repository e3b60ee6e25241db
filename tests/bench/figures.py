"""What is measured, and how it is written down."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Runs = list[float]
WIDTHS = (10, 14, 8, 7, 8, 14)


@dataclass
class Figure:
    """One thing measured several times. `unit` is s, MB or %; `aim` is in it, `dokku` is what dokku v0.2 takes.

    `floors` are what the parts alone take in the same run, and are added up; `beside` are other times to compare with.
    `parts` say where the time goes, in order. `asked` and `failed` count a visitor's requests meanwhile.
    """

    name: str
    title: str
    unit: str
    aim: float
    dokku: str = ""
    runs: Runs = field(default_factory=list)
    floors: dict[str, Runs] = field(default_factory=dict)
    beside: dict[str, Runs] = field(default_factory=dict)
    parts: dict[str, Runs] = field(default_factory=dict)
    asked: int = 0
    failed: Sequence[str] = ()

    @property
    def median(self) -> float:
        """The median of the runs."""
        return statistics.median(self.runs)

    @property
    def floor(self) -> float:
        """The sum of the floors' medians; 0 when there are none."""
        return sum(map(statistics.median, self.floors.values()))


def note(into: dict[str, Runs], values: Mapping[str, float]) -> None:
    """Add one run's values by name."""
    for name, value in values.items():
        into.setdefault(name, []).append(value)


def table(figures: Sequence[Figure]) -> str:
    """The figures as text, one line each and below it what it is compared with."""
    lines = [_row("", "median", "min-max", "floor", "ratio", "aim", "dokku 0.2")]
    for figure in figures:
        ends = f"{number(min(figure.runs))}-{number(max(figure.runs))}"
        floor, ratio = (number(figure.floor), f"{figure.median / figure.floor:.1f}") if figure.floors else ("", "")
        median, aim = f"{number(figure.median)} {figure.unit}", f"{figure.aim:g} {figure.unit}"
        lines.append(_row(figure.title, median, ends, floor, ratio, aim, figure.dokku))
        for title, group in (("floors", figure.floors), ("beside", figure.beside), ("of which", figure.parts)):
            if group:
                medians = (f"{name} {number(statistics.median(runs))}" for name, runs in group.items())
                lines.append(f"    {title}: {', '.join(medians)}")
        if figure.asked:
            lines.append(f"    requests meanwhile: {figure.asked}, failed: {len(figure.failed)}")
            lines += [f"        {failure}" for failure in figure.failed[:5]]
    return "\n".join(lines)


def number(value: float) -> str:
    """Three digits at most, thousandths at least."""
    return f"{value:.{3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0}f}"


def _row(title: str, *cells: str) -> str:
    return f"{title:<38}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()
