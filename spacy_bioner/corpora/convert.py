"""SourceDocument -> Doc: mentions put on tokens, and an account of every one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Any

from spacy.tokens import Doc, DocBin, Span

from spacy_bioner.corpora.document import Mention, SourceDocument
from spacy_bioner.corpora.sentences import set_sentences
from spacy_bioner.errors import BionerError, Errors
from spacy_bioner.task import set_task

SPANS_KEY = "sc"
DOCBIN_ATTRS = ["SENT_START", "ENT_IOB", "ENT_TYPE", "ENT_KB_ID"]
LOST = ("discontinuous", "coordinated", "empty", "duplicate", "overlapping")


@dataclass
class Report:
    """What a conversion met.

    labels: For each label a count of `mentions` in the source; of these `aligned`
        with the tokenizer's boundaries, `mid-token` (the token was split in the
        reference) and `trimmed` (white space at an end); `kept` in the output; and
        lost, by reason (LOST).
    """

    documents: int = 0
    duplicate_documents: int = 0
    missing_ids: set[str] = field(default_factory=set)
    sentences: int = 0
    tokens: int = 0
    labels: dict[str, Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the sum over labels under `total`."""
        total: Counter[str] = sum(self.labels.values(), Counter())
        return {
            "documents": self.documents,
            "duplicate_documents": self.duplicate_documents,
            "missing_ids": sorted(self.missing_ids),
            "sentences": self.sentences,
            "tokens": self.tokens,
            "total": dict(total),
            "labels": {label: dict(self.labels[label]) for label in sorted(self.labels)},
        }


def map_labels(
    documents: Iterable[SourceDocument],
    mapping: dict[str, str],
    only_mapped: bool = False,
) -> Iterator[SourceDocument]:
    """Rename labels: `mapping` goes from a pattern (`Protein_*`) to a label, the
    first that matches wins. only_mapped drops mentions of any other label."""
    names: dict[str, str | None] = {}

    def rename(label: str) -> str | None:
        if label not in names:
            targets = (to for of, to in mapping.items() if fnmatchcase(label, of))
            names[label] = next(targets, None if only_mapped else label)
        return names[label]

    for document in documents:
        document.mentions = [
            Mention(mention.start, mention.end, label, mention.kb_id)
            for mention in document.mentions
            if (label := rename(mention.label)) is not None
        ]
        document.lost = [
            (label, reason)
            for old, reason in document.lost
            if (label := rename(old)) is not None
        ]
        yield document


def drop_duplicates(
    documents: Iterable[SourceDocument], report: Report
) -> Iterator[SourceDocument]:
    """Skip a document whose id and text have been seen (NCBI-disease has one)."""
    seen = set()
    for document in documents:
        key = (document.id, document.text)
        if key in seen:
            report.duplicate_documents += 1
        else:
            seen.add(key)
            yield document


def to_doc(
    source: SourceDocument,
    tokenizer: Callable[[str], Doc],
    report: Report,
    *,
    nested: bool = False,
    task: str | None = None,
) -> Doc:
    """Make the reference Doc of a document, and count its mentions in `report`.

    A token that holds the boundary of a kept mention is split there, so that no
    mention is lost to the tokenizer. Flat mentions become `doc.ents` (of overlapping
    ones the longest stays), nested ones `doc.spans["sc"]`. The id is left in
    `doc.user_data["id"]`, the task in the routing key.
    """
    doc = tokenizer(source.text)
    mentions = _tidy(source, report)
    _count_alignment(doc, mentions, report)
    kept = list(mentions) if nested else _longest(mentions, report)
    doc = _split_tokens(doc, {b for m in kept for b in (m.start, m.end)})
    set_sentences(doc, source.sentence_starts)
    spans = [_span(doc, mention) for mention in kept]
    if nested:
        doc.spans[SPANS_KEY] = spans
    else:
        doc.ents = spans
    for mention in kept:
        report.labels[mention.label]["kept"] += 1
    report.documents += 1
    report.sentences += sum(token.is_sent_start for token in doc)
    report.tokens += len(doc)
    doc.user_data["id"] = source.id
    doc.user_data["exact_text"] = source.exact_text
    set_task(doc, task)
    return doc


def write(docs: Iterable[Doc], output: Path) -> None:
    """Write a DocBin, all of it or nothing."""
    bin_ = DocBin(attrs=DOCBIN_ATTRS, docs=docs, store_user_data=True)
    if not len(bin_):
        raise BionerError(Errors.B103.format(output=output))
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.partial")
    bin_.to_disk(partial)
    partial.replace(output)


def _tidy(source: SourceDocument, report: Report) -> list[Mention]:
    """Mentions without white space at their ends, in text order, each once."""
    for label, reason in source.lost:
        report.labels[label].update(["mentions", reason])
    mentions: dict[tuple[int, int, str], Mention] = {}
    for mention in source.mentions:
        counts = report.labels[mention.label]
        counts["mentions"] += 1
        text = source.text[mention.start : mention.end]
        start = mention.start + len(text) - len(text.lstrip())
        end = mention.start + len(text.rstrip())
        if start >= end:
            counts["empty"] += 1
            continue
        counts["trimmed"] += (start, end) != (mention.start, mention.end)
        key = (start, end, mention.label)
        if key in mentions:
            counts["duplicate"] += 1
        else:
            mentions[key] = Mention(*key, mention.kb_id)
    return sorted(mentions.values(), key=lambda m: (m.start, -m.end))


def _count_alignment(doc: Doc, mentions: list[Mention], report: Report) -> None:
    starts = {token.idx for token in doc}
    ends = {token.idx + len(token) for token in doc}
    for mention in mentions:
        aligned = mention.start in starts and mention.end in ends
        report.labels[mention.label]["aligned" if aligned else "mid-token"] += 1


def _longest(mentions: list[Mention], report: Report) -> list[Mention]:
    """The mentions without those that overlap a longer one; the first of two equals
    stays."""
    kept: list[Mention] = []
    taken: set[int] = set()
    for mention in sorted(mentions, key=lambda m: (m.start - m.end, m.start)):
        place = range(mention.start, mention.end)
        if taken.isdisjoint(place):
            taken.update(place)
            kept.append(mention)
        else:
            report.labels[mention.label]["overlapping"] += 1
    return sorted(kept, key=lambda m: m.start)


def _split_tokens(doc: Doc, boundaries: set[int]) -> Doc:
    """The same text with a token boundary at each of `boundaries` (offsets)."""
    edges = {e for token in doc for e in (token.idx, token.idx + len(token))}
    if boundaries <= edges:
        return doc
    words: list[str] = []
    spaces: list[bool] = []
    for token in doc:
        end = token.idx + len(token)
        inside = sorted(b for b in boundaries if token.idx < b < end)
        for start, stop in pairwise([token.idx, *inside, end]):
            words.append(token.text[start - token.idx : stop - token.idx])
            spaces.append(False)
        spaces[-1] = bool(token.whitespace_)
    return Doc(doc.vocab, words=words, spaces=spaces)


def _span(doc: Doc, mention: Mention) -> Span:
    span = doc.char_span(
        mention.start, mention.end, label=mention.label, kb_id=mention.kb_id
    )
    assert span is not None, "tokens were split at every boundary"
    return span
