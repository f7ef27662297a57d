"""`candidate_filter`: make spans that something else proposed trustworthy.

Candidates of any span group (a language model's, a dictionary's, another model's) are
kept, rejected or repaired: of a candidate and the spans whose borders are a few tokens
away, the best-scoring one stands for it, if it is likely enough.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Config, Model, Optimizer, set_dropout_rate

from ..confidence import place_of, put_on_tokens
from ..errors import BionerError, Errors
from ..layers.span_choice import (
    OVERLAPS,
    Judged,
    Rows,
    choose,
    rows_of,
    unique_variants,
)
from ..layers.span_loss import sigmoid
from ..layers.span_variants import variants
from ..models.span_matcher import Logits, Queries
from ..spans import POLICIES, best_first, set_entities
from ..training.filter_samples import draw_samples, filter_loss, read_text
from ..training.gold import find_gold
from ..training.negatives import Sample, SpanNegatives, Text
from ..words import is_word, visible
from .settings import Configured, make_cfg

ANY_TYPE = ""  # the label whose vector is zero: an entity of whatever type

default_config = """
[candidate_filter]
factory = "candidate_filter"
candidates_key = "llm_candidates"
gold_key = "gold"
spans_key = "filtered"
definitions = {}
repair = true
window = 2
threshold = 0.5
overlap = "flat"
ents_policy = null
contrastive_weight = 1.0
label_dropout = 0.1

[candidate_filter.negatives]
@misc = "spacy-bioner.SpanNegatives.v1"
boundary = 12
window = 2
nested = 3
wrong_type = 2
random = 12
generator = true

[candidate_filter.model]
@architectures = "spacy-bioner.SpanMatcher.v1"
hidden = 128
max_width = 16
label_rows = 8192
dropout = 0.1

[candidate_filter.model.tok2vec]
@architectures = "spacy-transformers.TransformerListener.v1"
grad_factor = 1.0
upstream = "*"

[candidate_filter.model.tok2vec.pooling]
@layers = "reduce_mean.v1"

[candidate_filter.scorer]
@scorers = "spacy-bioner.filter_scorer.v1"
"""
DEFAULTS = Config().from_str(default_config)["candidate_filter"]


@Language.factory(
    "candidate_filter",
    assigns=["doc.spans"],
    requires=["doc.spans"],
    default_config={k: v for k, v in DEFAULTS.items() if k != "factory"},
    default_score_weights={
        "spans_filtered_f": 1.0,
        "spans_filtered_p": 0.0,
        "spans_filtered_r": 0.0,
        "spans_filtered_relaxed_f": 0.0,
        "spans_filtered_per_type": None,
    },
)
def make_candidate_filter(
    nlp: Language,
    name: str,
    model: Model[Queries, Logits],
    negatives: SpanNegatives,
    candidates_key: str,
    gold_key: str,
    spans_key: str,
    definitions: dict[str, str],
    repair: bool,
    window: int,
    threshold: float,
    overlap: str,
    ents_policy: str | None,
    contrastive_weight: float,
    label_dropout: float,
    scorer: Callable | None,
) -> "CandidateFilter":
    """Build the component.

    model (Model): Gives the logits of spans for labels.
    negatives (SpanNegatives): Draws what it learns from besides gold spans.
    candidates_key (str): The span group that is filtered.
    gold_key (str): The span group of reference documents to learn from; of those that
        lack it, `doc.ents`.
    spans_key (str): The span group to write; `attrs["scores"]` holds each span's
        probability, `attrs["repaired"]` whether its borders are not a candidate's.
        With another than "filtered", name the scores in [training.score_weights] too.
    definitions (dict): What labels mean. A label is known by its name and these words;
        one that shares no word with a label trained on is judged as any entity.
    repair (bool): Whether borders may be moved; else candidates stay as they are.
    window (int): By how many tokens, at most, each border may be moved.
    threshold (float): The least probability of a span that is kept.
    overlap (str): Of spans that overlap the likelier stays: "flat"; of those that
        cross only: "nested"; "all" stay.
    ents_policy (str): Write `doc.ents` too: "replace", "keep" or "prefer", as in
        `gerbera_ner`; null does not. The span group then says so: `attrs["ents"]`.
    contrastive_weight (float): Of ranking each gold span above its own perturbations,
        beside the cross-entropy of all spans; 0 leaves it out.
    label_dropout (float): How often a document teaches what any entity looks like,
        whatever its label.
    """
    return CandidateFilter(
        nlp.vocab,
        model,
        name,
        negatives=negatives,
        candidates_key=candidates_key,
        gold_key=gold_key,
        spans_key=spans_key,
        definitions=definitions,
        repair=repair,
        window=window,
        threshold=threshold,
        overlap=overlap,
        ents_policy=ents_policy,
        contrastive_weight=contrastive_weight,
        label_dropout=label_dropout,
        scorer=scorer,
    )


class CandidateFilter(Configured):
    """Score candidates and their variants; keep, repair or reject."""

    def __init__(
        self,
        vocab: Vocab,
        model: Model[Queries, Logits],
        name: str = "candidate_filter",
        *,
        negatives: SpanNegatives,
        candidates_key: str,
        gold_key: str,
        spans_key: str,
        definitions: dict[str, str],
        repair: bool,
        window: int,
        threshold: float,
        overlap: str,
        ents_policy: str | None,
        contrastive_weight: float,
        label_dropout: float,
        scorer: Callable | None = None,
    ) -> None:
        _check("overlap", overlap, OVERLAPS)
        _check("ents_policy", ents_policy, (None, *POLICIES))
        self.vocab = vocab
        self.model: Any = model
        self.name = name
        self.negatives = negatives
        self.scorer = scorer
        self._touched = False
        given = {
            "candidates_key": candidates_key,
            "gold_key": gold_key,
            "spans_key": spans_key,
            "definitions": dict(definitions),
            "repair": repair,
            "window": window,
            "threshold": threshold,
            "overlap": overlap,
            "ents_policy": ents_policy,
            "contrastive_weight": contrastive_weight,
            "label_dropout": label_dropout,
        }
        self.cfg: dict[str, Any] = make_cfg(
            given, labels=[], temperature=1.0, offset=0.0
        )

    # What it knows

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels it was trained on; others get scores too."""
        return tuple(self.cfg["labels"])

    @property
    def label_data(self) -> list[str]:
        """As `initialize` takes it."""
        return self.cfg["labels"]

    def add_label(self, label: str) -> int:
        """Name a label to train on. RETURNS (int): 0 if it was there, else 1."""
        if label in self.cfg["labels"]:
            return 0
        self.cfg["labels"].append(label)
        return 1

    def label_text(self, label: str) -> str:
        """What a label is known by: its name and its definition."""
        return f"{label} {self.cfg['definitions'].get(label, '')}"

    def probabilities(self, logits: NDArray) -> NDArray:
        """As calibrated on dev."""
        return sigmoid(logits / self.cfg["temperature"] + self.cfg["offset"])

    # Prediction

    def predict(self, docs: Iterable[Doc]) -> list[Judged]:
        """The scores of every candidate's variants; documents are not changed."""
        docs = list(docs)
        groups = [self._candidates(doc) for doc in docs]
        # By name: what stands first in a batch must not stand first in every document.
        names = sorted({span.label_ for group in groups for span in group})
        labels = {name: i for i, name in enumerate(names)}
        found = [rows_of(group, labels) for group in groups]
        window = self.cfg["window"] if self.cfg["repair"] else 0
        looked = [
            variants(rows, window, is_word(doc))
            for rows, doc in zip(found, docs, strict=True)
        ]
        asked = [
            unique_variants(rows, *around)
            for rows, around in zip(found, looked, strict=True)
        ]
        scored = self._score(docs, [spans for spans, _ in asked], list(labels))
        judged = []
        for rows, (places, valid), (_, back), logits in zip(
            found, looked, asked, scored, strict=True
        ):
            table = np.full(valid.shape, -np.inf, dtype="float32")
            table[valid] = logits[back]
            judged.append(Judged(list(labels), rows, places, table))
        return judged

    def _candidates(self, doc: Doc) -> list[Span]:
        """Those in which something is seen, on the tokens as they are now."""
        key = self.cfg["candidates_key"]
        group = put_on_tokens(doc.spans[key]) if key in doc.spans else ()
        return [span for span in group if visible(span.text).strip()]

    def _score(
        self, docs: list[Doc], spans: list[Rows], labels: list[str]
    ) -> list[NDArray[np.float32]]:
        """The logit of each span; none for documents without tokens."""
        if not any(len(doc) for doc in docs):
            return [np.zeros(0, dtype="float32") for _ in docs]
        texts = [self.label_text(label) for label in labels]
        logits = self.model.predict((docs, spans, texts))
        return [self.model.ops.to_numpy(part) for part in logits]

    def set_annotations(self, docs: Iterable[Doc], judged: list[Judged]) -> None:
        """Write the span group and, if asked for, `doc.ents`."""
        key, policy = self.cfg["spans_key"], self.cfg["ents_policy"]
        for doc, found in zip(docs, judged, strict=True):
            rows, scores, repaired = choose(
                found, self.probabilities, self.cfg["threshold"], self.cfg["overlap"]
            )
            known = {place_of(span): span for span in self._candidates(doc)}
            places = [(i, j, found.labels[k]) for i, j, k in rows.tolist()]
            spans = [known.get(place) or Span(doc, *place) for place in places]
            attrs: dict[str, Any] = {"scores": scores, "repaired": repaired}
            if policy:
                attrs["ents"] = True
            doc.spans[key] = SpanGroup(doc, name=key, spans=spans, attrs=attrs)
            if policy:
                best = best_first([place[:2] for place in places], scores.tolist())
                set_entities(doc, [spans[i] for i in best], policy)

    # Training

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """One step. Never returns before the call backward, whatever is annotated:
        under a shared transformer that call carries every component's gradient."""
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "CandidateFilter.update")
        if not any(len(example.predicted) for example in examples):
            return losses
        set_dropout_rate(self.model, drop)
        samples, texts = self.draw(examples)
        docs = [example.predicted for example in examples]
        spans = [sample.spans for sample in samples]
        logits, backprop = self.model.begin_update((docs, spans, texts))
        loss, gradients = self.get_loss(samples, logits)
        backprop(gradients)
        self._touched |= any(len(rows) for rows in spans)
        losses[self.name] += loss
        if sgd is not None:
            self.finish_update(sgd)
        return losses

    def draw(self, examples: list[Example]) -> tuple[list[Sample], list[str]]:
        """What a batch teaches this time: the spans of each example, and the texts of
        their labels; see `draw_samples`."""
        texts = [*map(self.label_text, self.labels), ANY_TYPE]
        samples = draw_samples(
            map(self.read, examples),
            self.negatives,
            self.cfg["label_dropout"],
            len(texts) - 1,
        )
        return samples, texts

    def read(self, example: Example) -> Text | None:
        """What an example's reference says about its predicted tokens."""
        keys = self.cfg["gold_key"], self.cfg["candidates_key"]
        return read_text(example, self.labels, *keys)

    def get_loss(self, samples: list[Sample], logits: Any):
        """RETURNS (tuple): The loss, and its gradient for each document; see
        `filter_loss`."""
        ops = self.model.ops
        scores = [ops.to_numpy(x) for x in logits]
        loss, gradients = filter_loss(samples, scores, self.cfg["contrastive_weight"])
        return loss, [ops.asarray1f(gradient) for gradient in gradients]

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
        """Find the labels in the data and build the model.

        labels (list[str]): As `spacy init labels` writes them; the data is not
            searched for them then.
        """
        validate_get_examples(get_examples, "CandidateFilter.initialize")
        for label in self._find_labels(get_examples) if labels is None else labels:
            self.add_label(label)
        if not self.labels:
            message = Errors.B201.format(name=self.name, key=self.cfg["gold_key"])
            raise BionerError(message)
        sample = next((eg.x for eg in get_examples() if len(eg.x)), None)
        if sample is None:
            raise BionerError(Errors.B802.format(name=self.name))
        self.model.initialize(X=[sample])

    def _find_labels(self, get_examples) -> list[str]:
        found: dict[str, int] = {}
        for example in get_examples():
            find_gold(example, self.cfg["gold_key"], found, grow=True)
        return sorted(found)


def _check(setting: str, value: Any, known: tuple) -> None:
    if value not in known:
        message = Errors.B202.format(setting=setting, value=value, known=known)
        raise BionerError(message)
