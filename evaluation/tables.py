"""Scores of several methods on the same images: their means, which is best, and tables of them."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Column:
    """One metric: its key, heading, whether more (1) or less (-1) is better, and decimals."""

    key: str
    label: str
    better: int = 0
    digits: int = 3

    def show(self, value: float | None) -> str:
        """A value as text: a dash where there is none."""
        if value is None or math.isnan(value):
            return "—"
        return f"{value:.{self.digits}f}"


@dataclass
class Results:
    """What an evaluation found.

    scores: method -> image name -> metric key -> value; NaN is undefined, a missing key not asked.
    baseline: the method that is the untouched input, never the best. failures: images left out of
    every mean, with the reason. notes: what a reader of the numbers must know. protocol: how they
    were made. unit: what a row is, an image, or a class whose mean is called mPA and mIoU.
    """

    columns: list[Column]
    scores: dict[str, dict[str, dict[str, float]]]
    baseline: str | None = None
    protocol: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unit: str = "image"

    def images(self) -> list[str]:
        """Names of the images that were scored."""
        return list(next(iter(self.scores.values()), {}))

    def defined(self, column: Column) -> list[str]:
        """Images on which a metric is finite for every method that has it: those that count."""
        asked = [rows for rows in self.scores.values() if column.key in first(rows)]
        return [
            name
            for name in self.images()
            if all(math.isfinite(rows[name][column.key]) for rows in asked)
        ]

    def mean(self, method: str, column: Column) -> float | None:
        """The mean over `defined`; None if the method has no such scores."""
        names = self.defined(column)
        rows = self.scores[method]
        if not names or column.key not in first(rows):
            return None
        return float(np.mean([rows[name][column.key] for name in names]))

    def best(self, column: Column) -> set[str]:
        """The methods with the best mean as printed; none where all are equal."""
        return winners({m: self.mean(m, column) for m in self.scores}, column, self.baseline)

    def undefined_notes(self) -> list[str]:
        """A sentence for each metric whose mean leaves images out."""
        total = len(self.images())
        return [
            f"{column.label}: the mean is over {len(self.defined(column))} of {total} "
            f"{plural(self.unit)}; it is infinite or undefined on the others"
            for column in self.columns
            if len(self.defined(column)) < total
        ]


def winners(
    values: dict[str, float | None], column: Column, baseline: str | None = None
) -> set[str]:
    """The methods whose value, as printed, is best, unless all are equal; never the baseline."""
    shown = {
        method: float(column.show(value))
        for method, value in values.items()
        if method != baseline and not undefined(value)
    }
    if not column.better or len(set(shown.values())) < 2:
        return set()
    top = max(shown.values(), key=lambda value: value * column.better)
    return {method for method, value in shown.items() if value == top}


def undefined(value: float | None) -> bool:
    """Whether a score is missing or NaN."""
    return value is None or math.isnan(value)


def plural(word: str) -> str:
    """images, classes."""
    return word + ("es" if word.endswith("s") else "s")


def first(rows: dict) -> dict:
    """The first of a dictionary's values, or an empty one."""
    return next(iter(rows.values()), {})


def headings(results: Results, mean: bool = False) -> list[str]:
    """The columns' headings with an arrow to the better side; mPA and mIoU over classes."""
    prefix = "m" if mean and results.unit == "class" else ""
    arrows = {1: " ↑", -1: " ↓", 0: ""}
    return [prefix + column.label + arrows[column.better] for column in results.columns]


def summary_rows(results: Results, emphasis: str = "{}") -> list[list[str]]:
    """One row of means per method; `emphasis` wraps the best, as "**{}**" does in Markdown."""
    rows = []
    for method in results.scores:
        row = [method]
        for column in results.columns:
            text = column.show(results.mean(method, column))
            row.append(emphasis.format(text) if method in results.best(column) else text)
        rows.append(row)
    return rows


def image_rows(results: Results, method: str) -> list[list[str]]:
    """One row per image of a method."""
    return [
        [name, *(column.show(scores.get(column.key)) for column in results.columns)]
        for name, scores in results.scores[method].items()
    ]


def rows_by_method(results: Results, column: Column, emphasis: str = "{}") -> list[list[str]]:
    """One metric: a row per image, a cell per method, the best emphasised."""
    rows = []
    for name in results.images():
        values = {m: images[name].get(column.key) for m, images in results.scores.items()}
        best = winners(values, column, results.baseline)
        cells = ((method, column.show(value)) for method, value in values.items())
        rows.append([name, *(emphasis.format(c) if m in best else c for m, c in cells)])
    return rows


def align(header: Sequence[str], rows: Sequence[Sequence[str]], bold: bool = False) -> str:
    """A table for the terminal; cells marked **so** become bold there, or keep one star."""
    plain = [[cell.replace("**", "") for cell in row] for row in (header, *rows)]
    widths = [max(map(len, cells)) + 1 for cells in zip(*plain, strict=True)]
    lines = []
    for row, text in zip((header, *rows), plain, strict=True):
        cells = []
        for place, (cell, bare, width) in enumerate(zip(row, text, widths, strict=True)):
            star = "" if bold or cell == bare else "*"
            padded = f"{bare + star:<{width}}" if place == 0 else f"{bare + star:>{width}}"
            if place and not star:
                padded = f"{bare:>{width - 1}} "
            cells.append(f"\x1b[1m{padded}\x1b[0m" if bold and cell != bare else padded)
        lines.append(" ".join(cells).rstrip())
    return "\n".join([lines[0], "-" * (sum(widths) + len(widths) - 1), *lines[1:]])


def text_table(results: Results, bold: bool = False) -> str:
    """For the terminal: row by row for one method or for classes, then the means of all."""
    methods = [method for method in results.scores if method != results.baseline]
    parts = []
    if results.unit == "class" and len(results.scores) > 1:
        for column in results.columns:
            rows = rows_by_method(results, column, "**{}**")
            parts.append(align([column.label, *results.scores], rows, bold))
    elif len(methods) == 1:
        rows = image_rows(results, methods[0])
        parts.append(align([results.unit, *headings(results)], rows))
    count = len(results.images())
    title = f"mean of {count} {results.unit if count == 1 else plural(results.unit)}"
    rows = summary_rows(results, "**{}**")
    parts.append(align([title, *headings(results, mean=True)], rows, bold))
    parts.append("\n".join(results.protocol))
    return "\n\n".join(parts)


def markdown_table(results: Results) -> str:
    """The means as a Markdown table, the best in bold, and the protocol."""
    header = ["method", *headings(results, mean=True)]
    rows = [header, ["---", *("---:" for _ in results.columns)], *summary_rows(results, "**{}**")]
    lines = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return "\n".join([*lines, "", *results.protocol])


def csv_table(results: Results) -> str:
    """Every score and the means, unrounded; empty where undefined."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    keys = [column.key for column in results.columns]
    writer.writerow(["method", results.unit, *keys])
    for method, images in results.scores.items():
        for name, scores in images.items():
            values = (scores.get(key) for key in keys)
            writer.writerow([method, name, *("" if undefined(v) else v for v in values)])
        means = (results.mean(method, column) for column in results.columns)
        writer.writerow([method, "mean", *("" if undefined(mean) else mean for mean in means)])
    return stream.getvalue()


def json_document(results: Results) -> str:
    """Everything, as JSON: null where undefined, "inf" where infinite."""

    def plain(value: float | None) -> float | str | None:
        if undefined(value):
            return None
        return value if math.isfinite(value) else "inf"

    document = {
        "protocol": results.protocol,
        "mean": {
            method: {c.key: plain(results.mean(method, c)) for c in results.columns}
            for method in results.scores
        },
        "best": {c.key: sorted(results.best(c)) for c in results.columns if results.best(c)},
        plural(results.unit): {
            method: {
                name: {key: plain(value) for key, value in scores.items()}
                for name, scores in images.items()
            }
            for method, images in results.scores.items()
        },
        "excluded": results.failures,
        "notes": results.notes + results.undefined_notes(),
    }
    return json.dumps(document, indent=2, ensure_ascii=False)
