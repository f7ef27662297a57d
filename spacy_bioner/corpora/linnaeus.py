"""LINNAEUS: full articles in `txt/`, all mentions in `tags.tsv` (Gerner et al. 2010,
BMC Bioinformatics 11:85)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from spacy_bioner.corpora.common import (
    checked_mention,
    files_in,
    malformed,
    read_lines,
    read_text,
)
from spacy_bioner.corpora.document import SourceDocument

LABEL = "SPECIES"


def read(path: Path, gold: str = "tags.tsv") -> Iterator[SourceDocument]:
    """Read the folder that holds `txt/` and the tags file.

    gold (str): `tags.tsv`, or `filtered_tags.tsv` with taxonomy names only.
    """
    tags_file = path / gold
    tags: dict[str, list[tuple[int, list[str]]]] = defaultdict(list)
    for number, line in read_lines(tags_file):
        if not line or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) < 5:
            raise malformed(
                tags_file, number, "expected species, document, start, end, text"
            )
        tags[fields[1]].append((number, fields))
    for file in files_in(path / "txt", ".txt"):
        text = read_text(file)
        mentions = [
            checked_mention(
                tags_file, line, text, start, end, LABEL, kb_id=kb_id, expected=name
            )
            for line, (kb_id, _, start, end, name, *_) in tags.pop(file.stem, [])
        ]
        yield SourceDocument(file.stem, text, mentions)
    for name, rest in tags.items():
        raise malformed(tags_file, rest[0][0], f"no document txt/{name}.txt")
