"""Terminologies in each format, and names from a corpus."""

from __future__ import annotations

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import DocBin, Span

from spacy_bioner.errors import BionerError
from spacy_bioner.kb import corpus, obo, owl, tsv
from spacy_bioner.kb.entry import Entry, common_id


def test_obo(sources):
    fever, sand, stub, cell = obo.read(sources["toy.obo"])
    assert (fever.id, fever.name) == ("TOY:1", "stone fever")
    assert fever.synonyms == {
        'Fever "of stones"': "exact",
        "SF": "exact",  # the closest of its two scopes
        "stony heat": "related",
    }
    assert fever.xrefs == [
        "TOY:9",
        "OMIM:100001",
        "SNOMEDCT_US:42",
        "http://example.org/wiki/Category:Fever_%x",
    ]
    assert sand.obsolete and not fever.obsolete
    assert (stub.id, stub.name) == ("OTHER:1", "")
    assert cell.name == "grey cell"


def test_owl(sources):
    fever, sand, nameless, thing = owl.read(sources["toy.owl"])
    assert (fever.id, fever.name) == ("TOY:1", "stone fever")
    assert fever.synonyms == {'fever of "stones"': "exact", "fever": "broad"}
    assert fever.xrefs == ["MESH:D000001"]
    assert sand.obsolete and sand.id == "TOY:2"
    assert nameless.name == ""
    assert thing.id == "http://example.org/own#thing"  # and no property


def test_tsv(sources):
    fever, rust, nameless = tsv.read(sources["toy.tsv"])
    assert fever == Entry(
        "TOY:1", 'stone "hot" fever',
        synonyms={"SF": "exact", "stony heat": "exact"},
        xrefs=["MESH:D000001", "OMIM:100001"],
    )  # fmt: skip
    assert rust == Entry("MESH:D000002", "rust", "METAL")
    assert nameless == Entry("", "nameless id")


def test_tsv_with_its_header_in_a_comment(sources):
    [fever] = tsv.read(sources["ctd.tsv"])
    assert (fever.id, fever.name) == ("MESH:D000001", "Stone Fever")
    assert list(fever.synonyms) == ["Heat, Stony", "SF"]
    assert fever.xrefs == ["OMIM:1", "DO:DOID:2"]


@pytest.mark.parametrize(
    ("table", "entry"),
    [
        ("id\tname\tlabel\nX:1\tgout\tDISEASE", Entry("X:1", "gout", "DISEASE")),
        (
            "id\tlabel\tpreferred name\ttype\nX:1\tgout\tgouty\tDIS",
            Entry("X:1", "gout", "DIS", {"gouty": "exact"}),
        ),
        (
            "id\tconcept id\tname\tsynonyms\taliases\txrefs\tAlt IDs\n"
            "X:1\t\tgout\tpodagra|old gout\ttophus\tMESH:D1\t",
            Entry(
                "X:1",
                "gout",
                synonyms=dict.fromkeys(["podagra", "old gout", "tophus"], "exact"),
                xrefs=["MESH:D1"],
            ),
        ),
        (
            '?cls\t?label\n<http://purl.obolibrary.org/obo/X_1>\t"a ""b"" cell"@en-GB',
            Entry("X:1", 'a "b" cell'),
        ),
        ('?cls\t?label\nX:1\t"7"^^<http://e.org/int>', Entry("X:1", "7")),
        ("id\tname\nX:1\t@en", Entry("X:1", "@en")),
        ("id\tname\tsynonyms\n-\tgout\t-", Entry("", "gout")),
        ("id\tname\nX:1|MIM:2\tgout", Entry("X:1", "gout", xrefs=["OMIM:2"])),
    ],
)
def test_columns_that_mean_the_same_lose_nothing(tmp_path, table, entry):
    path = tmp_path / "a.tsv"
    path.write_text(table)
    assert list(tsv.read(path)) == [entry]


def test_obo_without_or_with_more_white_space(tmp_path):
    text = """[Term]
! editor: me
id:X:1
name:  gout
synonym:  "podagra" EXACT []

[Term]
id: X:2
name: sand
is_obsolete:true
"""
    path = tmp_path / "a.obo"
    path.write_text(text)
    gout, sand = obo.read(path)
    assert gout == Entry("X:1", "gout", synonyms={"podagra": "exact"})
    assert sand.obsolete


def test_corpus(tmp_path):
    nlp = spacy.blank("en")
    doc = nlp("Stone fever, stone  fever and SF: stone fever; rust or sand fever")
    spans = [
        (0, 2, "D000001"), (3, 6, "D000001"), (7, 8, "D000001"), (9, 11, "D000001"),
        (12, 13, "D1|D2"), (14, 16, ""),
    ]  # fmt: skip
    doc.ents = [Span(doc, start, end, "DIS", kb_id=id_) for start, end, id_ in spans]
    # One that is in doc.ents, too, counts once.
    doc.spans["gold"] = [doc.ents[0], Span(doc, 15, 16, "SYMPTOM")]
    doc.spans["sc"] = [Span(doc, 14, 15, "MINERAL")]
    path = tmp_path / "train.spacy"
    attrs = ["ENT_IOB", "ENT_TYPE", "ENT_KB_ID"]
    DocBin(attrs=attrs, docs=[doc], store_user_data=True).to_disk(path)
    entries = {entry.name: entry for entry in corpus.read(path)}
    assert list(entries) == ["stone fever", "rust", "sand fever", "fever", "sand"]
    fever = entries["stone fever"]
    assert (fever.id, fever.label) == ("MESH:D000001", "DIS")
    assert fever.synonyms == {"SF": "mention", "Stone fever": "mention"}
    assert entries["rust"].id == entries["sand fever"].id == ""
    assert entries["fever"].label == "SYMPTOM"


@pytest.mark.parametrize(
    ("reader", "text", "message"),
    [
        (obo, "[Term]\nname: first\n", ":2: `name` before the `id`"),
        (obo, "[Term]\nid: A:1\nsynonym: bare EXACT []\n", ":3: expected `synonym:"),
        (owl, 'Ontology(\nA(x "open)\n)', ':2: a " without'),
        (owl, "Ontology(\n))", ":2: a ) without"),
        (owl, "Ontology(\nA(x)\n", "`Ontology(` is never closed"),
        (owl, "<?xml version='1.0'?>", "B902"),
        (tsv, "a\tb\n1\t2\n", "B903"),
        (tsv, "", "B903"),
        (tsv, "id\tname\n1\t2\t3\n", ":2: 3 fields, but the header has 2"),
        (corpus, "no DocBin", "B901"),
    ],
)
def test_malformed(tmp_path, reader, text, message):
    path = tmp_path / "bad"
    path.write_text(text)
    with pytest.raises(BionerError) as caught:
        list(reader.read(path))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("identifier", "common"),
    [
        ("D003110", "MESH:D003110"),
        ("C535434", "MESH:C535434"),
        ("C0006826", "C0006826"),  # a UMLS concept
        ("MeSH:D003110", "MESH:D003110"),
        ("UMLS_CUI:C0006826", "UMLS:C0006826"),
        ("DOID:4", "DOID:4"),
        ("<http://purl.obolibrary.org/obo/CL_0000540>", "CL:0000540"),
    ],
)
def test_identifiers_have_one_form(identifier, common):
    assert common_id(identifier) == common
    assert common_id(common) == common


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])))
def test_any_synonym_survives_obo(tmp_path_factory, text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    path = tmp_path_factory.mktemp("obo") / "a.obo"
    path.write_text(
        f'[Term]\nid: A:1\nname: a\nsynonym: "{escaped}" EXACT []\n', "utf8"
    )
    [entry] = obo.read(path)
    expected = " ".join(text.split())
    assert list(entry.synonyms) == ([expected] if expected not in ("", "a") else [])
