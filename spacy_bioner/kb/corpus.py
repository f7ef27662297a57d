"""Names as a corpus writes them, for types that no terminology at hand covers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import spacy
from spacy.tokens import Doc, Span

from spacy_bioner.corpora.convert import GOLD_KEY, SPANS_KEY
from spacy_bioner.docbin import read_docs
from spacy_bioner.kb.entry import SEVERAL, Entry, clean, identifiers


def read(path: Path) -> Iterator[Entry]:
    """The mentions of a `.spacy` file of `convert`: one entry an identifier, or a
    name where there is none; the most frequent name is the preferred one.

    Read train splits only: names of a test split would give its answers away.
    """
    docs = read_docs(path, spacy.blank("xx").vocab)
    found: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for doc in docs:
        for span in _mentions(doc):
            name, identifier = clean(span.text), _identifier(span.kb_id_)
            same = identifier or name.casefold()
            found[span.label_, identifier, same][name] += 1
    for (label, identifier, _), counts in found.items():
        names = sorted(counts, key=lambda name: (-counts[name], name))
        yield Entry(identifier, names[0], label, dict.fromkeys(names[1:], "mention"))


def _mentions(doc: Doc) -> Iterable[Span]:
    """Each mention once, in whichever places it stands: overlapping and nested ones
    are in groups of their own."""
    groups = (doc.spans.get(key, []) for key in (GOLD_KEY, SPANS_KEY))
    return dict.fromkeys(chain(doc.ents, *groups))


def _identifier(kb_id: str) -> str:
    """Empty for a mention of several things (`D1|D2`) or of none that is known."""
    several = SEVERAL.search(kb_id)
    return "" if several else "".join(identifiers(kb_id))
