"""`term_linker`: which entry of a terminology an entity is, by its name.

No training and no vectors: names that are the same but for spelling, then names that
share trigrams and words (`kb.terms`). The knowledge base is saved with the pipeline.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import srsly
from spacy import util
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example

from ..confidence import Place, place_of, put_on_tokens
from ..errors import BionerError, Errors
from ..kb.base import KnowledgeBase
from ..kb.load import load
from ..kb.terms import TermIndex
from ..links import Candidate
from .abbreviations import EXTENSION, abbreviations_of

FILE = "kb.jsonl.gz"
Found = dict[Place, list[Candidate]]


@Language.factory(
    "term_linker",
    assigns=["doc.spans", "token.ent_kb_id"],
    requires=["doc.ents"],
    default_config={
        "ents": True,
        "groups": [],
        "labels": {},
        "prefixes": [],
        "candidates": 10,
        "threshold": 0.7,
        "abbreviations": True,
        "overwrite": True,
        "links_key": "links",
        "scorer": {"@scorers": "spacy-bioner.links_scorer.v1"},
    },
    default_score_weights={
        "nel_micro_f": 1.0,
        "nel_micro_p": None,
        "nel_micro_r": None,
        "nel_f_per_type": None,
    },
)
def make_term_linker(
    nlp: Language,
    name: str,
    ents: bool,
    groups: list[str],
    labels: dict[str, list[str]],
    prefixes: list[str],
    candidates: int,
    threshold: float,
    abbreviations: bool,
    overwrite: bool,
    links_key: str,
    scorer: Callable | None,
) -> "TermLinker":
    """Build the component; `set_kb` or `initialize` gives it its knowledge base.

    ents (bool): Link `doc.ents`.
    groups (list): The span groups to link besides.
    labels (dict): From a span's label to the knowledge base's types to look among;
        other labels are left alone. Empty: each label is the type of that name.
    prefixes (list): The kinds of identifier to give, the most wanted first; see
        `TermIndex`. Empty: each entry's own.
    candidates (int): How many to keep for a span.
    threshold (float): A span whose best candidate scores less gets no identifier.
    abbreviations (bool): Look up a short form as its long form, where scispaCy's
        `abbreviation_detector` has found them.
    overwrite (bool): Also look up spans that have an identifier; it is gone if nothing
        is found.
    links_key (str): The span group of all that was looked up; its `attrs` hold
        "candidates", parallel to the spans. `links.candidates_of` reads them.
    """
    return TermLinker(
        name,
        ents=ents,
        groups=groups,
        labels=labels,
        prefixes=prefixes,
        candidates=candidates,
        threshold=threshold,
        abbreviations=abbreviations,
        overwrite=overwrite,
        links_key=links_key,
        scorer=scorer,
    )


class TermLinker(Pipe):
    """Fill `kb_id_` of entities and spans, and keep the candidates."""

    def __init__(
        self,
        name: str = "term_linker",
        *,
        ents: bool = True,
        groups: Iterable[str] = (),
        labels: dict[str, list[str]] | None = None,
        prefixes: Iterable[str] = (),
        candidates: int = 10,
        threshold: float = 0.7,
        abbreviations: bool = True,
        overwrite: bool = True,
        links_key: str = "links",
        scorer: Callable | None = None,
    ) -> None:
        self.name = name
        self.ents = ents
        self.groups = list(groups)
        self.types = dict(labels or {})
        self.prefixes = list(prefixes)
        self.candidates = candidates
        self.threshold = threshold
        self.abbreviations = abbreviations
        self.overwrite = overwrite
        self.links_key = links_key
        self.scorer = scorer
        self.kb: KnowledgeBase | None = None
        self.index: TermIndex | None = None
        self._warned = False
        self._check("candidates", candidates, candidates >= 1, "at least 1")
        self._check("threshold", threshold, 0 <= threshold <= 1, "from 0 to 1")
        apart = links_key not in self.groups
        self._check("links_key", links_key, apart, "a group not in `groups`")

    def _check(self, setting: str, value: Any, good: bool, expected: str) -> None:
        if not good:
            raise BionerError(
                Errors.B911.format(
                    setting=setting, value=value, name=self.name, expected=expected
                )
            )

    # What it links to

    def set_kb(self, kb: KnowledgeBase | str | Path) -> None:
        """Link to this knowledge base from now on.

        kb (KnowledgeBase): Or the file that `bioner kb` wrote, or any that it reads.
        Raises BionerError if nothing in it has a wanted identifier, or it has not the
        types that `labels` names.
        """
        if not isinstance(kb, KnowledgeBase):
            kb, _ = load([Path(kb)])
        index = TermIndex(kb, self.prefixes)
        if not index.ids:
            known = sorted({entry.id.partition(":")[0] for entry in kb.entries} - {""})
            wanted = " or ".join(f"{prefix}:…" for prefix in self.prefixes) or "at all"
            raise BionerError(
                Errors.B909.format(name=self.name, wanted=wanted, known=known)
            )
        named = {x for types in self.types.values() for x in types}
        missing = sorted(named.difference(index.types))
        if missing:
            raise BionerError(
                Errors.B910.format(name=self.name, missing=missing, known=index.types)
            )
        self.kb, self.index, self._warned = kb, index, False

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        kb: str | Path | None = None,
    ) -> None:
        """Read the knowledge base; without `kb` the one that is there stays."""
        if kb is not None:
            self.set_kb(kb)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of spans that are looked up."""
        known = self.index.types if self.index else []
        return tuple(sorted(self.types or known))

    def types_of(self, label: str) -> list[str]:
        """The knowledge base's types that a label is looked up among."""
        if self.types:
            return self.types.get(label, [])
        return [label] if label in self.labels else []

    # Prediction

    def __call__(self, doc: Doc) -> Doc:
        """Link one document."""
        error_handler = self.get_error_handler()
        try:
            self.set_annotations([doc], self.predict([doc]))
        except Exception as error:
            error_handler(self.name, self, [doc], error)
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Link documents; what a batch says several times is looked up once."""
        error_handler = self.get_error_handler()
        for docs in util.minibatch(stream, size=batch_size):
            try:
                self.set_annotations(docs, self.predict(docs))
                yield from docs
            except Exception as error:
                error_handler(self.name, self, docs, error)

    def predict(self, docs: Iterable[Doc]) -> list[Found]:
        """The candidates of each document's spans; documents are not changed.

        Raises BionerError without a knowledge base.
        """
        if self.index is None:
            raise BionerError(Errors.B908.format(name=self.name))
        seen: dict[tuple[str, str], list[Candidate]] = {}
        skipped: set[str] = set()
        found: list[Found] = []
        for doc in docs:
            long_forms = self._long_forms(doc)
            links: Found = {}
            for span in self._spans(doc):
                types = self.types_of(span.label_)
                if not types:
                    skipped.add(span.label_)
                    continue
                key = spell_out(span, long_forms), span.label_
                if key not in seen:
                    seen[key] = self.index.nearest(key[0], self.candidates, types)
                links[place_of(span)] = seen[key]
            found.append(links)
        if skipped and not seen and not self.types:
            self._warn(sorted(skipped))
        return found

    def _spans(self, doc: Doc) -> Iterator[Span]:
        """What is to be looked up, in each place it stands."""
        if self.ents:
            yield from (ent for ent in doc.ents if self._may(ent))
        for key in self.groups:
            if key in doc.spans:
                yield from filter(self._may, put_on_tokens(doc.spans[key]))

    def _may(self, span: Span) -> bool:
        return self.overwrite or not span.kb_id

    def _long_forms(self, doc: Doc) -> dict[int, tuple[int, str]]:
        """First token of each short form -> its end and the long form's text."""
        if not self.abbreviations or not Doc.has_extension(EXTENSION):
            return {}
        return {
            start: (end, doc[slice(*long)].text)
            for (start, end), long in abbreviations_of(doc)
        }

    def _warn(self, labels: list[str]) -> None:
        """Once, in case nothing can ever be linked: the types may have other names."""
        if not self._warned and self.index is not None:
            self._warned = True
            text = Errors.B913.format(
                name=self.name,
                labels=labels,
                known=self.index.types,
                example=labels[0],
            )
            warnings.warn(text, stacklevel=2)

    def set_annotations(self, docs: Iterable[Doc], found: list[Found]) -> None:
        """Write `kb_id_` of entities and spans, and the group of candidates."""
        for doc, links in zip(docs, found, strict=True):
            if self.ents:
                self._link_ents(doc, links)
            for key in self.groups:
                if key in doc.spans:
                    self._link_group(doc, key, links)
            self._write_links(doc, links)

    def best_id(self, candidates: list[Candidate]) -> str:
        """The identifier to give, or "" under the threshold."""
        good = candidates and candidates[0].score >= self.threshold
        return candidates[0].id if good else ""

    def _link_ents(self, doc: Doc, links: Found) -> None:
        """By token: whatever else entities hold stays as it is."""
        for ent in doc.ents:
            if self._may(ent) and place_of(ent) in links:
                identifier = self.best_id(links[place_of(ent)])
                for token in ent:
                    token.ent_kb_id_ = identifier

    def _link_group(self, doc: Doc, key: str, links: Found) -> None:
        group, spans = put_on_tokens(doc.spans[key]), []
        for span in group:
            identifier = span.kb_id_
            if self._may(span) and place_of(span) in links:
                identifier = self.best_id(links[place_of(span)])
            place = place_of(span)
            spans.append(Span(doc, *place, kb_id=identifier, span_id=span.id))
        doc.spans[key] = SpanGroup(doc, name=key, spans=spans, attrs=group.attrs)

    def _write_links(self, doc: Doc, links: Found) -> None:
        places = sorted(links, key=lambda place: (place[0], -place[1], place[2]))
        doc.spans[self.links_key] = SpanGroup(
            doc,
            name=self.links_key,
            spans=[Span(doc, *p, kb_id=self.best_id(links[p])) for p in places],
            # Lists, as they come back from bytes.
            attrs={"candidates": [[list(c) for c in links[p]] for p in places]},
        )

    # On disk. The settings are in the pipeline's config.

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """The knowledge base; the index is made anew when it is read."""
        return srsly.msgpack_dumps({"kb": self.kb.to_bytes() if self.kb else b""})

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> "TermLinker":
        """Read what `to_bytes` gave."""
        kb = srsly.msgpack_loads(data)["kb"]
        if kb:
            self.set_kb(KnowledgeBase.from_bytes(kb))
        return self

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Write the knowledge base into this folder, if there is one."""
        path = Path(path)
        path.mkdir(parents=True, exist_ok=True)
        if self.kb:
            self.kb.to_disk(path / FILE)

    def from_disk(
        self, path: str | Path, *, exclude: Iterable[str] = ()
    ) -> "TermLinker":
        """Read what `to_disk` wrote."""
        if (Path(path) / FILE).exists():
            self.set_kb(KnowledgeBase.from_disk(Path(path) / FILE))
        return self


def spell_out(span: Span, long_forms: dict[int, tuple[int, str]]) -> str:
    """A span's text with the long form in the place of each short form in it.

    long_forms (dict): First token of a short form -> its end and the long form.
    """
    parts, place = [], span.start
    while place < span.end:
        end, text = long_forms.get(place, (place + 1, span.doc[place].text))
        if end > span.end:  # it goes on behind the span
            end, text = place + 1, span.doc[place].text
        parts.append(text + span.doc[end - 1].whitespace_)
        place = end
    return "".join(parts).strip()
