"""The reader puts candidates on predicted documents."""

import spacy
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example

from spacy_bioner.training.candidates import add_candidates, create_candidate_corpus

KEY = "llm_candidates"


def write(nlp, path, candidates):
    doc = nlp.make_doc("No p53 gene was found in mice .")
    doc.spans["gold"] = [Span(doc, 1, 3, "GENE"), Span(doc, 6, 7, "SPECIES")]
    if candidates:
        doc.spans[KEY] = [Span(doc, 0, 2, "基因")]
    DocBin(docs=[doc]).to_disk(path)


def read(nlp, path, **settings):
    (eg,) = create_candidate_corpus({"mine": path}, **settings)(nlp)
    group = eg.predicted.spans.get(KEY, [])
    return [(s.start, s.end, s.label_) for s in group]


def test_candidates_are_copied_or_simulated(tmp_path):
    nlp, path = spacy.blank("en"), tmp_path / "a.spacy"
    write(nlp, path, candidates=True)
    assert read(nlp, path) == [(0, 2, "基因")]
    write(nlp, path, candidates=False)
    assert read(nlp, path, simulate=False) == []
    draws = [read(nlp, path, seed=seed) for seed in range(10)]
    assert draws == [read(nlp, path, seed=seed) for seed in range(10)]
    assert any(draws) and any(a != b for a, b in zip(draws, draws[1:], strict=False))
    assert {label for draw in draws for *_, label in draw} <= {"GENE", "SPECIES"}


def test_a_candidate_inside_a_token_gets_the_whole_token():
    vocab = spacy.blank("en").vocab
    reference = Doc(vocab, ["anti", "TNF", "acts"], [False, True, False])
    reference.spans[KEY] = [Span(reference, 1, 3, "GENE")]
    predicted = Doc(vocab, ["antiTNF", "acts"])
    add_candidates(Example(predicted, reference), KEY, "gold", False, 0)
    assert [(s.start, s.end) for s in predicted.spans[KEY]] == [(0, 2)]
