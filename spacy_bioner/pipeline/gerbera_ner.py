"""`gerbera_ner`: biomedical entities by several heads on one encoder.

After GERBERA (Yin et al., J Biomed Inform 2024, 104731): one encoder is shared by a
head for each biomedical corpus and a head for a general-domain corpus; trained
together first, then on the biomedical targets alone.
"""

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from spacy import util
from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Config, Model, Optimizer, set_dropout_rate

from ..errors import BionerError, Errors
from ..layers.agreement import Words
from ..layers.decoding import on_tokens
from ..layers.head_spans import HeadDecoder
from ..layers.heads import Scores, head_params
from ..layers.tag_loss import tag_loss
from ..models.tagger import set_heads
from ..spans import POLICIES, best_first, set_entities
from ..task import get_task, set_task
from ..training.gold import gold_tags
from .settings import Configured, make_cfg

DEFAULT_KEY = "gerbera"

default_config = """
[gerbera_ner]
factory = "gerbera_ner"
spans_key = "gerbera"
ents_policy = "replace"
default_head = "default"
general = []
owners = {}
consistent = true

[gerbera_ner.model]
@architectures = "spacy-bioner.MultiHeadTagger.v1"
hidden = 256
dropout = 0.1

[gerbera_ner.model.tok2vec]
@architectures = "spacy-transformers.TransformerListener.v1"
grad_factor = 1.0
upstream = "*"

[gerbera_ner.model.tok2vec.pooling]
@layers = "reduce_mean.v1"

[gerbera_ner.scorer]
@scorers = "spacy-bioner.heads_scorer.v1"
"""
DEFAULTS = Config().from_str(default_config)["gerbera_ner"]


@Language.factory(
    "gerbera_ner",
    assigns=["doc.ents", "doc.spans", "token.ent_iob", "token.ent_type"],
    default_config={k: v for k, v in DEFAULTS.items() if k != "factory"},
    default_score_weights={
        "heads_f": 1.0,
        "ents_f": 0.0,
        "ents_p": 0.0,
        "ents_r": 0.0,
        "ents_per_type": None,
        "heads_per_task": None,
    },
)
def make_gerbera_ner(
    nlp: Language,
    name: str,
    model: Model[list[Doc], Scores],
    spans_key: str,
    ents_policy: str,
    default_head: str,
    general: list[str],
    owners: dict[str, str],
    consistent: bool,
    scorer: Callable | None,
) -> "GerberaNER":
    """Build the component.

    model (Model): Documents to tag scores by head.
    spans_key (str): The span group for every head's spans, overlaps kept; its
        `attrs` hold "scores" and "heads", parallel to the spans. `confidence.score_of`
        gives an entity's score.
    ents_policy (str): What becomes of entities that are there already: "replace",
        "keep" (they win) or "prefer" (ours win).
    default_head (str): The head of training documents that name no task.
    general (list[str]): General-domain heads: they train the encoder and are not run
        on documents without a task.
    owners (dict): Which head each label of `doc.ents` comes from; "a+b" averages
        heads, and stands as the head of what they find together. Labels not named
        are left out. Empty: all, by the first head that has each.
    consistent (bool): Within a document the same words are the same entity, or none,
        as their probabilities are on average (see `layers.agreement`).
    """
    return GerberaNER(
        nlp.vocab,
        model,
        name,
        spans_key=spans_key,
        ents_policy=ents_policy,
        default_head=default_head,
        general=general,
        owners=owners,
        consistent=consistent,
        scorer=scorer,
    )


class GerberaNER(Configured):
    """Tag each document with the head of its task, or with every head."""

    def __init__(
        self,
        vocab: Vocab,
        model: Model[list[Doc], Scores],
        name: str = "gerbera_ner",
        *,
        spans_key: str = DEFAULT_KEY,
        ents_policy: str = "replace",
        default_head: str = "default",
        general: Iterable[str] = (),
        owners: dict[str, str] | None = None,
        consistent: bool = True,
        scorer: Callable | None = None,
    ) -> None:
        if ents_policy not in POLICIES:
            raise BionerError(Errors.B303.format(policy=ents_policy, known=POLICIES))
        self.vocab = vocab
        self.model = model
        self.name = name
        self.scorer = scorer
        self._touched: set[str] = set()
        self._warned: set[str] = set()
        given = {
            "spans_key": spans_key,
            "ents_policy": ents_policy,
            "default_head": default_head,
            "general": list(general),
            "owners": dict(owners or {}),
            "consistent": consistent,
        }
        self.cfg: dict[str, Any] = make_cfg(given, heads={}, temperatures={})

    # What it knows

    @property
    def heads(self) -> dict[str, list[str]]:
        """The labels of each head."""
        return self.cfg["heads"]

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that this component can give a span."""
        own = (v for k, v in self.heads.items() if k not in self.cfg["general"])
        return tuple(sorted({label for labels in own for label in labels}))

    @property
    def label_data(self) -> dict[str, list[str]]:
        """What `initialize` needs to build the same heads without the data."""
        return self.heads

    @property
    def owners(self) -> dict[str, list[str]]:
        """The heads whose opinion decides each label of `doc.ents`."""
        if self.cfg["owners"]:
            return {k: v.split("+") for k, v in self.cfg["owners"].items()}
        found: dict[str, list[str]] = {}
        for head, labels in self.heads.items():
            if head not in self.cfg["general"]:
                for label in labels:
                    found.setdefault(label, [head])
        return found

    def add_label(self, label: str, head: str | None = None) -> int:
        """Add a label to a head that is not yet built. RETURNS (int): 1 if new.

        Raises BionerError once the heads are built, by `initialize`.
        """
        head = head or self.cfg["default_head"]
        if label in self.heads.get(head, ()):
            return 0
        if self._trainable_heads().attrs["heads"]:
            raise BionerError(Errors.B305.format(name=self.name, label=label))
        self.heads.setdefault(head, []).append(label)
        return 1

    def _trainable_heads(self) -> Model:
        """Raises BionerError in a compiled pipeline."""
        if not self.model.has_ref("heads"):
            raise BionerError(Errors.B501)
        return self.model.get_ref("heads")

    def _task_of(self, example: Example) -> str:
        """Predicted first: that is where readers and users route a document."""
        return (
            get_task(example.predicted)
            or get_task(example.reference)
            or self.cfg["default_head"]
        )

    # Prediction

    def predict(self, docs: Iterable[Doc]) -> Scores:
        """Tag scores of each document, by head; documents are not changed."""
        docs = list(docs)
        if not docs or not self.heads:
            return [{} for _ in docs]
        return self.model.predict(docs)

    def set_annotations(self, docs: Iterable[Doc], scores: Scores) -> None:
        """Write `doc.ents` and the span group."""
        docs = list(docs)
        to_numpy = self.model.ops.to_numpy
        logits: Any = [{k: to_numpy(v) for k, v in x.items()} for x in scores]
        words = [Words(doc) for doc in docs]
        temperatures = {head: self.temperature(head) for head in self.heads}
        consistent = self.cfg["consistent"]
        decoder = HeadDecoder(self.heads, self.owners, temperatures, consistent)
        by_head, owned = decoder.decode(logits, words, list(map(get_task, docs)))
        for doc, own, found, chosen in zip(docs, words, by_head, owned, strict=True):
            found = {head: on_tokens(spans, own.rows) for head, spans in found.items()}
            chosen = on_tokens(chosen, own.rows)
            self._write_group(doc, found)
            if self._is_foreign(doc):
                continue
            keep = best_first([s[:2] for s in chosen], [s[3] for s in chosen])
            ents = [Span(doc, *chosen[i][:3]) for i in keep]
            set_entities(doc, ents, self.cfg["ents_policy"])

    def _is_foreign(self, doc: Doc) -> bool:
        """Whether a document names a task that no head here is for. Its entities are
        left as they are: another component's, or those of a converted corpus."""
        task = get_task(doc)
        if task is None or task in self.heads:
            return False
        if task not in self._warned:
            self._warned.add(task)
            text = Errors.B307.format(name=self.name, task=task, heads=list(self.heads))
            warnings.warn(text, stacklevel=2)
        return True

    def temperature(self, head: str) -> float:
        """What divides a head's logits to make its probabilities honest."""
        return self.cfg["temperatures"].get(head, 1.0)

    def _write_group(self, doc: Doc, found: dict[str, list]) -> None:
        """Of heads that found the same, the label's owner stands first: that is the
        one score that `score_of` gives."""
        owner = {label: "+".join(heads) for label, heads in self.owners.items()}
        rows = [(*span, head) for head, spans in found.items() for span in spans]
        rows.sort(key=lambda r: (r[0], -r[1], r[2], r[4] != owner.get(r[2]), r[4]))
        doc.spans[self.cfg["spans_key"]] = SpanGroup(
            doc,
            name=self.cfg["spans_key"],
            spans=[Span(doc, row[0], row[1], row[2]) for row in rows],
            attrs={
                "ents": True,
                "scores": np.array([row[3] for row in rows], dtype="float32"),
                "heads": [row[4] for row in rows],
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
        """One step; each example reaches the head of its own task only.

        Never returns before the call backward: under a shared transformer that
        call carries the gradient of the whole batch.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "GerberaNER.update")
        if not any(len(example.predicted) for example in examples):
            return losses
        set_dropout_rate(self.model, drop)
        docs = [example.predicted for example in examples]
        tasks = [get_task(doc) for doc in docs]
        self._warn_of_no_task(examples)
        for example in examples:  # or it would run through every head, for nothing
            set_task(example.predicted, self._task_of(example))
        scores, backprop = self.model.begin_update(docs)
        for doc, task in zip(docs, tasks, strict=True):
            set_task(doc, task)
        loss, d_scores = self.get_loss(examples, scores)
        backprop(d_scores)
        self._touched.update(head for by_head in d_scores for head in by_head)
        losses[self.name] += loss
        if sgd is not None:
            self.finish_update(sgd)
        return losses

    def _warn_of_no_task(self, examples: Iterable[Example]) -> None:
        """Once, where documents name no task and no head is for such."""
        head = self.cfg["default_head"]
        lost = head not in self.heads and any(map(_names_no_task, examples))
        if lost and head not in self._warned:
            self._warned.add(head)
            heads = list(self.heads)
            text = Errors.B308.format(name=self.name, head=head, heads=heads)
            warnings.warn(text, stacklevel=3)

    def get_loss(self, examples: Iterable[Example], scores: Scores):
        """Mean cross-entropy over the tokens whose tag is known.

        RETURNS (tuple): The loss, and its gradient by head for each document. What
            is not annotated has no gradient; a foreign document, or one without
            any annotation, has no entry.
        """
        loss, supervised = 0.0, 0
        gradients: list[dict[str, Any]] = []
        ops = self.model.ops
        for example, by_head in zip(examples, scores, strict=True):
            task = self._task_of(example)
            if task not in by_head:
                gradients.append({})
                continue
            gold = gold_tags(example, self.heads[task])
            cost, d, known = tag_loss(ops.to_numpy(by_head[task]), gold)
            loss += cost
            supervised += known
            gradients.append({task: d} if known else {})
        scale = 1.0 / max(supervised, 1)
        for gradient in gradients:
            for head, d in gradient.items():
                gradient[head] = ops.asarray2f(d * scale)
        return loss * scale, gradients

    def finish_update(self, sgd: Optimizer) -> None:
        """Step the encoder, and only the heads that saw an example: Adam would go on
        moving an absent head by its momentum."""
        heads = self._trainable_heads()
        for head in sorted(self._touched):
            for param in head_params(head):
                value, gradient = sgd(
                    (heads.id, param), heads.get_param(param), heads.get_grad(param)
                )
                heads.set_param(param, value)
                heads.set_grad(param, gradient * 0)
        self._touched.clear()
        self.model.get_ref("tok2vec").finish_update(sgd)

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: dict[str, list[str]] | None = None,
        warm_start: str | Path | None = None,
    ) -> None:
        """Find heads and labels in the data and build the model, its heads anew.

        labels (dict): Labels by head, as `spacy init labels` writes them; the data
            is not searched then.
        warm_start (str): A trained pipeline, by folder or installed name, whose
            heads are the starting point where task and labels are the same.
        """
        self._trainable_heads().attrs["heads"] = []
        validate_get_examples(get_examples, "GerberaNER.initialize")
        for head, names in (labels or self._find_labels(get_examples)).items():
            for label in names:
                if label not in self.heads.get(head, ()):
                    self.add_label(label, head)
        if not self.heads:
            raise BionerError(Errors.B301.format(name=self.name))
        self._check_owners()
        texts = (example.x for example in get_examples() if len(example.x))
        sample = list(islice(texts, 10))
        self.model.initialize(X=sample)
        set_heads(self.model, self.heads)
        self._set_run()
        if warm_start is not None:
            self._warm_start(warm_start)

    def _find_labels(self, get_examples) -> dict[str, list[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for example in get_examples():
            names = {ent.label_ for ent in example.reference.ents}
            if names:
                found[self._task_of(example)].update(names)
        return {head: sorted(found[head]) for head in sorted(found)}

    def _check_owners(self) -> None:
        known = {k: v for k, v in self.heads.items() if k not in self.cfg["general"]}
        for label, owner in self.cfg["owners"].items():
            for head in owner.split("+"):
                if label not in known.get(head, ()):
                    raise BionerError(
                        Errors.B302.format(
                            owner=owner, label=label, name=self.name, heads=known
                        )
                    )

    def _set_run(self) -> None:
        self.model.attrs["run"] = [
            head for head in self.heads if head not in self.cfg["general"]
        ]

    def _settings_changed(self, anew: Iterable[str]) -> None:
        self._check_owners()
        self._set_run()

    def _warm_start(self, path: str | Path) -> None:
        others = [pipe for _, pipe in util.load_model(path).components]
        heads, shared = self._trainable_heads(), []
        for other in (pipe for pipe in others if isinstance(pipe, GerberaNER)):
            for head, labels in other.heads.items():
                if self.heads.get(head) == labels:
                    shared.append(head)
                    for param in head_params(head):
                        value: Any = other._trainable_heads().get_param(param)
                        copied: Any = heads.ops.asarray(value).copy()
                        heads.set_param(param, copied)
        if not shared:
            found = [p.heads for p in others if isinstance(p, GerberaNER)]
            raise BionerError(
                Errors.B304.format(
                    path=path, name=self.name, found=found, wanted=self.heads
                )
            )


def _names_no_task(example: Example) -> bool:
    return get_task(example.predicted) is None and get_task(example.reference) is None
