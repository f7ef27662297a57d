"""Any tokenizer, any pipeline, any place in it, either form of ours.

Whatever the combination: the host's own output is the same as before, and ours is whole
tokens, sorted and scored.
"""

import numpy as np
import pytest
import spacy
from spacy.scorer import PRFScore
from spacy.tokens import Doc, Span
from toy import entities

from spacy_bioner.confidence import score_of, scored
from spacy_bioner.corpora import SourceDocument, get_reader

from .conftest import ROOT, TOKENIZERS, insert, set_tokenizer, syntax

TEXT = (
    "A man with chronic kidney disease was treated with 5-FU-based drugs such as "
    "cisplatin and IL-2. No mutation of p53-/- mice was found (TNF-alpha+CD4)."
)
RULES = [
    {"label": "ORGAN", "pattern": "kidney"},
    {"label": "ACT", "pattern": "treated"},
]
FORMS = pytest.mark.parametrize("ours", ["compiled", "trainable"], indirect=True)
ORDERS = pytest.mark.parametrize("first", [True, False], ids=["first", "last"])


def make_host(request, name: str) -> spacy.Language:
    if name == "medspaCy":
        medspacy = pytest.importorskip(
            "medspacy", reason="needs medspaCy, on Python 3.12"
        )
        nlp = medspacy.load(medspacy_enable=["medspacy_pyrush", "medspacy_context"])
    elif name == "general":
        nlp = request.getfixturevalue("general")
    else:
        nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(RULES)
    return nlp


def check_ours(doc: Doc) -> None:
    """What holds of every document that our component has seen."""
    group = doc.spans["gerbera"]
    places = [(span.start, -span.end) for span in group]
    assert places == sorted(places)
    assert len(group.attrs["heads"]) == len(group)
    assert all(0 < score <= 1 for _, score in scored(group))
    for span in group:
        assert doc.char_span(span.start_char, span.end_char) is not None
    ents = [(ent.start, ent.end) for ent in doc.ents]
    assert ents == sorted(ents)
    ours = {(span.start, span.end, span.label_) for span in group}
    theirs = {rule["label"] for rule in RULES}
    for ent in doc.ents:  # whole entities only
        if ent.label_ in theirs:
            assert ent.text in {rule["pattern"] for rule in RULES}
        else:
            assert (ent.start, ent.end, ent.label_) in ours
            assert score_of(ent) is not None


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("host", ["blank", "general", "medspaCy"])
@ORDERS
@FORMS
def test_matrix(request, ours, first, host, tokenizer):
    nlp = make_host(request, host)
    set_tokenizer(nlp, tokenizer)
    (before,) = nlp.pipe([TEXT])
    insert(nlp, ours, first=first, policy="keep")
    (after,) = nlp.pipe([TEXT])
    assert [token.text for token in after] == [token.text for token in before]
    assert np.array_equal(syntax(after), syntax(before))
    check_ours(after)
    assert not any(nlp.analyze_pipes()["problems"].values())
    if not first:  # theirs stood there already, and win
        assert set(entities(before)) <= set(entities(after))
    if "transformer" not in ours.pipe_names:  # trained, and not on random weights
        assert ("cisplatin", "CHEMICAL") in entities(after)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_scores_hardly_depend_on_the_tokenizer(compiled, tokenizer):
    """Names that are tokens of both tokenizers are found by both, and as surely."""
    text = "Cisplatin caused renal failure in mice that lack CFTR."
    nlp = spacy.blank("en")
    set_tokenizer(nlp, tokenizer)
    insert(nlp, compiled)
    found, expected = nlp(text), compiled(text)
    assert entities(found) == entities(expected)
    theirs, ours = ([score_of(e) for e in doc.ents] for doc in (found, expected))
    assert theirs == pytest.approx(ours, abs=0.05)


@pytest.mark.parametrize("tokenizer", TOKENIZERS[1:])
def test_f_hardly_depends_on_the_tokenizer(compiled, tokenizer):
    """On the sample corpus; benchmarks/any_tokenizer.py says it of whole test sets."""
    sources = list(get_reader("pubtator")(ROOT / "assets/sample/drugs.pubtator"))
    nlp = spacy.blank("en")
    set_tokenizer(nlp, tokenizer)
    insert(nlp, compiled)
    found, expected = (exact_f(pipeline, sources) for pipeline in (nlp, compiled))
    assert found == pytest.approx(expected, abs=0.02) and found > 0.8


def exact_f(nlp: spacy.Language, sources: list[SourceDocument]) -> float:
    """By characters and type, of the types that the sources have."""
    score = PRFScore()
    docs = nlp.pipe(source.text for source in sources)
    for source, doc in zip(sources, docs, strict=True):
        gold = {(m.start, m.end, m.label.upper()) for m in source.mentions}
        places = {(e.start_char, e.end_char, e.label_) for e in doc.ents}
        score.score_set({p for p in places if p[2] in ("DISEASE", "CHEMICAL")}, gold)
    return score.fscore


def test_nothing_of_a_host_with_a_transformer_changes(tiny_encoder, compiled):
    """Its encoder, and its own entities where they win."""
    nlp = with_transformer(tiny_encoder)
    before = nlp(TEXT)
    insert(nlp, compiled, policy="keep")
    after = nlp(TEXT)
    states = [doc._.trf_data.model_output.last_hidden_state for doc in (before, after)]
    assert np.array_equal(*states)
    assert set(entities(before)) <= set(entities(after))
    check_order(after)


def test_our_trainable_form_goes_behind_another_transformer(tiny_encoder, trained):
    """Both listen to the transformer that ran last, so ours comes last."""
    nlp = with_transformer(tiny_encoder)
    before = nlp(TEXT)
    insert(nlp, trained, policy="keep")
    after = nlp(TEXT)
    assert before.ents and set(entities(before)) <= set(entities(after))
    words, spaces = zip(*((t.text, bool(t.whitespace_)) for t in after), strict=True)
    alone = trained(Doc(trained.vocab, words, spaces))
    for one, two in zip(alone.spans["gerbera"], after.spans["gerbera"], strict=True):
        assert (one.start, one.end, one.label_) == (two.start, two.end, two.label_)
    check_order(after)


def with_transformer(encoder) -> spacy.Language:
    """A host with a transformer and spaCy's `ner` on it, untrained but not silent."""
    nlp = spacy.blank("en")
    model = {"@architectures": "spacy-transformers.TransformerModel.v3"}
    model |= {"name": str(encoder), "tokenizer_config": {"model_max_length": 32}}
    spans = {"@span_getters": "spacy-transformers.strided_spans.v1"}
    model["get_spans"] = {**spans, "window": 6, "stride": 6}
    nlp.add_pipe("transformer", config={"model": model})
    listener = {"@architectures": "spacy-transformers.TransformerListener.v1"}
    listener |= {"grad_factor": 1.0, "pooling": {"@layers": "reduce_mean.v1"}}
    parser = {"@architectures": "spacy.TransitionBasedParser.v2", "state_type": "ner"}
    parser |= {"extra_state_tokens": False, "hidden_width": 16, "maxout_pieces": 2}
    parser |= {"use_upper": False, "tok2vec": listener}
    nlp.add_pipe("ner", config={"model": parser}).add_label("HOST")
    nlp.initialize()
    return nlp


def check_order(doc: Doc) -> None:
    places = [(span.start, -span.end) for span in doc.spans["gerbera"]]
    assert places == sorted(places) and places


def test_a_host_can_be_saved_with_ours_in_it(general, compiled, tmp_path):
    nlp = general
    insert(nlp, compiled, policy="prefer")
    nlp.to_disk(tmp_path)
    again = spacy.load(tmp_path)
    assert again.get_pipe("gerbera_ner").cfg["ents_policy"] == "prefer"
    one, two = nlp(TEXT), again(TEXT)
    assert entities(one) == entities(two) and one.ents
    assert [score_of(ent) for ent in one.ents] == [score_of(ent) for ent in two.ents]
    assert np.array_equal(syntax(one), syntax(two))


def test_vectors_of_the_host_do_not_matter(compiled):
    nlp = spacy.blank("en")
    nlp.vocab.set_vector("kidney", np.ones(8, dtype="float32"))
    with pytest.warns(UserWarning, match="W113"):
        insert(nlp, compiled)
    assert ("cisplatin", "CHEMICAL") in entities(nlp(TEXT))


@pytest.mark.parametrize("policy", ["replace", "keep", "prefer"])
@pytest.mark.parametrize("rules", ["entity_ruler", "span_ruler", "target_matcher"])
@ORDERS
def test_rules_and_ours(compiled, rules, first, policy):
    """`keep`, `prefer` and `replace` are about what stands there before ours."""
    nlp = spacy.blank("en")
    if rules == "target_matcher":
        reason = "needs medspaCy, on Python 3.12"
        pytest.importorskip("medspacy.target_matcher", reason=reason)
        from medspacy.target_matcher import TargetRule

        pipe = nlp.add_pipe("medspacy_target_matcher")
        pipe.add([TargetRule("kidney", "ORGAN"), TargetRule("treated", "ACT")])
    else:
        config = {"annotate_ents": True} if rules == "span_ruler" else {}
        nlp.add_pipe(rules, config=config).add_patterns(RULES)
    alone = entities(nlp(TEXT))
    assert sorted(alone) == [("kidney", "ORGAN"), ("treated", "ACT")]
    insert(nlp, compiled, first=first, policy=policy)
    doc = nlp(TEXT)
    found = entities(doc)
    organ = ("kidney", "ORGAN")
    diseased = any("kidney" in e.text for e in doc.ents if e.label_ == "DISEASE")
    assert diseased != (organ in found)
    check_ours(doc)
    if not first:
        assert (organ in found) == (policy == "keep")
        assert (("treated", "ACT") in found) == (policy != "replace")
    if first and rules == "target_matcher":  # it leaves out what overlaps
        assert diseased


def test_policies_set_by_hand_are_checked(compiled):
    nlp = spacy.blank("en")
    insert(nlp, compiled, policy="perhaps")
    with pytest.raises(ValueError, match="B303.*perhaps"):
        nlp(TEXT)


def test_odd_documents(compiled):
    nlp = spacy.blank("en")
    insert(nlp, compiled)
    texts = ["", " \n\t ", "p53", "x" * 600, "Renal failure and aspirin. " * 4000]
    for text, doc in zip(texts, nlp.pipe(texts), strict=True):
        assert doc.text == text
        assert all(isinstance(ent, Span) for ent in doc.ents)
    assert len(doc) == 20_000 and doc.ents[-1].end_char > len(text) - 20


def test_identifiers_of_the_host_s_entities_stay(compiled):
    nlp = spacy.blank("en")
    rule = {"label": "ORGAN", "pattern": "man", "id": "r1"}
    nlp.add_pipe("entity_ruler").add_patterns([rule])
    insert(nlp, compiled, policy="keep")
    (man,) = [ent for ent in nlp(TEXT).ents if ent.text == "man"]
    assert man.ent_id_ == "r1"
