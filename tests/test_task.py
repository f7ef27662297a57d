"""The routing key travels with a document."""

import spacy
from spacy.tokens import Doc, DocBin

from spacy_bioner.task import get_task, set_task


def test_task_is_none_until_set():
    doc = spacy.blank("en")("one two")
    assert get_task(doc) is None
    set_task(doc, "ncbi")
    assert get_task(doc) == doc._.bioner_task == "ncbi"


def test_task_survives_copies_bytes_and_docbin():
    nlp = spacy.blank("en")
    doc = nlp("one two")
    set_task(doc, "ncbi")
    stored = DocBin(docs=[doc], store_user_data=True).to_bytes()
    copies = [
        doc.copy(),
        Doc(nlp.vocab).from_bytes(doc.to_bytes()),
        next(iter(DocBin().from_bytes(stored).get_docs(nlp.vocab))),
    ]
    assert [get_task(copy) for copy in copies] == ["ncbi"] * 3
