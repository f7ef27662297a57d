"""BioCreative II gene mention: sentences in `.in`, offsets in `GENE.eval`.

Offsets count characters that are not spaces, and the end is inclusive (Smith et al.
2008, Genome Biology 9(S2):S2).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from spacy_bioner.corpora.common import files_in, malformed, read_lines
from spacy_bioner.corpora.document import Mention, SourceDocument

LABEL = "GENE"


class _Gold(NamedTuple):
    """One line of the annotation file."""

    line: int
    start: int
    end: int
    name: str


def read(path: Path, gold: str = "GENE.eval") -> Iterator[SourceDocument]:
    """Read an `.in` file (or the one in a folder) and its annotations.

    Raises BionerError for a folder with several.

    gold (str): The annotation file, relative to the folder of the `.in` file.
    """
    file, *more = files_in(path, ".in")
    if more:
        raise malformed(path, 0, "several .in files are here; name one of them")
    gold_file = file.parent / gold
    annotations = _read_gold(gold_file)
    for number, line in read_lines(file):
        if not line:
            continue
        identifier, space, text = line.partition(" ")
        if not space:
            raise malformed(file, number, "expected `id sentence`")
        found = annotations.pop(identifier, [])
        mentions = [_mention(gold_file, text, annotation) for annotation in found]
        yield SourceDocument(identifier, text, mentions, sentence_starts=[0])
    for identifier, rest in annotations.items():
        raise malformed(gold_file, rest[0].line, f"no sentence {identifier} in {file}")


def _read_gold(path: Path) -> dict[str, list[_Gold]]:
    annotations = defaultdict(list)
    for number, line in read_lines(path):
        if not line:
            continue
        identifier, *rest = line.split("|", 2)
        try:
            offsets, name = rest
            start, end = (int(offset) for offset in offsets.split())
        except ValueError:
            raise malformed(path, number, "expected `id|start end|name`") from None
        annotations[identifier].append(_Gold(number, start, end, name))
    return dict(annotations)


def _mention(path: Path, text: str, gold: _Gold) -> Mention:
    """Count out the characters. The name must be among them, but the offsets rule:
    the official scorer reads nothing else, and they may hold a character more."""
    positions = [i for i, character in enumerate(text) if not character.isspace()]
    if not 0 <= gold.start <= gold.end < len(positions):
        raise malformed(path, gold.line, f"offsets outside the sentence {text!r}")
    start, end = positions[gold.start], positions[gold.end] + 1
    found = text[start:end]
    if "".join(gold.name.split()) not in "".join(found.split()):
        raise malformed(
            path, gold.line, f"the offsets give {found!r}, not {gold.name!r}"
        )
    return Mention(start, end, LABEL)
