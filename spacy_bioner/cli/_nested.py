"""What nested spans are measured by, beside F: who nests in whom, and how long."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from spacy.scorer import PRFScore
from spacy.tokens import Doc

from spacy_bioner.cli._figures import (
    Figures,
    Place,
    Spans,
    calibration_error,
    place_of,
)

NESTING = ("flat", "inner", "outer")
LENGTHS = {1: "1", 2: "2", 3: "3", 4: "4", 5: "5", 6: "6-10", 11: "11+"}  # from


def measure_nested(pairs: Iterable[tuple[Doc, Spans]], key: str) -> dict[str, Any]:
    """Compare `doc.spans[key]` with gold, document by document.

    pairs (iterable): Documents that went through a pipeline, and their gold.
    RETURNS (dict): `nested`: overall figures and by type; the `recall` of flat, inner
        and outer gold, see `kinds_of`; figures by `lengths` in the document's tokens.
        `calibration`: the expected calibration error of the scores.
    """
    figures = Figures()
    hits: Counter[str] = Counter()
    gold_of: Counter[str] = Counter()
    lengths: dict[str, PRFScore] = defaultdict(PRFScore)
    scored: list[tuple[float, bool]] = []
    for doc, gold in pairs:
        group = doc.spans[key]
        scores = zip(group, group.attrs["scores"], strict=True)
        found = {place_of(span): float(score) for span, score in scores}
        figures.add(set(found), gold)
        scored += [(score, place in gold) for place, score in found.items()]
        for place in gold:
            for kind in kinds_of(place, gold):
                gold_of[kind] += 1
                hits[kind] += place in found
        by_length: dict[str, tuple[Spans, Spans]] = defaultdict(lambda: (set(), set()))
        for part, places in enumerate((set(found), gold)):
            for place in places:
                by_length[length_of(doc, place)][part].add(place)
        for length, parts in by_length.items():
            lengths[length].score_set(*parts)
    recall = {
        kind: {"r": hits[kind] / gold_of[kind], "gold": gold_of[kind]}
        for kind in NESTING
        if gold_of[kind]
    }
    shares = {k: lengths[k].to_dict() for k in LENGTHS.values() if k in lengths}
    nested = {**figures.to_json(), "recall": recall, "lengths": shares}
    return {"nested": nested, "calibration": calibration_error(scored)}


def kinds_of(place: Place, gold: Spans) -> Iterator[str]:
    """ "inner": lies inside another gold span; "outer": holds one; both, or neither:
    "flat". Two types on the same words do not nest."""
    start, end, _ = place
    others = [(i, j) for i, j, _ in gold if (i, j) != (start, end)]
    inner = any(i <= start and end <= j for i, j in others)
    outer = any(start <= i and j <= end for i, j in others)
    yield from (kind for kind, is_ in (("inner", inner), ("outer", outer)) if is_)
    if not (inner or outer):
        yield "flat"


def length_of(doc: Doc, place: Place) -> str:
    """The class of length in tokens, those it only touches too."""
    span: Any = doc.char_span(*place[:2], alignment_mode="expand")
    return LENGTHS[max(least for least in LENGTHS if least <= len(span))]


def nested_values(nested: dict[str, Any]) -> dict[str, float]:
    """Flat: `nested_f`, `nested_f/TYPE`, `nested_r/inner`, `nested_f/length 2`…, in
    percent."""
    values = {f"nested_{k}": nested[k] for k in "prf"}
    for label, prf in nested["per_type"].items():
        values |= {f"nested_{k}/{label}": prf[k] for k in "prf"}
    for kind, recall in nested["recall"].items():
        values[f"nested_r/{kind}"] = recall["r"]
    for length, prf in nested["lengths"].items():
        values |= {f"nested_{k}/length {length}": prf[k] for k in "prf"}
    return {name: 100 * value for name, value in values.items()}
