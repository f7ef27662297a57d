"""A small corpus in two languages, and a tiny model that can learn it by heart."""

from __future__ import annotations

from pathlib import Path

import spacy
import srsly
from spacy.tokens import DocBin, Span

from spacy_bioner.llm.finetune import Settings
from spacy_bioner.llm.symbolic import decode
from spacy_bioner.llm.tiny import make_tiny_causal

LABELS = ["DISEASE", "CHEMICAL"]
TAGGED = {
    "en": [
        (
            "Aspirin for gout.",
            "CHEMICAL: [Aspirin] for gout.\nDISEASE: Aspirin for [gout].",
        ),
        ("[Ca2+] in lung cancer", "DISEASE: \\[Ca2+\\] in [[lung] cancer]"),
        ("All is well.", "NONE"),
        ("No gout.\nNo aspirin.", "DISEASE: No [gout].\\nNo aspirin."),
    ],
    "zh": [
        ("肺癌用顺铂。", "DISEASE: [肺癌]用顺铂。\nCHEMICAL: 肺癌用[顺铂]。"),
        ("2型糖尿病肾病", "DISEASE: [[2型糖尿病]肾病]"),
    ],
}


def write_corpus(folder: Path) -> None:
    """en.spacy and zh.spacy, the mentions in doc.spans["gold"]."""
    for lang, pairs in TAGGED.items():
        nlp, docs = spacy.blank(lang), []
        for text, answer in pairs:
            doc = nlp(text)
            found, report = decode(answer, text, LABELS)
            assert not +report.dropped and not +report.repaired
            spans = [doc.char_span(*place) for place in found]
            doc.spans["gold"] = [Span(doc, s.start, s.end, s.label_) for s in spans]
            docs.append(doc)
        DocBin(docs=docs).to_disk(folder / f"{lang}.spacy")


def task(lang: str, **settings) -> dict:
    name = "spacy-bioner.SymbolicSpans.v1"
    return {"@llm_tasks": name, "labels": LABELS, "language": lang, **settings}


def config(folder: Path, **settings) -> dict:
    """Both corpora as sources; further settings for both tasks."""
    sources = {
        lang: {
            "path": str(folder / f"{lang}.spacy"),
            "lang": lang,
            "spans_key": "gold",
            "task": task(lang, **settings),
        }
        for lang in TAGGED
    }
    return {"data": {"sources": sources}}


def make_base(chats: Path, folder: Path, **settings) -> None:
    rows = list(srsly.read_jsonl(chats))
    texts = [f"{m['content']}\n" for row in rows for m in row["messages"]]
    make_tiny_causal(texts, folder, **settings)


def learn_by_heart(base: Path, **settings) -> Settings:
    """All weights, from random ones to every answer."""
    chosen = {
        "rank": 0,
        "epochs": 120,
        "batch": 6,
        "at_once": 6,
        "learn_rate": 1e-2,
        "dtype": "float32",
        "device": "cpu",
    }
    return Settings(str(base), **{**chosen, **settings})
