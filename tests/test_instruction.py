"""What a document is asked for, and in which words."""

import pytest
import spacy
from spacy.tokens import DocBin

from spacy_bioner.errors import BionerError
from spacy_bioner.instruction import Wording, get_types, set_types
from spacy_bioner.task import set_task

NLP = spacy.blank("en")


def test_types_travel_with_the_document():
    doc = NLP("Gout.")
    assert get_types(doc) is None
    set_types(doc, ("DISEASE", "GENE", "DISEASE"))
    assert get_types(doc) == ["DISEASE", "GENE"]
    assert get_types(doc.copy()) == ["DISEASE", "GENE"]
    data = DocBin(docs=[doc], store_user_data=True).to_bytes()
    (stored,) = DocBin().from_bytes(data).get_docs(NLP.vocab)
    assert get_types(stored) == ["DISEASE", "GENE"]
    set_types(doc, None)
    assert get_types(doc) is None


def test_with_and_without_the_corpus():
    doc = NLP("Gout.")
    wording = Wording()
    assert wording.ask(doc, "CELL_LINE") == (
        "If any cell line entity is mentioned in the input, extract it."
    )
    set_task(doc, "ncbi_disease")
    assert wording.ask(doc, "DISEASE") == (
        "If any disease entity is mentioned in the ncbi disease input, extract it."
    )


def test_names_and_definitions():
    wording = Wording(
        "Find {type} ({corpus}).",
        "Find {type}.",
        names={"GENE": "genes", "bc2gm": "BC2GM"},
        definitions={"GENE": "A gene is {what} it is."},
    )
    doc = NLP("BRCA1")
    assert wording.ask(doc, "GENE") == "Find genes. A gene is {what} it is."
    set_task(doc, "bc2gm")
    assert wording.ask(doc, "GENE") == "Find genes (BC2GM). A gene is {what} it is."


def test_a_template_may_end_in_a_line_break():
    assert Wording("{type}", "Find {type}:\n").ask(NLP("a"), "GENE") == "Find gene:\n"


@pytest.mark.parametrize(
    "templates",
    [("Find it.", "{type}"), ("{type}", "Find it."), ("{type}", "{type} {corpus}")]
    + [("{type", "{type}"), ("{type} {}", "{type}"), ("{type} {what}", "{type}")],
)
def test_templates_that_cannot_be_filled_in(templates):
    with pytest.raises(BionerError, match="BA01"):
        Wording(*templates)
