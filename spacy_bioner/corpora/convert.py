"""SourceDocument -> Doc: mentions put on tokens, and an account of every one."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from spacy.tokens import Doc, DocBin, Span

from spacy_bioner.corpora.document import Mention, SourceDocument
from spacy_bioner.corpora.sentences import set_sentences
from spacy_bioner.errors import BionerError, Errors
from spacy_bioner.task import get_task, set_task

SPANS_KEY = "sc"
GOLD_KEY = "gold"
DOCBIN_ATTRS = ["SENT_START", "ENT_IOB", "ENT_TYPE", "ENT_KB_ID"]
LOST = (
    "discontinuous",
    "coordinated",
    "empty",
    "recurred",
    "duplicate",
    "overlapping",
    "cross-sentence",
)
Labels = dict[str, Counter[str]]  # label -> what became of its mentions -> count


@dataclass
class Report:
    """What a conversion met.

    labels: For each label a count of `mentions` in the source; of these `aligned`
        with the tokenizer's boundaries, `mid-token` (the token was split in the
        reference) and `trimmed` (white space at an end); `kept` in the output; and
        lost, by reason (LOST).
    missing_ids: Listed ids of documents to keep that the corpus lacks.
    unused: Lists of documents to leave out of which the corpus has none.
    """

    documents: int = 0
    duplicate_documents: int = 0
    missing_ids: set[str] = field(default_factory=set)
    unused: set[Path] = field(default_factory=set)
    sentences: int = 0
    tokens: int = 0
    labels: Labels = field(default_factory=lambda: defaultdict(Counter))

    def add(self, doc: Doc, sentences: int, labels: Labels) -> None:
        """Count one document."""
        self.documents += 1
        self.sentences += sentences
        self.tokens += len(doc)
        for label, counts in labels.items():
            self.labels[label].update(counts)

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
            "labels": {name: dict(self.labels[name]) for name in sorted(self.labels)},
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
            targets = (
                to
                for of, to in mapping.items()
                if label == of or fnmatchcase(label, of)
            )
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
    """Skip a document whose id and text have been seen (NCBI-disease has one); a
    mention that only the later one has counts as `recurred`."""
    seen: dict[tuple[str, str], frozenset[Mention]] = {}
    for document in documents:
        key = (document.id, document.text)
        if key in seen:
            report.duplicate_documents += 1
            for mention in set(document.mentions) - seen[key]:
                report.labels[mention.label].update(["mentions", "recurred"])
        else:
            seen[key] = frozenset(document.mentions)
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

    A token that holds the boundary of a mention is split there, so that no mention
    is lost to the tokenizer. Nested mentions become `doc.spans["sc"]`. Flat ones
    become `doc.ents`, of overlapping ones the longest, and all of them
    `doc.spans["gold"]`, which an honest score counts. The task is set; `user_data`
    holds `id`, `exact_text` and `mentions`, the account of this document.
    """
    counts: Labels = defaultdict(Counter)
    doc = tokenizer(source.text)
    offsets = [(token.idx, token.idx + len(token)) for token in doc]
    mentions = _tidy(source, counts)
    _count_alignment(offsets, mentions, counts)
    doc = _split_tokens(doc, offsets, {b for m in mentions for b in (m.start, m.end)})
    sentences = set_sentences(doc, source.sentence_starts)
    spans = [_span(doc, mention) for mention in mentions]
    doc.spans[SPANS_KEY if nested else GOLD_KEY] = spans
    if not nested:
        doc.ents = _longest(spans, counts)
    for span in spans if nested else doc.ents:
        counts[span.label_]["kept"] += 1
    report.add(doc, sentences, counts)
    doc.user_data["id"] = source.id
    doc.user_data["exact_text"] = source.exact_text
    doc.user_data["mentions"] = dict(sum(counts.values(), Counter()))
    set_task(doc, task)
    return doc


def sentences_with_mention(docs: Iterable[Doc], report: Report) -> Iterator[Doc]:
    """Each sentence that holds a mention, as a document: GERBERA's selection of
    JNLPBA. Sentences keep their document's task, and its id with their number."""
    for doc in docs:
        [(key, group)] = doc.spans.items()
        for span in doc.ents or group:
            if span.sent.end < span.end:
                report.labels[span.label_].update({"cross-sentence": 1, "kept": -1})
        for number, sent in enumerate(doc.sents, 1):
            inside = [s for s in group if sent.start <= s.start and s.end <= sent.end]
            if inside:
                one = sent.as_doc()
                one.spans[key] = [_moved(span, one, -sent.start) for span in inside]
                if key == GOLD_KEY:
                    _take_longest(one, report)
                one.user_data["id"] = f"{doc.user_data['id']}-{number}"
                one.user_data["exact_text"] = doc.user_data["exact_text"]
                set_task(one, get_task(doc))
                yield one


def _take_longest(sentence: Doc, report: Report) -> None:
    """A mention that a longer one across the sentence's end had beaten stands now."""
    before = {(ent.start, ent.end) for ent in sentence.ents}
    sentence.ents = _longest(list(sentence.spans[GOLD_KEY]), defaultdict(Counter))
    for ent in sentence.ents:
        if (ent.start, ent.end) not in before:
            report.labels[ent.label_].update({"overlapping": -1, "kept": 1})


def _moved(span: Span, doc: Doc, by: int) -> Span:
    return Span(doc, span.start + by, span.end + by, span.label, kb_id=span.kb_id)


def attrs_of(docs: Iterable[Doc]) -> list[str]:
    """What a DocBin has to store of documents that may have been analysed."""
    parsed = any(doc.has_annotation("DEP") for doc in docs)  # says where sentences are
    analysis = ["HEAD", "DEP"] if parsed else ["SENT_START"]
    return [*analysis, *DOCBIN_ATTRS[1:], "ENT_ID", "TAG", "POS", "MORPH", "LEMMA"]


def write(
    docs: Iterable[Doc], output: Path, attrs: Sequence[str] = DOCBIN_ATTRS
) -> int:
    """Write a DocBin, all of it or nothing. RETURNS (int): How many documents."""
    bin_ = DocBin(attrs=attrs, docs=docs, store_user_data=True)
    if not len(bin_):
        raise BionerError(Errors.B103.format(output=output))
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.partial")
    try:
        bin_.to_disk(partial)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    return len(bin_)


def _tidy(source: SourceDocument, counts: Labels) -> list[Mention]:
    """Mentions without white space at their ends, in text order, each once."""
    for label, reason in source.lost:
        counts[label].update(["mentions", reason])
    mentions: dict[tuple[int, int, str], Mention] = {}
    for mention in source.mentions:
        count = counts[mention.label]
        count["mentions"] += 1
        text = source.text[mention.start : mention.end]
        start = mention.start + len(text) - len(text.lstrip())
        end = mention.start + len(text.rstrip())
        if start >= end:
            count["empty"] += 1
            continue
        if (start, end) != (mention.start, mention.end):
            count["trimmed"] += 1
        key = (start, end, mention.label)
        kb_id = mention.kb_id
        if key in mentions:
            count["duplicate"] += 1
            kb_id = mentions[key].kb_id or kb_id
        mentions[key] = Mention(*key, kb_id)
    return sorted(mentions.values(), key=lambda m: (m.start, -m.end))


def _count_alignment(
    offsets: list[tuple[int, int]], mentions: list[Mention], counts: Labels
) -> None:
    starts = {start for start, _ in offsets}
    ends = {end for _, end in offsets}
    for mention in mentions:
        aligned = mention.start in starts and mention.end in ends
        counts[mention.label]["aligned" if aligned else "mid-token"] += 1


def _split_tokens(
    doc: Doc, offsets: list[tuple[int, int]], boundaries: set[int]
) -> Doc:
    """The same text with a token boundary at each of `boundaries` (characters)."""
    boundaries = boundaries.difference(*offsets)
    if not boundaries:
        return doc
    words: list[str] = []
    spaces: list[bool] = []
    ordered = sorted(boundaries)
    for token, (first, last) in zip(doc, offsets, strict=True):
        inside = ordered[bisect_right(ordered, first) : bisect_left(ordered, last)]
        for start, stop in pairwise([first, *inside, last]):
            words.append(token.text[start - first : stop - first])
            spaces.append(False)
        spaces[-1] = bool(token.whitespace_)
    return Doc(doc.vocab, words=words, spaces=spaces)


def _span(doc: Doc, mention: Mention) -> Span:
    span = doc.char_span(
        mention.start, mention.end, label=mention.label, kb_id=mention.kb_id
    )
    return cast(Span, span)  # never None: tokens were split at every boundary


def _longest(spans: list[Span], counts: Labels) -> list[Span]:
    """The spans without those that overlap one of more characters; the first of two
    equals stays."""
    kept: list[Span] = []
    taken: set[int] = set()
    for span in sorted(spans, key=lambda s: s.start_char - s.end_char):
        place = range(span.start, span.end)
        if taken.isdisjoint(place):
            taken.update(place)
            kept.append(span)
        else:
            counts[span.label_]["overlapping"] += 1
    return kept
