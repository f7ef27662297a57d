"""`instruct_ner`: entities of whatever types it is told to find.

After VANER (Bian et al. 2024, arXiv 2404.17835): an instruction that names a type
stands before the text, and each word is tagged B, I or O. What types there are is not
built in: one that training never saw can be asked for as well.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Config, Model, Optimizer, set_dropout_rate
from thinc.types import Floats2d

from ..corpora.convert import GOLD_KEY
from ..errors import BionerError, Errors
from ..instruction import Wording, get_types
from ..layers.decoding import ScoredSpan, decode_spans, of_words, on_tokens, word_rows
from ..layers.paragraphs import cut_at, find_breaks
from ..layers.tag_loss import tag_loss
from ..models.instructed import Question
from ..spans import POLICIES, best_first, set_entities
from ..training.gold import gold_of, gold_tags
from .settings import Configured, make_cfg

DEFAULT_KEY = "instruct"
NO_ENTS = "none"
Scores = list[dict[str, Floats2d]]  # a document's logits (tokens, 3), by type

default_config = """
[instruct_ner]
factory = "instruct_ner"
types = []
template = "If any {type} entity is mentioned in the {corpus} input, extract it."
plain_template = "If any {type} entity is mentioned in the input, extract it."
names = {}
definitions = {}
spans_key = "instruct"
ents_policy = "replace"

[instruct_ner.model]
@architectures = "spacy-bioner.InstructedTagger.v1"
name = "google-bert/bert-base-cased"

[instruct_ner.scorer]
@scorers = "spacy-bioner.instruct_scorer.v1"
"""
DEFAULTS = Config().from_str(default_config)["instruct_ner"]


@Language.factory(
    "instruct_ner",
    assigns=["doc.ents", "doc.spans", "token.ent_iob", "token.ent_type"],
    default_config={k: v for k, v in DEFAULTS.items() if k != "factory"},
    default_score_weights={
        "instruct_f": 1.0,
        "instruct_micro_f": 0.0,
        "instruct_micro_p": 0.0,
        "instruct_micro_r": 0.0,
        "instruct_per_type": None,
        "instruct_per_task": None,
    },
)
def make_instruct_ner(
    nlp: Language,
    name: str,
    model: Model[list[Question], list[Floats2d]],
    types: list[str],
    template: str,
    plain_template: str,
    names: dict[str, str],
    definitions: dict[str, str],
    spans_key: str,
    ents_policy: str,
    scorer: Callable | None,
) -> "InstructNER":
    """Build the component.

    model (Model): Documents with instructions to tag scores.
    types (list[str]): What to find in a document that is asked for nothing of its own
        (`spacy_bioner.instruction.set_types`). Empty: what training finds annotated.
    template (str): The instruction for a document whose task is set; {type} and
        {corpus} are filled in.
    plain_template (str): The instruction for any other; {type} is filled in.
    names (dict): What a type or a task is called in an instruction, where that is not
        its own name in lower case with spaces.
    definitions (dict): By type, a text that follows its instruction.
    spans_key (str): The span group for all spans, overlaps kept; its `attrs` hold
        "scores", parallel to the spans.
    ents_policy (str): What becomes of entities that are there already: "replace",
        "keep" (they win) or "prefer" (ours win); "none" leaves `doc.ents` alone.
    """
    return InstructNER(
        nlp.vocab,
        model,
        name,
        types=types,
        template=template,
        plain_template=plain_template,
        names=names,
        definitions=definitions,
        spans_key=spans_key,
        ents_policy=ents_policy,
        scorer=scorer,
    )


class InstructNER(Configured):
    """Read each document once for each type it is asked for."""

    def __init__(
        self,
        vocab: Vocab,
        model: Model[list[Question], list[Floats2d]],
        name: str = "instruct_ner",
        *,
        types: Iterable[str] = (),
        template: str = DEFAULTS["template"],
        plain_template: str = DEFAULTS["plain_template"],
        names: dict[str, str] | None = None,
        definitions: dict[str, str] | None = None,
        spans_key: str = DEFAULT_KEY,
        ents_policy: str = "replace",
        scorer: Callable | None = None,
    ) -> None:
        known = (*POLICIES, NO_ENTS)
        if ents_policy not in known:
            raise BionerError(Errors.B303.format(policy=ents_policy, known=known))
        self.vocab = vocab
        self.model = model
        self.name = name
        self.scorer = scorer
        self._touched = False
        given = {
            "types": list(dict.fromkeys(types)),
            "template": template,
            "plain_template": plain_template,
            "names": dict(names or {}),
            "definitions": dict(definitions or {}),
            "spans_key": spans_key,
            "ents_policy": ents_policy,
        }
        self.cfg: dict[str, Any] = make_cfg(given, temperature=1.0)
        self.wording  # noqa: B018 (raises for a template that cannot be filled in)

    # What it is asked for

    @property
    def types(self) -> list[str]:
        """What to find in a document that is asked for nothing of its own. Any name
        will do, at any time."""
        return self.cfg["types"]

    @types.setter
    def types(self, types: Iterable[str]) -> None:
        self.cfg["types"] = list(dict.fromkeys(types))

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.types)

    @property
    def label_data(self) -> list[str]:
        """What `initialize` needs to ask for the same types without the data."""
        return self.types

    @property
    def wording(self) -> Wording:
        """How types are asked for."""
        keys = ("template", "plain_template", "names", "definitions")
        return Wording(**{key: self.cfg[key] for key in keys})

    def add_label(self, label: str) -> int:
        """Ask for one more type. RETURNS (int): 1 if new."""
        if label in self.types:
            return 0
        self.types.append(label)
        return 1

    def types_of(self, doc: Doc) -> list[str]:
        """What a document is asked for: its own types, or the component's."""
        own = get_types(doc)
        return self.types if own is None else own

    # Prediction

    def predict(self, docs: Iterable[Doc]) -> Scores:
        """Tag scores of each document, by type; documents are not changed."""
        docs = list(docs)
        asked = self._ask(docs)
        if not any(len(doc) for (doc, _), _ in asked):
            empty = self.model.ops.alloc2f(0, 3)
            return [dict.fromkeys(self.types_of(doc), empty) for doc in docs]
        found = iter(self.model.predict([question for question, _ in asked]))
        return [{label: next(found) for label in self.types_of(doc)} for doc in docs]

    def _ask(self, docs: list[Doc]) -> list[tuple[Question, str]]:
        """Every document with every instruction for it, and the type meant."""
        wording = self.wording
        return [
            ((doc, wording.ask(doc, label)), label)
            for doc in docs
            for label in self.types_of(doc)
        ]

    def set_annotations(self, docs: Iterable[Doc], scores: Scores) -> None:
        """Write the span group and `doc.ents`."""
        docs = list(docs)
        for doc, spans in zip(docs, self._decode(docs, scores), strict=True):
            self._write_group(doc, spans)
            if self.cfg["ents_policy"] != NO_ENTS:
                keep = best_first([s[:2] for s in spans], [s[3] for s in spans])
                ents = [Span(doc, *spans[i][:3]) for i in keep]
                set_entities(doc, ents, self.cfg["ents_policy"])

    def _decode(self, docs: list[Doc], scores: Scores) -> list[list[ScoredSpan]]:
        """Each document's spans of all types, in text order."""
        words = [word_rows(doc) for doc in docs]
        breaks = list(map(find_breaks, docs, words))
        found: list[list[ScoredSpan]] = [[] for _ in scores]
        to_numpy = self.model.ops.to_numpy
        for label in dict.fromkeys(label for by_type in scores for label in by_type):
            rows = [i for i, x in enumerate(scores) if label in x and len(words[i]) > 0]
            logits: list[Any] = [
                of_words(to_numpy(scores[i][label]), words[i]) for i in rows
            ]
            spans = decode_spans(logits, [label], self.cfg["temperature"])
            for i, own in zip(rows, spans, strict=True):
                found[i].extend(on_tokens(cut_at(breaks[i], own), words[i]))
        return [sorted(s, key=lambda row: (row[0], -row[1], row[2])) for s in found]

    def _write_group(self, doc: Doc, spans: list[ScoredSpan]) -> None:
        doc.spans[self.cfg["spans_key"]] = SpanGroup(
            doc,
            name=self.cfg["spans_key"],
            spans=[Span(doc, *span[:3]) for span in spans],
            attrs={
                "ents": self.cfg["ents_policy"] != NO_ENTS,
                "scores": np.array([span[3] for span in spans], dtype="float32"),
            },
        )

    # Training

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """One step: the types that each predicted document is asked for."""
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "InstructNER.update")
        set_dropout_rate(self.model, drop)
        asked = self._ask([example.predicted for example in examples])
        if not any(len(doc) for (doc, _), _ in asked):
            return losses
        flat, backprop = self.model.begin_update([question for question, _ in asked])
        found = iter(flat)
        scores: Scores = [
            {label: next(found) for label in self.types_of(example.predicted)}
            for example in examples
        ]
        loss, gradients = self.get_loss(examples, scores)
        if gradients is not None:
            backprop([d for by_type in gradients for d in by_type.values()])
            self._touched = True
            losses[self.name] += loss
        if sgd is not None:
            self.finish_update(sgd)
        return losses

    def get_loss(self, examples: Iterable[Example], scores: Scores) -> Any:
        """Mean cross-entropy over the tags that are known.

        RETURNS (tuple): The loss, and its gradient by type for each document; what is
            not annotated has none. None if nothing is.
        """
        loss, supervised = 0.0, 0
        gradients: list[dict[str, Any]] = []
        ops = self.model.ops
        for example, by_type in zip(examples, scores, strict=True):
            gradients.append({})
            for label, logits in by_type.items():
                own: Any = ops.to_numpy(logits)  # (tokens, 3)
                cost, d, known = tag_loss(own, gold_tags(example, [label], GOLD_KEY))
                loss += cost
                supervised += known
                gradients[-1][label] = d
        if not supervised:
            return 0.0, None
        for by_label in gradients:
            for label, d in by_label.items():
                by_label[label] = ops.asarray2f(d / supervised)
        return loss / supervised, gradients

    def finish_update(self, sgd: Optimizer) -> None:
        """Step, unless nothing was learnt from: Adam would go on moving the weights
        by its momentum."""
        if self._touched:
            self.model.finish_update(sgd)
        self._touched = False

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: list[str] | None = None,
    ) -> None:
        """Load the backbone; find the types in the data if none are set.

        labels (list[str]): Types, as `spacy init labels` writes them; the data is not
            searched for them then.
        """
        validate_get_examples(get_examples, "InstructNER.initialize")
        if labels is not None:
            self.types = labels
        elif not self.types:
            self.types = self._find_types(get_examples)
        if not self.types:
            raise BionerError(Errors.BA16.format(name=self.name))
        sample = [example.x for example in islice(get_examples(), 1)]
        self.model.initialize(X=[question for question, _ in self._ask(sample)])

    def _find_types(self, get_examples) -> list[str]:
        golds = (gold_of(example.reference) for example in get_examples())
        found = (span.label_ for gold in golds for span in gold)
        return sorted(set(found))
