"""Architecture of `gerbera_ner`: a token encoder under routed heads."""

from __future__ import annotations

from collections.abc import Callable

from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model
from thinc.types import Floats2d

from ..layers.heads import RoutedHeads, Scores, add_head
from ..tags import n_tags
from ..task import get_task


@registry.architectures("spacy-bioner.MultiHeadTagger.v1")
def build_multi_head_tagger(
    tok2vec: Model[list[Doc], list[Floats2d]], hidden: int = 256, dropout: float = 0.1
) -> Model[list[Doc], Scores]:
    """A shared encoder and one tagging head a corpus (GERBERA, section 3.2).

    tok2vec (Model): Documents to token vectors: a listener to a shared transformer,
        or any spaCy `tok2vec`.
    hidden (int): Width of each head's hidden layer.
    dropout (float): On the heads' input and hidden layer, in training; replaced by
        `training.dropout` there, as everywhere in spaCy.
    RETURNS (Model): Documents to `{head: logits (tokens, tags)}`. A document goes to
        the head its task names; without a task, to every head of
        `model.attrs["run"]`.
    """
    heads = RoutedHeads(hidden, dropout)
    model: Model[list[Doc], Scores] = Model(
        "multi_head_tagger",
        forward,
        init=init,
        layers=[tok2vec, heads],
        refs={"tok2vec": tok2vec, "heads": heads},
        dims={"nO": None},
        attrs={"run": []},
    )
    return model


def set_heads(model: Model, labels: dict[str, list[str]]) -> None:
    """Give an initialised model a fresh head for each task that has none yet."""
    heads = model.get_ref("heads")
    for name, names in labels.items():
        if name not in heads.attrs["heads"]:
            add_head(heads, name, n_tags(names))


def init(model: Model, X=None, Y=None) -> None:
    tok2vec, heads = model.get_ref("tok2vec"), model.get_ref("heads")
    tok2vec.initialize(X=X)
    if heads.has_dim("nI") is None:
        full = [doc for doc in X or () if len(doc)][:1]  # an empty one has no width
        width = tok2vec.maybe_get_dim("nO") or tok2vec.predict(full)[0].shape[1]
        heads.set_dim("nI", width)


def routes_of(model: Model, docs: list[Doc]) -> list[list[str]]:
    """The heads each document goes to; none for a task that no head serves."""
    known = model.get_ref("heads").attrs["heads"]
    everything = [name for name in known if name in model.attrs["run"]]
    return [
        everything if (task := get_task(doc)) is None else [task] * (task in known)
        for doc in docs
    ]


def forward(model: Model, docs: list[Doc], is_train: bool) -> tuple[Scores, Callable]:
    if any(len(doc) for doc in docs):
        X, backprop_tok2vec = model.get_ref("tok2vec")(docs, is_train)
    else:  # a listener cannot pool nothing
        X, backprop_tok2vec = [model.ops.alloc2f(0, 0) for _ in docs], lambda dX: docs
    routes = routes_of(model, docs)
    Y, backprop_heads = model.get_ref("heads")((X, routes), is_train)

    def backprop(dY: Scores) -> list[Doc]:
        # Always, even for a batch no head saw: the last listener's call backward
        # is what carries every component's gradient into a shared transformer.
        return backprop_tok2vec(backprop_heads(dY))

    return Y, backprop
