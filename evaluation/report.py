"""The report of an evaluation: a web page with tables and box plots, and the figure of samples."""

import base64
import html
from collections.abc import Sequence

import cv2
import numpy as np

from evaluation.tables import Column, Results, first, headings, plural, rows_by_method, summary_rows
from sgz.image.photo import Photo, encode_photo

CELL = 320  # width of a picture in the figure
GAP = 8


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
    bands = [sample_cells(pictures, captions) for _, pictures, captions in rows]
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


def sample_cells(
    pictures: dict[str, np.ndarray], captions: dict[str, str]
) -> list[tuple[str, np.ndarray, np.ndarray, str]]:
    """One image by every method: (method, the whole with its crop marked, the crop, caption)."""
    x, y, width, height = busiest_crop(list(pictures.values())[-1])
    cells = []
    for method, picture in pictures.items():
        whole = picture.copy()
        thickness = max(picture.shape[1] // 160, 1)
        cv2.rectangle(whole, (x, y), (x + width, y + height), (255, 210, 0), thickness)
        crop = fit_width(picture[y : y + height, x : x + width])
        cells.append((method, fit_width(whole), crop, captions.get(method, "")))
    return cells


def draw_centred(draw, left: int, top: int, text: str, font) -> None:
    """Write a line in the middle of a column, cut to its width."""
    while text and draw.textlength(text, font=font) > CELL:
        text = text[:-2] + "…" if len(text) > 2 else ""
    draw.text((left + (CELL - draw.textlength(text, font=font)) / 2, top), text, "black", font=font)


# The page

STYLE = """
:root { color-scheme: light dark; --line: #8884; --accent: #0a7d55; }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
h1, li, summary, figcaption { overflow-wrap: anywhere }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; min-width: min(100%, 640px) }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line) }
th { white-space: nowrap } th:first-child, td:first-child { text-align: left; padding-left: 0 }
thead th { border-bottom: 2px solid var(--line) }
td b { color: var(--accent) } tbody tr:hover { background: #8881 }
.scroll { overflow-x: auto }
.plots { display: grid; gap: 1.2rem 2rem; justify-content: space-between;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 342px), 1fr)) }
.samples { display: grid; gap: .8rem; margin-bottom: 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(160px, 45%), 1fr)) }
.samples figure { display: flex; flex-direction: column; gap: 4px }
.samples img { width: 100% } .samples figcaption { font-size: .875rem; text-align: center }
figure { margin: 0; min-width: 0 } img, svg { max-width: 100%; height: auto }
summary { cursor: pointer; padding: .2rem 0 }
svg text { font: 13px system-ui, sans-serif; fill: currentColor }
.warning { border-left: 4px solid #d9822b; padding-left: .8rem } .quiet { opacity: .75 }
@media (prefers-color-scheme: dark) { :root { --accent: #5fd3a8 } }
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
    width, line, margin = 342, 46, 12

    def at(value: float) -> float:
        return margin + (width - 2 * margin) * (value - low) / span

    parts = []
    for place, (method, values) in enumerate(data.items()):
        middle = line * place + 32  # below the method's name
        q1, median, q3 = np.percentile(values, (25, 50, 75))
        reach = 1.5 * (q3 - q1)
        inside = values[(values >= q1 - reach) & (values <= q3 + reach)]
        outside = values[(values < q1 - reach) | (values > q3 + reach)]
        colour = f"hsl({(205 + 67 * place) % 360} 55% 50%)"
        name = method if len(method) <= 42 else method[:41] + "…"
        parts += [
            f'<text x="{margin}" y="{middle - 14}">{html.escape(name)}</text>',
            f'<path d="M{at(inside.min()):.1f} {middle}H{at(inside.max()):.1f}" '
            f'stroke="{colour}"/>',
            f'<rect x="{at(q1):.1f}" y="{middle - 8}" width="{max(at(q3) - at(q1), 1):.1f}" '
            f'height="16" rx="2" fill="{colour}" fill-opacity=".35" stroke="{colour}"/>',
            f'<path d="M{at(median):.1f} {middle - 8}v16" stroke="{colour}" stroke-width="2.5"/>',
            f'<circle cx="{at(values.mean()):.1f}" cy="{middle}" r="3" fill="currentColor"/>',
            *(f'<circle cx="{at(v):.1f}" cy="{middle}" r="2" fill="{colour}"/>' for v in outside),
        ]
    floor = line * len(data)
    across = width - 2 * margin
    parts.append(f'<path d="M{margin} {floor + 4}h{across}" stroke="currentColor" opacity=".4"/>')
    for share, anchor in ((0, "start"), (0.5, "middle"), (1, "end")):
        label = column.show(low + share * span)
        x = margin + across * share
        parts.append(f'<text x="{x}" y="{floor + 20}" text-anchor="{anchor}">{label}</text>')
    heading = html.escape(headings(Results([column], {}))[0])
    return (
        f"<figure><figcaption>{heading}</figcaption>"
        f'<svg viewBox="0 0 {width} {floor + 26}" width="{width}" height="{floor + 26}" '
        f'role="img" aria-label="{heading}">{"".join(parts)}</svg></figure>'
    )


def html_samples(rows: Sequence[tuple[str, dict[str, np.ndarray], dict[str, str]]]) -> str:
    """The images of picture_grid, each with its own caption, in as many columns as fit."""
    bands = []
    for name, pictures, captions in rows:
        figures = "".join(
            f"<figure>{inline_image(whole, f'{name}, {method}')}{inline_image(crop, '')}"
            f"<figcaption><b>{html.escape(method)}</b><br>{html.escape(caption)}</figcaption></figure>"
            for method, whole, crop, caption in sample_cells(pictures, captions)
        )
        bands.append(f'<div class="samples">{figures}</div>')
    return "\n".join(bands)


def inline_image(image: np.ndarray, text: str) -> str:
    """A picture as HTML that holds it."""
    data = base64.b64encode(encode_photo(Photo(image), ".jpg")).decode()
    return f'<img alt="{html.escape(text)}" src="data:image/jpeg;base64,{data}">'


def html_page(results: Results, title: str, rows: Sequence = ()) -> str:
    """A page that needs no other file: means, box plots, samples and every score.

    Args:
        rows: as picture_grid's.
    """
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
    if rows:
        parts.append(
            '<h2>Samples</h2><p class="quiet">The marked part is enlarged below each image.</p>'
        )
        parts.append(html_samples(rows))
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
