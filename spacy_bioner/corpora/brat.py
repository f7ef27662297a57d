"""brat standoff: `NAME.txt` beside `NAME.ann` (also the BioNLP shared task's
`.a1`). http://brat.nlplab.org/standoff.html"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from spacy_bioner.corpora.common import (
    checked_mention,
    files_in,
    malformed,
    read_lines,
    read_text,
)
from spacy_bioner.corpora.document import SourceDocument
from spacy_bioner.errors import BionerError, Errors


def read(path: Path, discontinuous: str = "lose") -> Iterator[SourceDocument]:
    """Read a folder of `.txt` and `.ann` files, or one `.txt` file.

    discontinuous (str): `lose` an annotation of several fragments with words between
        them and count it, or keep the span that `bound`s them.
    """
    if discontinuous not in ("lose", "bound"):
        message = Errors.B104.format(
            option="discontinuous", value=discontinuous, expected="'lose' or 'bound'"
        )
        raise BionerError(message)
    for file in files_in(path, ".txt"):
        document = SourceDocument(file.stem, read_text(file))
        standoff = [file.with_suffix(s) for s in (".ann", ".a1")]
        annotations = next((f for f in standoff if f.exists()), None)
        if annotations is None:
            raise malformed(file, 0, f"no {file.stem}.ann beside it")
        for number, line in read_lines(annotations):
            if line.startswith("T"):
                _add_mention(annotations, number, line, document, discontinuous)
        yield document


def _add_mention(
    path: Path, number: int, line: str, document: SourceDocument, discontinuous: str
) -> None:
    fields = line.split("\t")
    try:
        label, offsets = fields[1].split(" ", 1)
        fragments = sorted(
            (int(start), int(end)) for start, end in map(str.split, offsets.split(";"))
        )
    except (IndexError, ValueError):
        raise malformed(
            path, number, "expected `T1<tab>Label start end<tab>text`"
        ) from None
    start, end = fragments[0][0], max(end for _, end in fragments)
    # brat itself cuts a mention at a line break, which leaves nothing out
    gaps = [(a, b) for (_, a), (b, _) in pairwise(fragments)]
    whole = not any(document.text[a:b].strip() for a, b in gaps)
    if not whole and discontinuous == "lose":
        document.lost.append((label, "discontinuous"))
        return
    expected = fields[2] if len(fields) > 2 and whole else None
    document.mentions.append(
        checked_mention(
            path, number, document.text, start, end, label, expected=expected
        )
    )
