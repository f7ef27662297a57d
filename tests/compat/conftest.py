"""Other people's pipelines, and the two forms of ours to put into them.

Packages that are not installed are skipped by name: those of the `clinical` extra, and
medspaCy, which goes with spaCy 3.8 on Python 3.12 only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import spacy
from conftest import make_trained
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.training.converters import conllu_to_docs
from thinc.api import fix_random_seed
from toy import step

from spacy_bioner.tokenizer import make_tokenizer

ROOT = Path(__file__).parents[2]
NOTES = ROOT / "assets/sample/notes.conllu"
TOKENIZERS = ("shipped", "spaCy", "scispaCy", "medspaCy")
SYNTAX = ["TAG", "POS", "LEMMA", "HEAD", "DEP", "SENT_START"]


def find_package(name: str) -> Path:
    """The folder of a packaged pipeline."""
    for config in ROOT.glob(f"packages/{name}/{name}/*/config.cfg"):
        return config.parent
    pytest.skip(f"no packaged {name} in packages/")


@pytest.fixture(scope="session")
def packaged() -> Path:
    """The compiled pipeline of flat entities."""
    return find_package("en_bioner_gerbera")


@pytest.fixture(scope="session")
def nested() -> Path:
    """That of nested ones."""
    return find_package("en_bioner_nested")


@pytest.fixture(scope="session")
def compiled(packaged) -> Language:
    return spacy.load(packaged)


@pytest.fixture(scope="session")
def trained(tiny_encoder) -> Language:
    """Our own: who sources a component may rename and set it."""
    return make_trained(tiny_encoder)


@pytest.fixture
def ours(request) -> Language:
    """Indirect: "compiled" or "trainable"."""
    fixture = {"compiled": "compiled", "trainable": "trained"}[request.param]
    return request.getfixturevalue(fixture)


def set_tokenizer(nlp: Language, name: str) -> None:
    """Give a pipeline one of `TOKENIZERS`."""
    if name == "shipped":
        nlp.tokenizer = make_tokenizer(nlp.vocab)
    elif name == "scispaCy":
        tokenizers = pytest.importorskip(
            "scispacy.custom_tokenizer", reason="needs scispaCy"
        )
        nlp.tokenizer = tokenizers.combined_rule_tokenizer(nlp)
    elif name == "medspaCy":
        tokenizers = pytest.importorskip(
            "medspacy.custom_tokenizer", reason="needs medspaCy, on Python 3.12"
        )
        nlp.tokenizer = tokenizers.create_medspacy_tokenizer(nlp)


def insert(host: Language, source: Language, first: bool = False, policy="replace"):
    """Add our component as `gerbera_ner`, in trainable form with its encoder.

    RETURNS (Callable): The component, which the source pipeline now shares.
    """
    at = {"first": True} if first else {"last": True}
    if "transformer" in source.pipe_names:
        host.add_pipe("transformer", "bio_transformer", source=source, **at)
        at = {"after": "bio_transformer"}
    pipe = host.add_pipe("ner", name="gerbera_ner", source=source, **at)
    pipe.cfg["ents_policy"] = policy
    return pipe


LISTENER = {"@architectures": "spacy.Tok2VecListener.v1", "width": 64}
GENERAL = {
    "tagger": ("spacy.Tagger.v2", {}),
    "morphologizer": ("spacy.Tagger.v2", {}),
    "parser": ("spacy.TransitionBasedParser.v2", {"min_action_freq": 1}),
    "trainable_lemmatizer": ("spacy.Tagger.v2", {"min_tree_freq": 1}),
}
PARSER = {"state_type": "parser", "extra_state_tokens": False}
PARSER |= {"hidden_width": 32, "maxout_pieces": 2, "use_upper": True}


def make_general() -> Language:
    """Tagger, parser and lemmatizer on one small CNN, after a dozen sentences."""
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config={"model": {"width": 64, "depth": 2}})
    for name, (architecture, config) in GENERAL.items():
        model = {"@architectures": architecture, "tok2vec": LISTENER}
        model |= PARSER if name == "parser" else {}
        nlp.add_pipe(name, config={"model": model, **config})
    docs = conllu_to_docs(NOTES.read_text("utf8"), no_print=True)
    sentences = [sent.as_doc() for doc in docs for sent in doc.sents]
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in sentences]
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(25):
        for start in range(0, len(examples), 4):
            step(nlp, examples[start : start + 4], optimizer)
    nlp.add_pipe("sentencizer", first=True)  # the examples were single sentences
    return nlp


@pytest.fixture(scope="session")
def general_bytes() -> tuple:
    fix_random_seed(0)
    nlp = make_general()
    return nlp.config, nlp.to_bytes()


@pytest.fixture
def general(general_bytes) -> Language:
    """A general pipeline of one's own: tok2vec, tagger, parser, lemmatizer."""
    config, data = general_bytes
    return spacy.util.load_model_from_config(config).from_bytes(data)


def syntax(doc: Doc) -> np.ndarray:
    """All that a tagger, a parser and a lemmatizer write."""
    return doc.to_array(SYNTAX)
