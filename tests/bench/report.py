"""Figures: what was measured, as a table for people and as JSON for whoever compares two runs."""

import dataclasses
import json
import statistics


@dataclasses.dataclass
class Figure:
    """One quantity with all its samples; the median counts. `most`: the median must not be above it; None: only told."""
    name: str
    unit: str
    samples: list
    most: float = None
    note: str = ""

    @property
    def median(self):
        return statistics.median(self.samples)

    @property
    def good(self):
        return self.most is None or self.median <= self.most

    def row(self):
        spread = f"{_short(min(self.samples))} .. {_short(max(self.samples))}" if len(self.samples) > 1 else ""
        goal = "" if self.most is None else f"<= {_short(self.most)} {'ok' if self.good else 'MISSED'}"
        return [self.name, _short(self.median), self.unit, spread, str(len(self.samples)), goal, self.note]

    def as_json(self):
        return {"name": self.name, "unit": self.unit, "median": self.median, "least": min(self.samples),
                "greatest": max(self.samples), "samples": self.samples, "goal": self.most, "good": self.good,
                "note": self.note}


@dataclasses.dataclass
class Result:
    """What one benchmark found. `settings`: under which it was measured; `failures`: why it does not count."""
    name: str
    settings: dict = dataclasses.field(default_factory=dict)
    figures: list = dataclasses.field(default_factory=list)
    failures: list = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self):
        return not self.failures and all(figure.good for figure in self.figures)

    def as_json(self):
        return {"name": self.name, "good": self.good, "seconds": round(self.seconds, 1), "settings": self.settings,
                "failures": self.failures, "figures": [figure.as_json() for figure in self.figures]}


def _short(number):
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.0f}" if float(number).is_integer() else f"{number:.2f}"


def table(result):
    """The figures of one benchmark as text."""
    heads = ["figure", "median", "unit", "spread", "n", "goal", "note"]
    rows = [heads, *(figure.row() for figure in result.figures)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    right = {1}
    lines = [f"== {result.name} ({result.seconds:.0f} s)"]
    lines += [f"   {name}: {value}" for name, value in result.settings.items()]
    lines += ["   " + "  ".join(cell.rjust(w) if i in right else cell.ljust(w)
                                for i, (cell, w) in enumerate(zip(row, widths))).rstrip() for row in rows]
    return "\n".join(lines + [f"   FAILED: {text}" for text in result.failures])


def write_json(path, facts, results):
    with open(path, "w", encoding="utf-8") as out:
        json.dump({"machine": facts, "results": [result.as_json() for result in results]}, out, indent=1)
        out.write("\n")
