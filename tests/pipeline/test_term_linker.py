"""`term_linker` on a small terminology of our own."""

from __future__ import annotations

import pickle

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span, SpanGroup
from spacy.training import Example

from spacy_bioner.errors import BionerError
from spacy_bioner.kb import Entry, KnowledgeBase
from spacy_bioner.links import candidates_of, links_of
from spacy_bioner.pipeline.term_linker import spell_out

ENTRIES = [
    Entry("T:1", "stone fever", "DISEASE", {"SF": "exact"}, ["MESH:D000001"]),
    Entry("T:2", "sand fever", "DISEASE", {"SF": "related"}, ["OMIM:2"]),
    Entry("T:3", "renal tumor", "DISEASE", {}, ["MESH:D000003", "OMIM:3"]),
    Entry("T:4", "rust", "METAL"),
    Entry("T:5", "iron fever", "METAL"),
]
TEXT = "Stone fevers, then tumours of the renal kind, rust and gravel."
ENTS = [(0, 2, "DISEASE"), (4, 8, "DISEASE"), (10, 11, "METAL"), (12, 13, "DISEASE")]


@pytest.fixture
def kb():
    return KnowledgeBase(ENTRIES)


def make_nlp(kb, **config):
    nlp = spacy.blank("en")
    linker = nlp.add_pipe("term_linker", config=config)
    if kb is not None:
        linker.set_kb(kb)
    return nlp


def annotate(nlp, text=TEXT, ents=ENTS):
    doc = nlp.make_doc(text)
    doc.ents = [Span(doc, *ent) for ent in ents]
    return doc


def ids(spans):
    return [span.kb_id_ for span in spans]


def test_candidates_stay_with_their_words_when_tokens_change(kb):
    nlp = make_nlp(kb)
    nlp.add_pipe("merge_entities")
    doc = nlp(annotate(nlp))
    assert [len(candidates_of(ent)) > 0 for ent in doc.ents] == [True] * 3 + [False]


def test_groups_stay_with_their_words_when_tokens_change(kb):
    nlp = make_nlp(kb, groups=["g"])
    doc = nlp.make_doc("severe stone fever and rust")
    spans = [Span(doc, 1, 3, "DISEASE"), Span(doc, 4, 5, "METAL")]
    doc.spans["g"] = SpanGroup(doc, name="g", spans=spans, attrs={"scores": [0.9, 0.8]})
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[1:3])
    group = nlp(doc).spans["g"]
    assert [s.text for s in group] == ["stone fever", "rust"]
    assert ids(group) == ["T:1", "T:4"] and group.attrs["scores"] == [0.9, 0.8]


def test_entities_get_identifiers_and_candidates(kb):
    nlp = make_nlp(kb)
    doc = nlp(annotate(nlp))
    assert ids(doc.ents) == ["T:1", "T:3", "T:4", ""]
    best, second = candidates_of(doc.ents[0])
    assert best == ("T:1", 1.0, "stone fever")
    assert second.id == "T:2" and 0 < second.score < 1
    assert candidates_of(doc.ents[3]) == []
    assert ids(doc.spans["links"]) == ids(doc.ents)


def test_what_entities_hold_besides_stays(kb):
    nlp = make_nlp(kb, threshold=0.0)
    doc = nlp.make_doc("rust fever")
    doc.ents = [
        Span(doc, 0, 1, "GENE", kb_id="mine", span_id="a"),
        Span(doc, 1, 2, "DISEASE", span_id="b"),
    ]
    doc = nlp(doc)
    assert ids(doc.ents) == ["mine", "T:2"]  # the shorter name
    assert [ent.ent_id_ for ent in doc.ents] == ["a", "b"]
    assert len(links_of(doc)) == 1


def test_groups_with_two_labels_on_the_same_words(kb):
    nlp = make_nlp(kb, ents=False, groups=["found", "absent"])
    doc = nlp.make_doc("iron fever")
    spans = [Span(doc, 0, 2, "METAL"), Span(doc, 0, 2, "DISEASE", span_id=7)]
    doc.spans["found"] = SpanGroup(doc, spans=spans, attrs={"scores": [0.9, 0.8]})
    doc = nlp(doc)
    group = doc.spans["found"]
    assert group[0].kb_id_ == "T:5" and group[1].kb_id_ != "T:5"
    assert group.attrs == {"scores": [0.9, 0.8]} and group[1].id == 7
    assert candidates_of(group[0])[0].id == "T:5"
    assert {one.id for one in candidates_of(group[1])} == {"T:1", "T:2"}
    assert "absent" not in doc.spans


def test_threshold_and_number_of_candidates(kb):
    nlp = make_nlp(kb, threshold=1.0, candidates=1)
    doc = nlp(annotate(nlp, "granite fever", [(0, 2, "DISEASE")]))
    (found,) = candidates_of(doc.ents[0])
    assert found.score < 1 and ids(doc.ents) == [""]
    nlp = make_nlp(kb, threshold=0.0)
    doc = nlp(annotate(nlp, "granite fever", [(0, 2, "DISEASE")]))
    assert ids(doc.ents) == [candidates_of(doc.ents[0])[0].id] != [""]


def test_labels_say_where_to_look(kb):
    nlp = make_nlp(kb, labels={"ORE": ["METAL", "DISEASE"], "SIGN": ["DISEASE"]})
    ents = [(0, 1, "ORE"), (1, 2, "METAL"), (2, 4, "SIGN")]
    doc = nlp(annotate(nlp, "rust rust sand fever", ents))
    assert ids(doc.ents) == ["T:4", "", "T:2"]
    assert nlp.get_pipe("term_linker").labels == ("ORE", "SIGN")
    with pytest.raises(BionerError, match="B910.*STONE"):
        make_nlp(kb, labels={"ORE": ["STONE"]})


def test_prefixes_say_which_identifier(kb):
    nlp = make_nlp(kb, prefixes=["OMIM", "MESH"])
    doc = nlp(annotate(nlp))
    assert ids(doc.ents) == ["MESH:D000001", "OMIM:3", "", ""]
    found = [one.id for one in candidates_of(doc.ents[1])]
    assert found[:2] == ["OMIM:3", "MESH:D000003"]
    with pytest.raises(BionerError, match="B909.*UMLS.*T"):
        make_nlp(kb, prefixes=["UMLS"])


def test_identifiers_that_are_there(kb):
    nlp = make_nlp(kb, overwrite=False)
    doc = nlp.make_doc("rust gravel rust")
    doc.ents = [Span(doc, 0, 1, "METAL", kb_id="mine"), Span(doc, 2, 3, "METAL")]
    assert ids(nlp(doc).ents) == ["mine", "T:4"]
    nlp = make_nlp(kb)
    doc.ents = [Span(doc, 0, 1, "METAL", kb_id="mine"), Span(doc, 1, 2, "METAL", "x")]
    assert ids(nlp(doc).ents) == ["T:4", ""]


@pytest.fixture
def abbreviations():
    """The extension of scispaCy's detector, as its serialisable form fills it."""
    had = Doc.has_extension("abbreviations")
    if not had:
        Doc.set_extension("abbreviations", default=[])
    yield
    if not had:
        Doc.remove_extension("abbreviations")


def as_abbreviation(short, long):
    return {
        "short_start": short[0],
        "short_end": short[1],
        "long_start": long[0],
        "long_end": long[1],
    }


@pytest.mark.parametrize("value", [None, {"SF": "x"}, ["x"], [{"short": 1}], 3])
def test_an_extension_of_that_name_may_be_anyones(kb, abbreviations, value):
    nlp = make_nlp(kb)
    doc = annotate(nlp)
    doc._.abbreviations = value
    assert ids(nlp(doc).ents) == ["T:1", "T:3", "T:4", ""]


def test_short_forms_are_looked_up_as_long_forms(kb, abbreviations):
    text, ents = "Sand fever (SF). Bad SF.", [(3, 4, "DISEASE"), (6, 8, "DISEASE")]
    for use, first in ((True, "T:2"), (False, "T:1")):
        nlp = make_nlp(kb, abbreviations=use)
        doc = annotate(nlp, text, ents)
        doc._.abbreviations = [as_abbreviation(s, (0, 2)) for s in ((3, 4), (7, 8))]
        doc = nlp(doc)
        assert doc.ents[0].kb_id_ == first
        assert candidates_of(doc.ents[1])[0].id == first


def test_spell_out_keeps_what_a_span_cuts():
    doc = spacy.blank("en")("the A B SF, of it")
    long_forms = {1: (3, "alpha beta"), 3: (4, "stone fever")}
    assert spell_out(doc[0:5], long_forms) == "the alpha beta stone fever,"
    assert spell_out(doc[0:2], long_forms) == "the A"
    assert spell_out(doc[2:4], long_forms) == "B stone fever"


def test_candidates_survive_bytes_docbin_and_processes(kb):
    nlp = make_nlp(kb)
    doc = nlp(annotate(nlp))
    links = links_of(doc)
    again = Doc(nlp.vocab).from_bytes(doc.to_bytes())
    (stored,) = DocBin().from_bytes(DocBin(docs=[doc]).to_bytes()).get_docs(nlp.vocab)
    docs = [annotate(nlp) for _ in range(3)]
    for other in (again, stored, *nlp.pipe(docs, batch_size=1, n_process=2)):
        assert links_of(other) == links
        assert ids(other.spans["links"]) == ids(doc.ents)


def test_the_knowledge_base_is_saved_with_the_pipeline(kb, tmp_path):
    nlp = make_nlp(kb, prefixes=["MESH"], threshold=0.9)
    wanted = ids(nlp(annotate(nlp)).ents)
    assert wanted == ["MESH:D000001", "MESH:D000003", "", ""]
    nlp.to_disk(tmp_path / "saved")
    kb.to_disk(tmp_path / "kb.jsonl.gz")
    fresh = spacy.blank("en")
    fresh.add_pipe("term_linker", source=nlp)
    config = {"prefixes": ["MESH"], "threshold": 0.9}
    initialized = make_nlp(None, **config)
    path = str(tmp_path / "kb.jsonl.gz")
    initialized.config["initialize"]["components"]["term_linker"] = {"kb": path}
    initialized.initialize()
    for other in (
        spacy.load(tmp_path / "saved"),
        make_nlp(None, **config).from_bytes(nlp.to_bytes()),
        pickle.loads(pickle.dumps(nlp)),
        fresh,
        initialized,
    ):
        assert ids(other(annotate(other)).ents) == wanted


def test_from_a_users_table(tmp_path):
    path = tmp_path / "own.tsv"
    path.write_text("id\tname\ttype\nX:1\tstone fever\tDISEASE\n")
    nlp = make_nlp(path)
    assert ids(nlp(annotate(nlp)).ents)[0] == "X:1"


def test_batches_and_empty_documents(kb):
    nlp = make_nlp(kb)
    docs = [annotate(nlp), nlp.make_doc(""), annotate(nlp), nlp.make_doc("no fever")]
    one = [links_of(nlp(annotate(nlp))), {}, links_of(nlp(annotate(nlp))), {}]
    assert [links_of(doc) for doc in nlp.pipe(docs, batch_size=3)] == one


def test_errors(kb):
    nlp = make_nlp(None)
    with pytest.raises(BionerError, match="B908"):
        nlp("Fever.")
    with pytest.raises(BionerError, match="B912.*links"):
        candidates_of(nlp.make_doc("Fever.")[0:1])
    for setting in ({"candidates": 0}, {"threshold": 1.5}, {"groups": ["links"]}):
        with pytest.raises(BionerError, match="B911"):
            make_nlp(None, **setting)


def test_a_failing_batch_reaches_the_error_handler(kb):
    nlp, failed = make_nlp(None), []
    nlp.set_error_handler(lambda name, pipe, docs, error: failed.extend(docs))
    assert list(nlp.pipe(["Fever."])) == [] and len(failed) == 1


def test_labels_that_match_no_type_are_told_once(kb):
    nlp = make_nlp(kb)
    with pytest.warns(UserWarning, match="B913.*SIGN.*DISEASE.*METAL") as told:
        for _ in range(2):
            nlp(annotate(nlp, "sand fever", [(0, 2, "SIGN")]))
    assert len(told) == 1


def test_pipe_analysis(kb):
    analysis = make_nlp(kb).analyze_pipes()
    assert analysis["problems"] == {"term_linker": ["doc.ents"]}
    assert "token.ent_kb_id" in analysis["summary"]["term_linker"]["assigns"]


def test_score(kb):
    nlp = make_nlp(kb)
    gold = annotate(nlp)
    wanted = ["T:1|T:9", "T:2", "-1", "T:8"]
    gold.ents = [
        Span(gold, *ent, kb_id=kb_id) for ent, kb_id in zip(ENTS, wanted, strict=True)
    ]
    example = Example(nlp(annotate(nlp)), gold)
    scores = nlp.get_pipe("term_linker").score([example])
    # right, wrong, an identifier where there is none, none where there is one
    assert scores["nel_micro_p"] == pytest.approx(1 / 3)
    assert scores["nel_micro_r"] == pytest.approx(1 / 3)
    assert set(scores["nel_f_per_type"]) == {"DISEASE", "METAL"}
    none = nlp.get_pipe("term_linker").score([Example(annotate(nlp), annotate(nlp))])
    assert none["nel_micro_f"] is None
