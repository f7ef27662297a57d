"""A toy world: two corpora of the same sentences that annotate different things.

What is an entity for one task is O for the other, so only a model that sends each
document to its own head can learn both.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_bioner.layers.viterbi import best_path
from spacy_bioner.task import set_task

SENTENCES = [
    "Patients with [severe asthma|DISEASE] lack [IL2|GENE] .",
    "[BRCA1|GENE] is mutated in [breast cancer|DISEASE] and [ovarian cancer|DISEASE] .",
    "No [p53|GENE] was found in mice .",
    "[Asthma|DISEASE] and [psoriasis|DISEASE] respond to steroids .",
    "Mice without [TNF|GENE] or [IL2|GENE] were healthy .",
    "[Lung cancer|DISEASE]",
]
LABELS = {"diseases": ["DISEASE"], "genes": ["GENE"]}
MARK = re.compile(r"\[([^|\]]*)\|(\w+)\]")


def annotate(nlp: Language, marked: str, labels=None, task: str | None = None) -> Doc:
    """A document from `words [mention|LABEL] words`; only `labels` are annotated."""
    text, spans, last = "", [], 0
    for match in MARK.finditer(marked):
        text += marked[last : match.start()]
        spans.append((len(text), len(text) + len(match[1]), match[2]))
        text, last = text + match[1], match.end()
    doc = nlp.make_doc(text + marked[last:])
    wanted = [span for span in spans if labels is None or span[2] in labels]
    doc.set_ents([doc.char_span(*span[:2], label=span[2]) for span in wanted])
    set_task(doc, task)
    return doc


def example(nlp: Language, reference: Doc, task: str | None = None) -> Example:
    """The reference beside its raw text, which is routed to `task`."""
    predicted = nlp.make_doc(reference.text)
    set_task(predicted, task)
    return Example(predicted, reference)


def toy_examples(nlp: Language, sentences=SENTENCES) -> list[Example]:
    """Every sentence once for each of the two tasks."""
    return [
        example(nlp, annotate(nlp, sentence, labels, task), task)
        for sentence in sentences
        for task, labels in LABELS.items()
    ]


TOK2VEC = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "pretrained_vectors": None,
    "width": 24,
    "depth": 1,
    "embed_size": 300,
    "window_size": 1,
    "maxout_pieces": 2,
    "subword_features": True,
}
TAGGER = {"@architectures": "spacy-bioner.MultiHeadTagger.v1", "hidden": 24}


def cnn_pipeline(**settings) -> Language:
    """A blank pipeline with the component on spaCy's own small encoder."""
    nlp = spacy.blank("en")
    model = {**TAGGER, "tok2vec": TOK2VEC}
    nlp.add_pipe("gerbera_ner", name="ner", config={"model": model, **settings})
    return nlp


def transformer_pipeline(encoder: str | Path, **settings) -> Language:
    """A shared transformer with one listening component."""
    nlp = spacy.blank("en")
    model = {
        "@architectures": "spacy-bioner.TransformerModel.v1",
        "name": str(encoder),
        "window": 32,
        "overlap": 8,
        "mixed_precision": False,
        "transformer_config": {
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
    }
    nlp.add_pipe("transformer", config={"model": model})
    nlp.add_pipe(
        "gerbera_ner", name="ner", config={"model": {"hidden": 24}, **settings}
    )
    return nlp


def step(nlp: Language, examples, optimizer, drop: float = 0.0) -> dict[str, float]:
    """One step as `spacy train` takes it: all gradients first, then all updates."""
    losses: dict[str, float] = {}
    nlp.update(examples, sgd=False, drop=drop, losses=losses)
    for _, pipe in nlp.pipeline:
        pipe.finish_update(optimizer)
    return losses


def train(nlp: Language, examples, steps: int, rate: float = 0.01) -> list[float]:
    """Initialize and train. RETURNS (list[float]): The loss at each step."""
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = rate
    return [step(nlp, examples, optimizer)["ner"] for _ in range(steps)]


def tag_names(labels: list[str]) -> list[str]:
    """`["O", "B-X", "I-X", …]` in the order of the tag numbers."""
    return ["O", *(f"{bio}-{label}" for label in labels for bio in "BI")]


def best_paths(scores: list[np.ndarray]) -> list[np.ndarray]:
    """`best_path` of each sequence.  # (tokens, tags) to (tokens,) each"""
    if not sum(map(len, scores)):
        return [np.zeros(0, dtype="int64") for _ in scores]
    ends = np.cumsum([len(x) for x in scores])
    return np.split(best_path(np.concatenate(scores), ends), ends[:-1])


def entities(doc: Doc) -> list[tuple[str, str]]:
    """What was found, as (text, label)."""
    return [(ent.text, ent.label_) for ent in doc.ents]


def partly_annotated() -> tuple[Example, list[Span]]:
    """The second token is an entity, of the third nobody says anything; and spans found
    on both."""
    vocab = spacy.blank("en").vocab
    reference, predicted = (Doc(vocab, ["a", "b", "c"]) for _ in range(2))
    reference.set_ents([Span(reference, 1, 2, "A")], missing=[reference[2:3]])
    found = [Span(predicted, 1, 2, "A"), Span(predicted, 2, 3, "A")]
    return Example(predicted, reference), found
