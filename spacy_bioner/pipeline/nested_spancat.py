"""`nested_spancat`: entities inside entities, by a score for every short span.

It keeps the contract of spaCy's `spancat` (span group, scores, scorer, settings), and
does not pool the tokens of each candidate: see `spacy_bioner.layers.span_table`.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.pipeline.spancat import SpanCategorizer, Suggester
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Config, Model, Optimizer, set_dropout_rate

from ..errors import BionerError, Errors
from ..layers.nesting import candidate_mask, decode_table
from ..layers.span_loss import span_loss
from ..models.span_scorer import Tables
from ..task import get_task
from .settings import Configured, make_cfg

DEFAULT_KEY = "sc"

default_config = """
[nested_spancat]
factory = "nested_spancat"
spans_key = "sc"
task = ""
in_sentences = false
suggester = null
threshold = 0.5
max_positive = null
negative_weight = 1.0
focus = 0.0
teacher_key = "teacher"
teacher_weight = 0.0

[nested_spancat.model]
@architectures = "spacy-bioner.SpanScorer.v1"
hidden = 128
max_width = 16
dropout = 0.1

[nested_spancat.model.tok2vec]
@architectures = "spacy-transformers.TransformerListener.v1"
grad_factor = 1.0
upstream = "*"

[nested_spancat.model.tok2vec.pooling]
@layers = "reduce_mean.v1"

[nested_spancat.scorer]
@scorers = "spacy-bioner.nested_scorer.v1"
"""
DEFAULTS = Config().from_str(default_config)["nested_spancat"]


@Language.factory(
    "nested_spancat",
    assigns=["doc.spans"],
    default_config={k: v for k, v in DEFAULTS.items() if k != "factory"},
    default_score_weights={
        "spans_sc_f": 1.0,
        "spans_sc_p": 0.0,
        "spans_sc_r": 0.0,
        "spans_sc_per_type": None,
    },
)
def make_nested_spancat(
    nlp: Language,
    name: str,
    model: Model[list[Doc], Tables],
    spans_key: str,
    task: str,
    in_sentences: bool,
    suggester: Suggester | None,
    threshold: float,
    max_positive: int | None,
    negative_weight: float,
    focus: float,
    teacher_key: str,
    teacher_weight: float,
    scorer: Callable | None,
) -> "NestedSpancat":
    """Build the component.

    model (Model): Documents to the logits of all spans up to its `max_width`.
    spans_key (str): The span group to learn from, in reference documents, and to
        write; its `attrs["scores"]` holds each span's probability. With another than
        "sc", name the scores in [training.score_weights] too.
    task (str): The task whose documents it learns from; empty: of every document
        with the span group.
    in_sentences (bool): Look for spans inside a sentence only, where the document
        has sentences. It must have them in training too, by an annotating component.
    suggester (Callable): spaCy's suggesters; only spans that it suggests are looked
        at. None: all spans up to `max_width`.
    threshold (float): The least probability of a span. Labels with a threshold of
        their own, in `cfg["thresholds"]`, do not use it.
    max_positive (int): At most so many labels on the same words; None: no limit.
    negative_weight, focus (float): Of the loss, see `span_loss`.
    teacher_key (str): The span group in which `spacy bioner teach` wrote what trained
        pipelines think of a text.
    teacher_weight (float): How much that counts beside gold, from 0 to 1. Above 0, a
        document without gold is learnt from by that alone.
    """
    return NestedSpancat(
        nlp.vocab,
        model,
        name,
        spans_key=spans_key,
        task=task,
        in_sentences=in_sentences,
        suggester=suggester,
        threshold=threshold,
        max_positive=max_positive,
        negative_weight=negative_weight,
        focus=focus,
        teacher_key=teacher_key,
        teacher_weight=teacher_weight,
        scorer=scorer,
    )


class NestedSpancat(Configured, SpanCategorizer):
    """Score every short span of a document; keep the likely ones that do not cross."""

    def __init__(
        self,
        vocab: Vocab,
        model: Model[list[Doc], Tables],
        name: str = "nested_spancat",
        *,
        spans_key: str = DEFAULT_KEY,
        task: str = "",
        in_sentences: bool = False,
        suggester: Suggester | None = None,
        threshold: float = 0.5,
        max_positive: int | None = None,
        negative_weight: float = 1.0,
        focus: float = 0.0,
        teacher_key: str = "teacher",
        teacher_weight: float = 0.0,
        scorer: Callable | None = None,
    ) -> None:
        self.vocab = vocab
        self.model: Any = model
        self.name = name
        self.suggester: Any = suggester
        self.scorer = scorer
        self.add_negative_label = False  # of the contract; ours is binary a label
        self._touched = False
        if not 0 <= teacher_weight <= 1:
            raise BionerError(Errors.B804.format(name=name, weight=teacher_weight))
        given = {
            "spans_key": spans_key,
            "task": task,
            "in_sentences": in_sentences,
            "threshold": threshold,
            "max_positive": max_positive,
            "negative_weight": negative_weight,
            "focus": focus,
            "teacher_key": teacher_key,
            "teacher_weight": teacher_weight,
        }
        self.cfg: dict[str, Any] = make_cfg(
            given, labels=[], thresholds={}, temperature=1.0
        )

    # What it knows

    @property
    def max_width(self) -> int:
        """The length in tokens of the longest span that can be found."""
        return self.model.get_ref("table").get_dim("nW")

    def _settings_changed(self, anew: Iterable[str]) -> None:
        if "threshold" in anew:  # it is for all labels, as nobody knew those of each
            self.cfg["thresholds"] = {}

    @property
    def thresholds(self) -> list[float]:
        """The least probability of a span, for each label."""
        own = self.cfg["thresholds"]
        return [own.get(label, self.cfg["threshold"]) for label in self.labels]

    def candidates(self, docs: Iterable[Doc]) -> list[np.ndarray]:
        """Which spans of each document are looked at.

        RETURNS (list): For each an array (tokens, max_width) of bool; `[i, w]` is the
            span of w + 1 tokens from i.
        """
        docs, width = list(docs), self.max_width
        masks = [candidate_mask(d, width, self.cfg["in_sentences"]) for d in docs]
        if self.suggester is None or not docs:
            return masks
        suggested = self.suggester(docs, ops=self.model.ops)
        rows = self.model.ops.to_numpy(suggested.dataXd).reshape(-1, 2)
        lengths = self.model.ops.to_numpy(suggested.lengths)
        for i, part in enumerate(np.split(rows, np.cumsum(lengths)[:-1])):
            start, last = part[:, 0], part[:, 1] - part[:, 0] - 1
            chosen = np.zeros_like(masks[i])
            chosen[start[last < width], last[last < width]] = True
            masks[i] &= chosen
        return masks

    def set_candidates(
        self, docs: Iterable[Doc], *, candidates_key: str = "candidates"
    ) -> None:
        """Write the spans that are looked at as a span group, to see what is not."""
        docs = list(docs)
        for doc, mask in zip(docs, self.candidates(docs), strict=True):
            places = np.argwhere(mask).tolist()
            doc.spans[candidates_key] = [Span(doc, i, i + w + 1) for i, w in places]

    # Prediction

    def predict(self, docs: Iterable[Doc]) -> Tables:
        """The logits of every span (tokens, max_width, labels) of each document;
        documents are not changed."""
        docs = list(docs)
        if not any(len(doc) for doc in docs):
            shape = 0, self.max_width, len(self.labels)
            return [self.model.ops.alloc3f(*shape) for _ in docs]
        return self.model.predict(docs)

    def set_annotations(self, docs: Iterable[Doc], tables: Tables) -> None:
        """Write the span group: nested spans stay, of crossing ones the likelier."""
        docs, key, labels = list(docs), self.key, self.labels
        masks = self.candidates(docs)
        for doc, table, mask in zip(docs, tables, masks, strict=True):
            spans, scores = decode_table(
                self.model.ops.to_numpy(table),
                mask,
                self.thresholds,
                self.cfg["temperature"],
                self.cfg["max_positive"],
            )
            doc.spans[key] = SpanGroup(
                doc,
                name=key,
                spans=[Span(doc, i, j, labels[k]) for i, j, k in spans.tolist()],
                attrs={"scores": scores},
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
        """One step. Never returns before the call backward, whatever is annotated:
        under a shared transformer that call carries every component's gradient."""
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "NestedSpancat.update")
        if not any(len(example.predicted) for example in examples):
            return losses
        set_dropout_rate(self.model, drop)
        docs = [example.predicted for example in examples]
        tables, backprop = self.model.begin_update(docs)
        loss, gradients = self.get_loss(examples, tables)
        backprop(gradients)
        self._touched |= any(self._lessons(example) for example in examples)
        losses[self.name] += loss
        if sgd is not None:
            self.finish_update(sgd)
        return losses

    def get_loss(self, examples: Iterable[Example], tables: Any):
        """Cross-entropy of all candidates a supervised token.

        RETURNS (tuple): The loss, and its gradient for each document: exactly zero
            for one of another task, or whose reference lacks the span groups.
        """
        examples, ops = list(examples), self.model.ops
        masks = self.candidates(example.predicted for example in examples)
        loss, supervised = 0.0, 0
        gradients = []
        for example, table, mask in zip(examples, tables, masks, strict=True):
            if not self._lessons(example):
                gradients.append(np.zeros(table.shape, dtype="float32"))
                continue
            target, known = self.target_table(example, mask)
            part, gradient = span_loss(
                ops.to_numpy(table),
                target,
                known,
                self.cfg["negative_weight"],
                self.cfg["focus"],
            )
            loss += part
            supervised += len(table)
            gradients.append(gradient)
        scale = 1.0 / max(supervised, 1)
        return loss * scale, [ops.asarray3f(d * scale) for d in gradients]

    def learns_from(self, example: Example) -> bool:
        """Whether an example is annotated for this component."""
        return self.key in example.reference.spans and not self._foreign(example)

    def _foreign(self, example: Example) -> bool:
        task = get_task(example.predicted) or get_task(example.reference)
        return bool(self.cfg["task"]) and task is not None and task != self.cfg["task"]

    def _lessons(self, example: Example) -> dict[str, float]:
        """The span groups that an example is learnt from, and how much each counts."""
        weight = self.cfg["teacher_weight"]
        weights = {self.key: 1.0 - weight, self.cfg["teacher_key"]: weight}
        there = {k: w for k, w in weights.items() if k in example.reference.spans and w}
        if self._foreign(example):
            return {}
        return {key: weight / sum(there.values()) for key, weight in there.items()}

    def target_table(self, example: Example, mask: np.ndarray):
        """What to aim at: gold, what a teacher thinks, or something between. Where only
        one of them knows, that one.

        RETURNS (tuple): How likely each span is an entity, and which are known, as in
            `gold_table`.
        """
        target = total = 0.0
        for key, weight in self._lessons(example).items():
            likely, known = self._read_table(example, mask, key)
            target, total = target + weight * likely, total + weight * known
        return target / np.where(total > 0, total, 1.0), total > 0

    def gold_table(self, example: Example, mask: np.ndarray):
        """The reference's spans as a table on the predicted tokens.

        mask (array): (tokens, max_width), the candidates.
        RETURNS (tuple): Which are gold and which are known, both
            (tokens, max_width, labels). Not known are what is no candidate, and the
            tokens around a gold span whose border falls inside one.
        """
        gold, known = self._read_table(example, mask, self.key)
        return gold > 0, known

    def _read_table(self, example: Example, mask: np.ndarray, key: str):
        """The same of any span group, by its scores where it has some."""
        numbers = {label: i for i, label in enumerate(self.labels)}
        known = np.repeat(mask[:, :, None], len(numbers), axis=2)
        likely = np.zeros(known.shape, dtype="float32")
        to_predicted, to_reference = example.alignment.y2x, example.alignment.x2y
        group = example.reference.spans[key]
        attrs = group.attrs if key == self.cfg["teacher_key"] else {}
        scores = attrs.get("scores")
        known[:, attrs.get("max_width", known.shape[1]) :] = False
        for label in numbers.keys() - set(attrs.get("labels", numbers)):
            known[:, :, numbers[label]] = False  # its teachers do not look for it
        for i, span in enumerate(group):
            touched = to_predicted[span.start : span.end]
            if span.label_ not in numbers or not len(touched):
                continue
            start, last = int(touched.min()), int(touched.max())
            if last - start >= mask.shape[1]:
                continue
            place = start, last - start, numbers[span.label_]
            back = to_reference[start : last + 1]
            if back.min() == span.start and back.max() == span.end - 1:
                likely[place] = 1.0 if scores is None else scores[i]
            else:
                known[place] = False
        return likely * known, known

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
        validate_get_examples(get_examples, "NestedSpancat.initialize")
        for label in self._find_labels(get_examples) if labels is None else labels:
            self.add_label(label)
        if not self.labels:
            raise BionerError(Errors.B801.format(name=self.name, key=self.key))
        key, weight = self.cfg["teacher_key"], self.cfg["teacher_weight"]
        if weight and not any(key in eg.reference.spans for eg in get_examples()):
            raise BionerError(
                Errors.B805.format(name=self.name, weight=weight, key=key)
            )
        sample = next((eg.x for eg in get_examples() if len(eg.x)), None)
        if sample is None:
            raise BionerError(Errors.B802.format(name=self.name))
        self.model.set_dim("nO", len(self.labels))
        self.model.initialize(X=[sample])

    def _find_labels(self, get_examples) -> list[str]:
        return sorted(
            {
                span.label_
                for example in get_examples()
                if self.learns_from(example)
                for span in example.reference.spans[self.key]
            }
        )
