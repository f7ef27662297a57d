"""Draw the nested spans of a text as SVG, which a README can show.

    python examples/draw_nested.py MODEL docs/nested.svg

A span is a bar below its words, an outer one below those that it holds; pointing at a
bar shows its score.
"""

from __future__ import annotations

import argparse
from html import escape
from pathlib import Path

import spacy
from spacy.tokens import Doc

from spacy_bioner.display import COLORS

TEXT = (
    "In activated human T cells, NF-AT binds the IL-2 gene promoter. Mutation of the "
    "GATA-3 binding site reduced transcription of the human IL-4 gene, and the alpha "
    "chain of the IL-2 receptor was lost from Jurkat T cell clones. No TNF-alpha mRNA "
    "was found in peripheral blood monocytes."
)
WIDTH = 78  # characters a line
CHAR, TEXT_HEIGHT, BAR, MARGIN = 8.4, 24, 14, 12  # pixels
Bar = tuple[int, int, str, float]  # first character, end (exclusive), label, score


def bars_of(doc: Doc, key: str) -> list[Bar]:
    group = doc.spans[key]
    rows = zip(group, group.attrs["scores"], strict=True)
    return [(s.start_char, s.end_char, s.label_, float(p)) for s, p in rows]


def lines_of(text: str, bars: list[Bar]) -> list[tuple[int, int]]:
    """Where each line starts and ends; none breaks inside a span that could fit."""
    lines, start = [], 0
    while len(text) - start > WIDTH:
        spaces = [i for i in range(start + 1, start + WIDTH) if text[i] == " "]
        free = [i for i in spaces if not any(a < i < b for a, b, *_ in bars)]
        end = (free or spaces or [start + WIDTH])[-1]
        lines.append((start, end))
        start = end + (text[end] == " ")
    return [*lines, (start, len(text))]


def levels_of(bars: list[Bar]) -> list[tuple[int, Bar]]:
    """Shorter bars nearer to the text; below them those that overlap them."""
    placed: list[tuple[int, Bar]] = []
    for bar in sorted(bars, key=lambda bar: (bar[1] - bar[0], bar[0])):
        under = [level for level, b in placed if b[0] < bar[1] and bar[0] < b[1]]
        placed.append((max(under, default=-1) + 1, bar))
    return placed


def draw(text: str, bars: list[Bar]) -> str:
    parts, top = [], MARGIN
    for start, end in lines_of(text, bars):
        here = [
            (max(a, start), min(b, end), label, score)
            for a, b, label, score in bars
            if a < end and start < b
        ]
        parts.append(
            f'<text x="{MARGIN}" y="{top + 14}" font-size="14" '
            f'textLength="{(end - start) * CHAR:.1f}">{escape(text[start:end])}</text>'
        )
        placed = levels_of(here)
        for level, (a, b, label, score) in placed:
            x, y = MARGIN + (a - start) * CHAR, top + TEXT_HEIGHT - 4 + level * BAR
            width = (b - a) * CHAR
            parts.append(
                f"<g><title>{escape(label)} {score:.2f}</title>"
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR - 2}" '
                f'rx="3" fill="{COLORS.get(label, "#dddddd")}"/>'
                f'<text x="{x + width / 2:.1f}" y="{y + 9}" font-size="8" '
                f'text-anchor="middle">{escape(label)}</text></g>'
            )
        depth = max((level + 1 for level, _ in placed), default=0)
        top += TEXT_HEIGHT + depth * BAR + 4
    size = 2 * MARGIN + WIDTH * CHAR, top + MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]:.0f} {size[1]}"'
        f' width="{size[0]:.0f}" font-family="monospace" fill="#222222">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("output", type=Path)
    parser.add_argument("--text", default=TEXT)
    parser.add_argument("--key", default="sc")
    args = parser.parse_args()
    doc = spacy.load(args.model)(args.text)
    args.output.write_text(draw(doc.text, bars_of(doc, args.key)), "utf8")


if __name__ == "__main__":
    main()
