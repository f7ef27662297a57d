"""A clinical note: entities with scores, abbreviations, negation, hyponyms.

python examples/clinical.py                             its own small tagger and parser
python examples/clinical.py --host en_core_web_sm       any English pipeline of yours
python examples/clinical.py --page note.html            and a displaCy page

Needs `pip install 'spacy-bioner[clinical]'`; where medspaCy can be imported (Python
3.12), its ConText says what is negated, the family's or past, else negspacy what is
negated. Where scispaCy cannot, abbreviations and hyponyms are left out.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.training.converters import conllu_to_docs

from spacy_bioner.confidence import score_of
from spacy_bioner.display import render

SAMPLE = Path(__file__).parent.parent / "assets/sample/notes.conllu"
NOTE = """\
The patient has rheumatoid arthritis (RA) and denies chest pain. There is no evidence
of pneumonia. RA improved with methotrexate. She takes painkillers such as ibuprofen
and naproxen. Her father had colon cancer. RA progressed in May, and fever was found.
"""
ASSERTIONS = ("is_negated", "is_family", "is_historical", "is_hypothetical", "negex")


def make_host() -> Language:
    """A tagger, parser and lemmatizer, taught a dozen sentences: for a demonstration
    without a download, not for use."""
    nlp = spacy.blank("en")
    nlp.add_pipe("morphologizer")
    nlp.add_pipe("parser", config={"min_action_freq": 1})
    nlp.add_pipe("trainable_lemmatizer", config={"min_tree_freq": 1})
    docs = conllu_to_docs(SAMPLE.read_text("utf8"), no_print=True)
    sentences = [sent.as_doc() for doc in docs for sent in doc.sents]
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in sentences]
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(30):
        nlp.update(examples, sgd=optimizer)
    nlp.add_pipe("sentencizer", first=True)
    return nlp


def add_ours_and_theirs(nlp: Language, model: str) -> None:
    """Everything behind the host's own components."""
    ours = nlp.add_pipe("ner", name="gerbera_ner", source=spacy.load(model))
    ours.cfg["ents_policy"] = "prefer"  # the host's own entities, but where ours are
    if find_spec("scispacy"):
        import scispacy.abbreviation
        import scispacy.hyponym_detector  # noqa: F401

        nlp.add_pipe("abbreviation_detector", config={"make_serializable": True})
        nlp.add_pipe("abbreviation_entities")
        nlp.add_pipe("hyponym_detector")
    if find_spec("medspacy"):
        import medspacy.context  # noqa: F401

        nlp.add_pipe("medspacy_context")
    else:
        import negspacy.negation  # noqa: F401

        nlp.add_pipe("negex")


def assertions(ent: Span) -> str:
    """What the host's components say of an entity: "negated", "family"…"""
    known = [name for name in ASSERTIONS if Span.has_extension(name)]
    said = [name.removeprefix("is_") for name in known if ent._.get(name)]
    return ", ".join("negated" if name == "negex" else name for name in said)


def show(doc: Doc) -> None:
    """One line an entity, then the hyponyms."""
    for ent in doc.ents:
        score = score_of(ent)
        shown = "" if score is None else f"{score:.2f}"
        text = " ".join(ent.text.split())
        print(f"{text:24} {ent.label_:10} {shown:5} {assertions(ent)}")
    if Doc.has_extension("hearst_patterns"):
        for _, general, special in doc._.hearst_patterns:
            print(f"{special} is a kind of {general}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="en_bioner_gerbera", help="ours")
    parser.add_argument("--host", help="an English pipeline with tagger and parser")
    parser.add_argument("--page", type=Path, help="write a displaCy page")
    args = parser.parse_args()
    nlp = spacy.load(args.host) if args.host else make_host()
    add_ours_and_theirs(nlp, args.model)
    doc = nlp(NOTE.replace("\n", " "))
    show(doc)
    if args.page:
        args.page.write_text(render(doc, note=assertions, page=True), "utf8")


if __name__ == "__main__":
    main()
