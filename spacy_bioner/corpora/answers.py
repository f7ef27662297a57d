"""A language model's answers in HTML, `a <span class="problem">cough</span>`, as
candidates on a corpus that is converted already: one file a document."""

from __future__ import annotations

import re
from collections import Counter
from difflib import SequenceMatcher
from html import unescape
from pathlib import Path
from typing import cast

from spacy.tokens import Doc, Span

from spacy_bioner.corpora.common import read_text
from spacy_bioner.corpora.document import Mention
from spacy_bioner.errors import BionerError, Errors

TAG = re.compile(r"<(?:span\b(?P<attributes>[^>]*)|/span\s*)>", re.IGNORECASE)
CLASS = re.compile(
    r"""\bclass\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'/]+))""", re.IGNORECASE
)
SUFFIX = ".html"
LOST = ("unknown label", "not in the text", "never closed")


def add_answers(
    doc: Doc, folder: Path, key: str, labels: dict[str, str]
) -> Counter[str]:
    """Write the answer for a document to its span group `key`.

    doc (Doc): Of `convert`, its id that of a source file: `12.bio-1` is answered by
        `12.bio-1.html` or, without it, by `12.html`. Without an answer the group stays
        empty.
    labels (dict): The answer's classes to labels; mentions of others are dropped.
    RETURNS (Counter): What became of the mentions: `kept`, and of these `widened` to
        whole tokens; those of LOST; `no answer`.
    Raises BionerError for a document without an id.
    """
    counts: Counter[str] = Counter()
    doc.spans[key] = []
    if not isinstance(identifier := doc.user_data.get("id"), str):
        raise BionerError(Errors.B111.format(text=doc.text[:40]))
    names = (identifier, identifier.split(".")[0])
    files = [file for name in names if (file := folder / (name + SUFFIX)).is_file()]
    if not files:
        counts["no answer"] += 1
        return counts
    answer, mentions, counts["never closed"] = parse_answer(read_text(files[0]))
    places = match_characters(answer, doc.text)
    found: dict[tuple[int, int, str], Span] = {}
    for mention in mentions:
        label = labels.get(mention.label)
        place = find_mention(answer, mention, places, doc.text)
        if label is None or place is None:
            counts["unknown label" if label is None else "not in the text"] += 1
            continue
        expanded = doc.char_span(*place, label=label, alignment_mode="expand")
        span = cast(Span, expanded)  # never None inside the text
        counts["kept"] += 1
        counts["widened"] += (span.start_char, span.end_char) != place
        found[span.start, span.end, label] = span
    doc.spans[key] = [found[place] for place in sorted(found)]
    return counts


def parse_answer(html: str) -> tuple[str, list[Mention], int]:
    """The text without its span tags, what stood between those that have a class, and
    how many of them nothing closes.

    Anything else that looks like a tag is text: clinical text has `<` in it. A closing
    tag too many is left out.
    """
    text, last = "", 0
    opened: list[tuple[int, str]] = []
    mentions = []
    for tag in TAG.finditer(html):
        text += unescape(html[last : tag.start()])
        last = tag.end()
        if (attributes := tag["attributes"]) is not None:
            found = CLASS.search(attributes)
            label = "".join(filter(None, found.groups())) if found else ""
            opened.append((len(text), unescape(label).strip()))
        elif opened:
            start, label = opened.pop()
            if label:
                mentions.append(Mention(start, len(text), label))
    text += unescape(html[last:])
    mentions.sort(key=lambda m: (m.start, -m.end))
    return text, mentions, sum(bool(label) for _, label in opened)


def match_characters(answer: str, text: str) -> dict[int, int]:
    """For each character of an answer that is in the text too, its place there; white
    space and case do not count."""
    ours, theirs = (
        [(i, c.lower()) for i, c in enumerate(s) if not c.isspace()]
        for s in (text, answer)
    )
    matcher = SequenceMatcher(
        None, [c for _, c in theirs], [c for _, c in ours], autojunk=False
    )
    return {
        theirs[block.a + i][0]: ours[block.b + i][0]
        for block in matcher.get_matching_blocks()
        for i in range(block.size)
    }


def find_mention(
    answer: str, mention: Mention, places: dict[int, int], text: str
) -> tuple[int, int] | None:
    """From its first to its last character in the text; None if one of them is not
    there. What the answer left out in between belongs to it, but no more than it has
    itself: the letters of an invented word are somewhere in most texts."""
    inside = range(mention.start, mention.end)
    found = [places.get(i) for i in inside if not answer[i].isspace()]
    known = [i for i in found if i is not None]
    if not found or len(known) < len(found):
        return None
    start, end = known[0], known[-1] + 1
    stretch = len("".join(text[start:end].split()))
    return (start, end) if stretch <= 2 * len(found) else None
