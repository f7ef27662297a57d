"""What every importer yields: raw text and mentions by character offsets."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Mention:
    """One annotated name: `text[start:end]`, `end` exclusive."""

    start: int
    end: int
    label: str
    kb_id: str = ""


@dataclass
class SourceDocument:
    """One document as its corpus distributes it.

    text (str): The raw text, characters untouched.
    mentions (list[Mention]): In the order of the source; may nest or cross.
    exact_text (bool): False when the source had only tokens and the spaces
        were guessed.
    sentence_starts (list[int]): Character offsets where the source says that
        sentences begin; empty when it says nothing.
    lost (list[tuple[str, str]]): (label, reason) of every annotation that a pair
        of offsets cannot express, such as a discontinuous one.
    """

    id: str
    text: str
    mentions: list[Mention] = field(default_factory=list)
    exact_text: bool = True
    sentence_starts: list[int] = field(default_factory=list)
    lost: list[tuple[str, str]] = field(default_factory=list)
