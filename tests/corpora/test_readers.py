"""Every reader on text of our own writing: what it yields, and how it fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Span

from spacy_bioner.corpora import READERS, Mention, get_reader
from spacy_bioner.errors import BionerError

PUBTATOR = """101|t|Ataxia in mice
101|a|  Mice with ataxia fell.
101\t0\t6\tAtaxia\tDisease\tD001259
101\t27\t33\tataxia\tDisease\tD001259
101\tCID\tD001259\tD000001

102|t|No findings
102|a|
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf8"))
    return folder


def surfaces(document) -> list[tuple[str, str]]:
    return [(document.text[m.start : m.end], m.label) for m in document.mentions]


def test_pubtator_keeps_leading_spaces_and_skips_relations(tmp_path):
    folder = write(tmp_path, {"a.PubTator": PUBTATOR})
    first, second = READERS["pubtator"](folder)
    assert first.text == "Ataxia in mice\n  Mice with ataxia fell."
    assert first.mentions == [
        Mention(0, 6, "Disease", "D001259"),
        Mention(27, 33, "Disease", "D001259"),
    ]
    assert (second.id, second.text, second.mentions) == ("102", "No findings\n", [])


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        ("27\t33", "28\t34", 4, "reads 'taxia '"),
        ("27\t33", "27\t99", 4, "outside the text"),
        ("27\t33", "x\ty", 4, "no whole numbers"),
        ("102|a|", "103|a|", 8, "without its title"),
        ("101\t0\t6", "999\t0\t6", 3, "expected a line of document 101"),
        ("101|t|Ataxia in mice\n", "", 1, "abstract of 101"),
    ],
)
def test_pubtator_names_file_and_line(tmp_path, old, new, line, problem):
    folder = write(tmp_path, {"a.txt": PUBTATOR.replace(old, new)})
    with pytest.raises(BionerError, match=rf"a\.txt:{line}: .*{problem}"):
        list(READERS["pubtator"](folder))


def test_bc2gm_counts_characters_that_are_not_spaces(tmp_path):
    text = "S1 The p53 gene and (p21) here.\nS2 Nothing.\n"
    folder = write(tmp_path, {"x.in": text, "GENE.eval": "S1|3 9|p53 gene\n"})
    first, second = READERS["bc2gm"](folder)
    assert surfaces(first) == [("p53 gene", "GENE")]
    assert second.mentions == []
    write(tmp_path, {"ALTGENE.eval": "S1|14 16|p21\n"})
    first, _ = READERS["bc2gm"](folder, gold="ALTGENE.eval")
    assert surfaces(first) == [("p21", "GENE")]
    write(tmp_path, {"y.in": text})
    with pytest.raises(BionerError, match=r"several \.in files"):
        list(READERS["bc2gm"](folder))


@pytest.mark.parametrize("gold", ["S1|3 9|p54", "S9|3 9|p53 gene", "S1|3-9|p53 gene"])
def test_bc2gm_rejects_gold_that_does_not_fit(tmp_path, gold):
    folder = write(tmp_path, {"x.in": "S1 The p53 gene.\n", "GENE.eval": gold})
    with pytest.raises(BionerError, match="GENE.eval:1"):
        list(READERS["bc2gm"](folder))


def test_brat_counts_discontinuous_or_bounds_them(tmp_path):
    ann = "T1\tCell 0 6;13 18\tT-cell lines\nT2\tCell 7 18\tand B cells\nR1\tx T1 T2\n"
    folder = write(tmp_path, {"d.txt": "T-cell\r\nor B cells", "d.ann": ann})
    (tmp_path / "d.ann").write_text(ann.replace("7 18\tand B cells", "11 18\tB cells"))
    [document] = READERS["brat"](folder)
    assert surfaces(document) == [("B cells", "Cell")]
    assert document.lost == [("Cell", "discontinuous")]
    [document] = READERS["brat"](folder, discontinuous="bound")
    assert surfaces(document)[0] == ("T-cell\r\nor B cells", "Cell")
    with pytest.raises(BionerError, match="B104.*Lose"):
        list(READERS["brat"](folder, discontinuous="Lose"))


@pytest.mark.parametrize("places", ["4 8;9 16", "9 16;4 8", "4 8;8 9;9 16"])
def test_brat_mentions_that_a_line_break_cuts_are_whole(tmp_path, places):
    ann = f"T1\tDis {places}\tbone disease\n"
    folder = write(tmp_path, {"d.txt": "The bone\ndisease", "d.ann": ann})
    [document] = READERS["brat"](folder)
    assert surfaces(document) == [("bone\ndisease", "Dis")] and not document.lost


def test_brat_bounds_fragments_in_any_order(tmp_path):
    folder = write(
        tmp_path, {"d.txt": "T and B cells", "d.ann": "T1\tCell 8 13;0 1\tx"}
    )
    [document] = READERS["brat"](folder, discontinuous="bound")
    assert surfaces(document) == [("T and B cells", "Cell")]


def test_brat_errors(tmp_path):
    folder = write(tmp_path, {"d.txt": "B cells"})
    with pytest.raises(BionerError, match=r"no d\.ann"):
        list(READERS["brat"](folder))
    write(tmp_path, {"d.ann": "T1 Cell 0 7 B cells"})
    with pytest.raises(BionerError, match=r"d\.ann:1: expected"):
        list(READERS["brat"](folder))


def test_linnaeus(tmp_path):
    tags = "#species id\tdocument\tstart\tend\ttext\tcode\nncbi:1\tp1\t4\t7\trat\t\n"
    folder = write(tmp_path, {"tags.tsv": tags, "txt/p1.txt": "The rat.\n"})
    [document] = READERS["linnaeus"](folder)
    assert document.mentions == [Mention(4, 7, "SPECIES", "ncbi:1")]
    write(tmp_path, {"tags.tsv": tags.replace("p1", "p2")})
    with pytest.raises(BionerError, match=r"tags\.tsv:2: no document"):
        list(READERS["linnaeus"](folder))


def test_conll_documents_sentences_and_spaces(tmp_path):
    rows = [
        "-DOCSTART-\tO\n\nThe\tO\nT\tB-CELL\n(\tI-CELL\nx\tI-CELL\n)\tI-CELL\n.\tO\n",
        "He\tO\ndoes\tO\nn't\tO\n.\tO\n",
        "-DOCSTART-\tO\n\nIL\tI-DNA\n,\tO\nIL\tB-DNA\nIL\tB-DNA\n",
    ]
    folder = write(tmp_path, {"a.tsv": "\n".join(rows)})
    first, second = READERS["conll"](folder)
    assert first.text == "The T (x). He doesn't."
    assert first.sentence_starts == [0, 11]
    assert not first.exact_text
    assert surfaces(first) == [("T (x)", "CELL")]
    assert surfaces(second) == [("IL", "DNA")] * 3


def test_conll_documents_need_no_empty_line_between_them(tmp_path):
    text = "Rats\tO\n-DOCSTART-\tO\nMice\tB-X\n"
    one, two = READERS["conll"](write(tmp_path, {"a.tsv": text}))
    assert (one.text, two.text, surfaces(two)) == ("Rats", "Mice", [("Mice", "X")])


def test_conll_without_docstart_and_with_bioes(tmp_path):
    text = '"\tO\nA\tS-X\nB\tB-X\nC\tE-X\n"\tO\n\t\n\tO\nyes\tU-X\n'
    folder = write(tmp_path, {"a.conll": text})
    first, second = READERS["conll"](folder)
    assert first.text == '"A B C"'
    assert surfaces(first) == [("A", "X"), ("B C", "X")]
    assert surfaces(second) == [("yes", "X")]


@pytest.mark.parametrize("line", ["token", "token\tX-Y", "\tB-X"])
def test_conll_names_the_line(tmp_path, line):
    folder = write(tmp_path, {"a.tsv": f"a\tO\n{line}\n"})
    with pytest.raises(BionerError, match=r"a\.tsv:2: "):
        list(READERS["conll"](folder))


def test_bio_chars_keeps_an_ideographic_space(tmp_path):
    folder = write(tmp_path, {"a.txt": "头 B_sym\n痛 I_sym\n\u3000 O\n。 O\n"})
    [document] = READERS["bio-chars"](folder)
    assert document.text == "头痛\u3000。"
    assert surfaces(document) == [("头痛", "sym")]


CONLLU = """# newdoc id = d1
# global.Entity = GRP-etype-infstat
# sent_id = 1
1\tAnn\t_\t_\t_\t_\t0\troot\t_\tEntity=(1-person-new(2-time-new)
2-3\tisn't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
2\tis\t_\t_\t_\t_\t1\tx\t_\t_
3\tn't\t_\t_\t_\t_\t1\tx\t_\tEntity=1)
4\t.\t_\t_\t_\t_\t1\tx\t_\t_

# newpar
1\tHe\t_\t_\t_\t_\t0\troot\t_\tEntity=(3[1/2]-person-giv)
2\tleft\t_\t_\t_\t_\t0\troot\t_\tEntity=(3[2/2]-person-giv)
"""


def test_conllu_nested_entities_and_multiword_tokens(tmp_path):
    folder = write(tmp_path, {"a.conllu": CONLLU})
    [document] = READERS["conllu"](folder)
    assert (document.id, document.text) == ("d1", "Ann isn't.\nHe left")
    assert document.sentence_starts == [0, 11]
    assert surfaces(document) == [("Ann", "time"), ("Ann isn't", "person")]
    assert document.lost == [("person", "discontinuous")]


def test_conllu_declares_its_fields_once_a_file(tmp_path):
    first = CONLLU.replace("GRP-etype", "etype-GRP").replace("=(1-person", "=(person-1")
    first = first.replace("(2-time", "(time-2").replace("Entity=1)", "Entity=person-1)")
    first = first.partition("# newpar")[0]
    rest = "# newdoc\n1\tBob\t_\t_\t_\t_\t0\troot\t_\tEntity=(person-7)\n"
    one, two = READERS["conllu"](write(tmp_path, {"a.conllu": first + rest}))
    assert surfaces(one) == [("Ann", "time"), ("Ann isn't", "person")]
    assert (two.id, two.text, surfaces(two)) == ("a", "Bob", [("Bob", "person")])


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("Entity=1)", "Entity=9)", 1),
        ("Entity=1)", "_", 10),
        ("1\tHe", "x\tHe", 10),
        ("GRP-etype", "GRP", 1),
        ("(3[1/2]-person-giv)", "(3)", 10),
    ],
)
def test_conllu_names_the_sentence(tmp_path, old, new, line):
    folder = write(tmp_path, {"a.conllu": CONLLU.replace(old, new)})
    with pytest.raises(BionerError, match=rf"a\.conllu:{line}: "):
        list(READERS["conllu"](folder))


GENIA = """<Annotation><PubmedArticleSet><PMID>7</PMID>
<ArticleTitle><sentence id="S1">About <term sem="Other" id="T1"><term
sem="Protein_molecule" id="T2">NF</term> use</term></sentence></ArticleTitle>
<AbstractText><sentence id="S2"><term sem="(AND DNA_molecule DNA_molecule)" id="T3"
><term id="T4">a</term> and b</term> &lt; c.</sentence><event id="E1"><clue>no</clue>
</event><sentence id="S3">End.</sentence></AbstractText>
</PubmedArticleSet></Annotation>"""


def test_genia_nested_and_coordinated_terms(tmp_path):
    folder = write(tmp_path, {"7.xml": GENIA})
    [document] = READERS["genia"](folder)
    assert (document.id, document.text) == ("7", "About NF use\na and b < c. End.")
    assert document.sentence_starts == [0, 13, 26]
    assert surfaces(document) == [("NF", "Protein_molecule"), ("NF use", "Other")]
    assert document.lost == [("(AND DNA_molecule DNA_molecule)", "coordinated")]


def test_genia_errors(tmp_path):
    folder = write(tmp_path, {"7.xml": GENIA.replace("</term> use", " use")})
    with pytest.raises(BionerError, match=r"7\.xml:\d+: not XML"):
        list(READERS["genia"](folder))
    write(tmp_path, {"7.xml": "<Annotation/>"})
    with pytest.raises(BionerError, match="no PMID"):
        list(READERS["genia"](folder))


@pytest.mark.parametrize("stop", ["。", ""])
@pytest.mark.parametrize("end", [3, 4])
def test_cmeee_ends_exclusive_or_inclusive(tmp_path, end, stop):
    entity = {"start_idx": 2, "end_idx": end, "type": "dis", "entity": "头痛"}
    file = tmp_path / "a.json"
    text = json.dumps([{"text": f"患者头痛{stop}", "entities": [entity]}])
    file.write_text(text, "utf-8-sig")
    [document] = READERS["cmeee"](file)
    assert document.mentions == [Mention(2, 4, "dis")]


@pytest.mark.parametrize(
    "text",
    ["[{]", '{"text": ""}', "[{}]", '["x"]', '[{"text": 5}]', '[{"text": "\\ud83d"}]'],
)
def test_cmeee_errors(tmp_path, text):
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(BionerError, match=r"a\.json:"):
        list(READERS["cmeee"](file))


def test_jsonl(tmp_path):
    span = {"start": 0, "end": 3, "label": "SPECIES", "kb_id": 10116}
    lines = [{"id": "r", "text": "Rat\u2028liver", "spans": [span]}, {"text": "x"}]
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    first, second = READERS["jsonl"](write(tmp_path, {"a.jsonl": text}))
    assert first.mentions == [Mention(0, 3, "SPECIES", "10116")]
    assert (first.id, second.id) == ("r", "a.jsonl-2")


def test_jsonl_of_spacy_and_of_prodigy(tmp_path):
    doc = spacy.blank("en")("Rats ran")
    doc.ents = [Span(doc, 0, 1, "SPECIES")]
    doc.spans["sc"] = [Span(doc, 1, 2, "X")]
    span = {"start": 0, "end": 4, "label": "SPECIES", "kb_id": None}
    lines = [
        doc.to_json(),
        {"text": "Mice ran", "spans": [span], "answer": "accept", "id": None},
        {"text": "Rats ran", "spans": [span], "answer": "reject"},
        {"text": "Rats ran", "spans": [span], "answer": "ignore"},
        {"text": "Cats ran", "spans": None, "answer": "accept"},
    ]
    text = "\n".join(map(json.dumps, lines))
    documents = list(READERS["jsonl"](write(tmp_path, {"a.jsonl": text})))
    assert [d.text for d in documents] == ["Rats ran", "Mice ran", "Cats ran"]
    mention = Mention(0, 4, "SPECIES")
    assert [d.mentions for d in documents] == [[mention], [mention], []]
    assert documents[1].id == "a.jsonl-2"


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"spans": []}',
        '{"text": 3}',
        '{"text": "a", "spans": [{"start": 0}]}',
        '{"text": "a", "spans": [{"start": 0, "end": 9, "label": "X"}]}',
        '{"text": "a", "spans": [{"start": null, "end": 1, "label": "X"}]}',
        '{"text": "a", "spans": [7]}',
        '{"text": "a", "spans": [{"start": 0, "end": 1, "label": ""}]}',
        '{"text": "half of a pair: \\ud83d"}',
        '{"text": "a", "id": "\\ud83d"}',
        '{"text": "a", "spans": [{"start": 0, "end": 1, "label": null}]}',
        '{"text": "a", "spans": [{"start": 0, "end": 1, "label": "\\ud83d"}]}',
        '{"text": "a", "spans": [{"start": 0, "end": 0.9, "label": "X"}]}',
        '{"text": "a", "spans": [{"start": 0, "end": true, "label": "X"}]}',
        '{"text": "a", "spans": [{"start": 0, "end": 1, "label": "X", "kb_id": [1]}]}',
    ],
)
def test_jsonl_names_the_line(tmp_path, line):
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "fine"}\n' + line)
    with pytest.raises(BionerError, match=r"a\.jsonl:2: "):
        list(READERS["jsonl"](file))


BIOC = """<?xml version="1.0"?><collection><source/><date/><key/><document><id>5</id>
<passage><offset>0</offset><text>Ataxia.</text></passage>
<passage><offset>9</offset><text>Of rats</text>
<annotation id="1"><infon key="type">Species</infon>
<infon key="identifier">10116</infon>
<location offset="12" length="4"/><text>rats</text></annotation>
<annotation id="2"><infon key="type">Species</infon><location offset="9" length="2"/>
<location offset="12" length="4"/><text>Of rats</text></annotation>
</passage></document></collection>"""


def test_what_a_reader_needs_is_named(tmp_path, monkeypatch):
    folder = write(tmp_path, {"a.xml": BIOC, "a.conllu": CONLLU})
    for name, module in [("bioc", "bioc"), ("conllu", "conllu")]:
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(BionerError, match=rf"BA02.*{module}.*\[convert\]"):
            list(READERS[name](folder))


def test_conll_mentions_that_say_where_they_end(tmp_path):
    text = "a\tS-X\nb\tI-X\nc\tB-X\nd\tE-X\ne\tI-X\nf\tL-X\n"
    [document] = READERS["conll"](write(tmp_path, {"a.conll": text}))
    assert [s for s, _ in surfaces(document)] == ["a", "b", "c d", "e f"]


def test_bioc_sentences_are_taken_where_all_are_given(tmp_path):
    pytest.importorskip("bioc")
    old = "<text>Of rats</text>\n<annotation"
    new = "<sentence><offset>9</offset><text>Of rats</text></sentence><annotation"
    some = BIOC.replace(old, new)
    every = some.replace(
        "<text>Ataxia.</text>",
        "<sentence><offset>0</offset><text>Ataxia.</text></sentence>",
    )
    for text, starts in ((BIOC, []), (some, []), (every, [0, 9])):
        [document] = READERS["bioc"](write(tmp_path, {"a.xml": text}))
        assert document.text == "Ataxia.\n\nOf rats"
        assert document.sentence_starts == starts


def test_bioc_keeps_passage_offsets(tmp_path):
    pytest.importorskip("bioc")
    [document] = READERS["bioc"](write(tmp_path, {"a.xml": BIOC}))
    assert (document.id, document.text) == ("5", "Ataxia.\n\nOf rats")
    assert document.mentions == [Mention(12, 16, "Species", "10116")]
    assert document.lost == [("Species", "discontinuous")]
    other = BIOC.replace('key="type"', 'key="category"').replace("identifier", "id")
    other = other.replace('<location offset="9" length="2"/>', "")
    other = other.replace('<location offset="12" length="4"/><text>Of', "<text>Of")
    folder = write(tmp_path, {"a.xml": other})
    [document] = READERS["bioc"](folder, type_key="category", id_key="id")
    assert document.mentions == [Mention(12, 16, "Species", "10116")]
    assert document.lost == [("Species", "empty")]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("</collection>", ""),
        (">rats<", ">mice<"),
        ("<offset>9<", "<offset>3<"),
        ('key="type"', 'key="category"'),
    ],
)
def test_bioc_errors(tmp_path, old, new):
    pytest.importorskip("bioc")
    folder = write(tmp_path, {"a.xml": BIOC.replace(old, new)})
    with pytest.raises(BionerError, match=r"a\.xml:"):
        list(READERS["bioc"](folder))


def test_unreadable_input(tmp_path):
    with pytest.raises(BionerError, match="No reader for the format 'word'"):
        get_reader("word")
    with pytest.raises(BionerError, match="cannot be read"):
        list(READERS["pubtator"](tmp_path / "absent.txt"))
    with pytest.raises(BionerError, match="no file here ends in"):
        list(READERS["brat"](tmp_path))
    (tmp_path / "latin.txt").write_bytes(b"1|t|ok\n1|a|caf\xe9\n")
    with pytest.raises(BionerError, match="latin.txt:2: not UTF-8"):
        list(READERS["pubtator"](tmp_path))
