"""Scores of several methods on the same images, as tables, a web page and a figure."""

import base64
import csv
import html
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

CELL = 320  # width of a picture in the figure
GAP = 8


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


def undefined(value: float | None) -> bool:
    """Whether a score is missing or NaN."""
    return value is None or math.isnan(value)


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


# The figure


def busiest_crop(image: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, width and height of the quarter-size window with most fine detail."""
    height, width = image.shape[:2]
    size = max(width // 4, 1), max(height // 4, 1)
    plane = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = cv2.blur(np.abs(plane - cv2.blur(plane, (9, 9))), size)
    top, left = size[1] // 2, size[0] // 2
    inner = detail[top : height - top or None, left : width - left or None]
    y, x = np.unravel_index(int(inner.argmax()), inner.shape)
    return min(int(x), width - size[0]), min(int(y), height - size[1]), *size


def fit_width(image: np.ndarray, width: int = CELL) -> np.ndarray:
    """Resize to the figure's column width; tall images are held to 1.5 times it."""
    scale = min(width / image.shape[1], 1.5 * width / image.shape[0])
    size = max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def picture_grid(rows: list[tuple[str, dict[str, np.ndarray], dict[str, str]]]) -> np.ndarray:
    """The "sample results" figure: a column per method, for each image the whole and a crop.

    Args:
        rows: for each image its name, the pictures by method [H, W, 3] uint8 of one size, and
            what to write under each.

    Returns:
        [H, W, 3] uint8.
    """
    from PIL import Image, ImageDraw, ImageFont

    font, small = ImageFont.load_default(17), ImageFont.load_default(13)
    bands = []
    for _, pictures, captions in rows:
        x, y, width, height = busiest_crop(list(pictures.values())[-1])
        cells = []
        for method, picture in pictures.items():
            whole = picture.copy()
            thickness = max(picture.shape[1] // 160, 1)
            cv2.rectangle(whole, (x, y), (x + width, y + height), (255, 210, 0), thickness)
            crop = fit_width(picture[y : y + height, x : x + width])
            cells.append((method, fit_width(whole), crop, captions.get(method, "")))
        bands.append(cells)
    columns = max(len(cells) for cells in bands)
    heights = [cells[0][1].shape[0] + cells[0][2].shape[0] + GAP // 2 + 30 for cells in bands]
    page = Image.new("RGB", (columns * (CELL + GAP) + GAP, sum(heights) + 36), "white")
    draw = ImageDraw.Draw(page)
    for place, (method, *_) in enumerate(bands[0]):
        draw_centred(draw, GAP + place * (CELL + GAP), 8, method, font)
    top = 36
    for cells, height in zip(bands, heights, strict=True):
        for place, (_, whole, crop, caption) in enumerate(cells):
            left = GAP + place * (CELL + GAP)
            inset = left + (CELL - whole.shape[1]) // 2
            page.paste(Image.fromarray(whole), (inset, top))
            below = top + whole.shape[0] + GAP // 2
            page.paste(Image.fromarray(crop), (left + (CELL - crop.shape[1]) // 2, below))
            draw_centred(draw, left, below + crop.shape[0] + 4, caption, small)
        top += height
    return np.asarray(page)


def draw_centred(draw, left: int, top: int, text: str, font) -> None:
    """Write a line in the middle of a column, cut to its width."""
    while text and draw.textlength(text, font=font) > CELL:
        text = text[:-2] + "…" if len(text) > 2 else ""
    draw.text((left + (CELL - draw.textlength(text, font=font)) / 2, top), text, "black", font=font)


# The page

STYLE = """
:root { color-scheme: light dark; --line: #8884; --accent: #0a7d55; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid var(--line) }
th:first-child, td:first-child { text-align: left }
thead th { border-bottom: 2px solid var(--line) }
td b { color: var(--accent) } tbody tr:hover { background: #8881 }
.scroll { overflow-x: auto } .plots { display: flex; flex-wrap: wrap; gap: 1.2rem 2rem }
figure { margin: 0 } img { max-width: 100%; height: auto } summary { cursor: pointer }
svg text { font: 12px system-ui, sans-serif; fill: currentColor }
.warning { border-left: 4px solid #d9822b; padding-left: .8rem } .quiet { opacity: .75 }
"""


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells marked **so** become bold."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    lines = []
    for row in rows:
        cells = (
            f"<b>{html.escape(c[2:-2])}</b>" if c.startswith("**") else html.escape(c) for c in row
        )
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    body = "\n".join(lines)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>'


def html_list(title: str, lines: Sequence[str], kind: str = "") -> str:
    """A heading and a list, or nothing."""
    if not lines:
        return ""
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f'<section class="{kind}"><h2>{html.escape(title)}</h2><ul>{items}</ul></section>'


def box_plot(results: Results, column: Column) -> str:
    """A metric's spread over the images as SVG: quartiles, whiskers to 1.5 box widths, mean."""
    names = results.defined(column)
    data = {
        method: np.array([rows[name][column.key] for name in names])
        for method, rows in results.scores.items()
        if column.key in first(rows)
    }
    if not names:
        return ""
    low = min(values.min() for values in data.values())
    high = max(values.max() for values in data.values())
    span = (high - low) or abs(high) or 1.0
    margin = 14 + 7 * min(max(map(len, data)), 22)
    width, line = margin + 330, 30

    def at(value: float) -> float:
        return margin + 12 + 300 * (value - low) / span

    parts = []
    for place, (method, values) in enumerate(data.items()):
        middle = 12 + line * place + line / 2
        q1, median, q3 = np.percentile(values, (25, 50, 75))
        reach = 1.5 * (q3 - q1)
        inside = values[(values >= q1 - reach) & (values <= q3 + reach)]
        outside = values[(values < q1 - reach) | (values > q3 + reach)]
        colour = f"hsl({(205 + 67 * place) % 360} 55% 50%)"
        name = method if len(method) <= 22 else method[:21] + "…"
        parts += [
            f'<text x="{margin}" y="{middle + 4}" text-anchor="end">{html.escape(name)}</text>',
            f'<path d="M{at(inside.min()):.1f} {middle}H{at(inside.max()):.1f}" '
            f'stroke="{colour}"/>',
            f'<rect x="{at(q1):.1f}" y="{middle - 8}" width="{max(at(q3) - at(q1), 1):.1f}" '
            f'height="16" rx="2" fill="{colour}" fill-opacity=".35" stroke="{colour}"/>',
            f'<path d="M{at(median):.1f} {middle - 8}v16" stroke="{colour}" stroke-width="2.5"/>',
            f'<circle cx="{at(values.mean()):.1f}" cy="{middle}" r="3" fill="currentColor"/>',
            *(f'<circle cx="{at(v):.1f}" cy="{middle}" r="2" fill="{colour}"/>' for v in outside),
        ]
    floor = 12 + line * len(data)
    parts.append(f'<path d="M{margin + 12} {floor + 4}h300" stroke="currentColor" opacity=".4"/>')
    for share, anchor in ((0, "start"), (0.5, "middle"), (1, "end")):
        label = column.show(low + share * span)
        x = margin + 12 + 300 * share
        parts.append(f'<text x="{x}" y="{floor + 20}" text-anchor="{anchor}">{label}</text>')
    heading = html.escape(headings(Results([column], {}))[0])
    return (
        f"<figure><figcaption>{heading}</figcaption>"
        f'<svg viewBox="0 0 {width} {floor + 26}" width="{width}" height="{floor + 26}" '
        f'role="img" aria-label="{heading}">{"".join(parts)}</svg></figure>'
    )


def html_page(results: Results, title: str, figure: bytes | None = None) -> str:
    """A page that needs no other file: means, box plots, the figure (JPEG) and every score."""
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="quiet">Mean over {len(results.images())} {plural(results.unit)}; best in bold; '
        "arrows point to the better side.</p>",
        html_table(["method", *headings(results, mean=True)], summary_rows(results, "**{}**")),
        html_list("Left out of every mean", results.failures, "warning"),
        html_list("Notes", results.notes + results.undefined_notes()),
        html_list("Protocol", results.protocol),
    ]
    plots = "".join(box_plot(results, column) for column in results.columns)
    parts.append(
        f"<h2>Spread over the {plural(results.unit)}</h2>"
        '<p class="quiet">Box: quartiles and median; whiskers: 1.5 box widths; dot: mean.</p>'
        f'<div class="plots">{plots}</div>'
    )
    if figure:
        data = base64.b64encode(figure).decode()
        parts.append(
            '<h2>Samples</h2><p class="quiet">The marked part is enlarged below each image.</p>'
            f'<img alt="sample results" src="data:image/jpeg;base64,{data}">'
        )
    for column in results.columns:
        table = html_table(
            [results.unit, *results.scores], rows_by_method(results, column, "**{}**")
        )
        label = html.escape(column.label)
        parts.append(
            f"<details><summary>{label} of every {results.unit}</summary>{table}</details>"
        )
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>{body}</body></html>"
    )
