"""Terminologies: names, types and identifiers, and the names near a text."""

from spacy_bioner.kb.base import KnowledgeBase
from spacy_bioner.kb.entry import Entry
from spacy_bioner.kb.near import NearNames
from spacy_bioner.kb.search import NameIndex
from spacy_bioner.kb.terms import TermIndex

__all__ = ["Entry", "KnowledgeBase", "NameIndex", "NearNames", "TermIndex"]
