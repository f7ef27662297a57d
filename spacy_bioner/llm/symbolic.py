"""Symbolic tagging: spans written into the text with square brackets, and back.

One line a type, the whole text in it, mentions in brackets, a mention inside another
of its type in brackets inside brackets (after Lv et al., arXiv 2510.08902):

    DISEASE: [[lung] cancer] in a smoker
    ANATOMY: [lung] cancer in a smoker

Types without a mention have no line; a text without any is answered with NONE. In the
text, brackets, backslashes and line breaks are written `\\[`, `\\]`, `\\\\`, `\\n` and
`\\r`, so that any text and any spans come back as they were. What a language model
makes of it is aligned to the text word by word: what is certain is kept, and a report
counts what was repaired and what was dropped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..errors import BionerError, Errors
from .alignment import align, fold, runs_of, squeeze, words_of

Mention = tuple[int, int, str]  # first character, the one after the last, label

NOTHING = "NONE"
ESCAPES = {"\\": "\\\\", "[": "\\[", "]": "\\]", "\n": "\\n", "\r": "\\r"}
UNESCAPES = {written[1]: char for char, written in ESCAPES.items()}
OTHER_BRACKETS = (
    ("【", "】"),
    ("［", "］"),
    ("〔", "〕"),
)  # what Chinese answers have instead
OPENING = ("[", *(opening for opening, _ in OTHER_BRACKETS))
SYMBOL = re.compile(r"\\([\\\[\]nr])|(.)", re.DOTALL)
# `- **Type**: text`, `2. "TYPE"：text` and the like: what stands around the type.
COLON = re.compile("[:：]")
QUOTES = "*_`\"'"
BULLET = re.compile(rf"[\s>*#`_\-•·]*(?:\d+[.)、]\s*)?[\s{QUOTES}]*")
FENCE = re.compile(r"```\w*$")
NO_MENTION = {"none", "n/a", "[]", "无", "没有"}


@dataclass
class Report:
    """What became of an answer.

    answered (bool): Whether it said anything about any of the types.
    exact (int): Lines that copied the text as it is.
    repaired (Counter): Lines or brackets read in spite of "spacing", "wording" (the
        text was copied with changes), "type_name", "literal_brackets" (the text's own
        brackets, not escaped), "brackets" (another kind) or "doubled".
    dropped (Counter): "unknown_type" and "other_lines" (lines), "unbalanced" and
        "empty" (brackets), "not_in_text", "ambiguous" (more than one place fits) and
        "nested" (mentions), "cut" (lines that stop before the text does).
    """

    answered: bool = False
    exact: int = 0
    repaired: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)


class Symbol(NamedTuple):
    """One character of an answer's line, and whether a backslash stood before it."""

    char: str
    escaped: bool

    @property
    def bare(self) -> bool:
        """Whether this may be a bracket around a mention."""
        return self.char in "[]" and not self.escaped


# Writing


def escape(text: str) -> str:
    """The text on one line, as it stands in prompts and answers."""
    return "".join(ESCAPES.get(char, char) for char in text)


def encode(
    text: str,
    spans: Iterable[Mention],
    labels: Sequence[str] = (),
    nested: bool = True,
) -> str:
    """Write spans as tagged text.

    spans (Iterable): (start, end, label) in characters. Spans of one type that cross
        get a further line of that type.
    labels (Sequence[str]): The order of the lines; other labels follow, sorted.
    nested (bool): Write mentions inside others of their type; else `flatten` first.
    RETURNS (str): What `decode` reads back.
    """
    by_label: dict[str, set[tuple[int, int]]] = {label: set() for label in labels}
    for start, end, label in sorted(spans, key=lambda span: span[2]):
        if not 0 <= start < end <= len(text):
            raise BionerError(Errors.B702.format(start=start, end=end, size=len(text)))
        by_label.setdefault(label, set()).add((start, end))
    lines = []
    for label, places in by_label.items():
        check_label(label)
        for layer in _layers(places if nested else flatten(places)):
            lines.append(f"{label}: {_mark(text, layer)}")
    return "\n".join(lines) or NOTHING


def check_label(label: str) -> None:
    """Raises BionerError for a label that a line cannot begin with."""
    if not label or "\n" in label:
        raise BionerError(Errors.B701.format(label=label))


def flatten(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those that do not overlap: from the left, the longer first."""
    chosen: list[tuple[int, int]] = []
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not chosen or start >= chosen[-1][1]:
            chosen.append((start, end))
    return chosen


def _layers(spans: Iterable[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Share spans out so that none crosses another of its layer."""
    layers: list[list[tuple[int, int]]] = []
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        for layer in layers:
            if not any(a < start < b < end for a, b in layer):
                layer.append((start, end))
                break
        else:
            layers.append([(start, end)])
    return layers


def _mark(text: str, spans: Iterable[tuple[int, int]]) -> str:
    opens, closes = Counter[int](), Counter[int]()
    for start, end in spans:
        opens[start] += 1
        closes[end] += 1
    written = [ESCAPES.get(char, char) for char in text] + [""]
    return "".join(
        "]" * closes[i] + "[" * opens[i] + char for i, char in enumerate(written)
    )


# Reading


def decode(
    answer: str, text: str, labels: Sequence[str], nested: bool = True
) -> tuple[list[Mention], Report]:
    """Read tagged text back, whatever a language model did to it.

    text (str): What was to be tagged.
    labels (Sequence[str]): The types that were asked for; lines of others are dropped.
    nested (bool): Keep mentions inside others of their type.
    RETURNS (tuple): Spans (start, end, label) in text order, outer before inner, none
        empty or outside of the text; and the Report. Never raises for any answer.
    """
    report = Report()
    found: set[Mention] = set()
    # a model that repeats itself says nothing new
    for label, line in dict.fromkeys(_lines(answer, text, labels, report)):
        found.update((start, end, label) for start, end in _read(line, text, report))
    if not nested:
        flat = {
            (start, end, label)
            for label in labels
            for start, end in flatten(span[:2] for span in found if span[2] == label)
        }
        report.dropped["nested"] += len(found) - len(flat)
        found = flat
    return sorted(found, key=lambda s: (s[0], -s[1], s[2])), report


def _lines(
    answer: str, text: str, labels: Sequence[str], report: Report
) -> Iterator[tuple[str, str]]:
    """Each type's line: the label and the tagged text."""
    known = _by_name(labels)
    squeezed = squeeze(text)
    label, body = "", ""  # a line that the next ones may go on with
    for line in _without_thoughts(answer, text, labels).split("\n"):
        exact = _exact_line(line, text, labels)
        if exact:
            if body:
                yield label, body
            label, body = "", ""
            report.answered = True
            yield exact
            continue
        line = line.strip()
        if not line or FENCE.match(line):
            continue
        head, rest = _head(line, labels)
        name = (head if head in labels else known.get(_name(head), "")) if head else ""
        goes_on = label and _is_in(body + line, squeezed)
        if label and not body and not name:  # a type on a line of its own
            own = head and not _is_in(head, squeezed)  # a type that was not asked for
            goes_on = goes_on or (any(map(line.count, OPENING)) and not own)
        nothing = fold(line.strip(".。*` ")) in NO_MENTION
        if nothing and not (goes_on and body):  # unless the text itself says so
            report.answered = True
            label = label if body else ""
            continue
        if goes_on:
            body = f"{body}\n{line}" if body else line
            continue
        if body:
            yield label, body
        label, body = "", ""
        if not name:
            kind = "unknown_type" if head and "[" in rest else "other_lines"
            report.dropped[kind] += 1
            continue
        report.answered = True
        report.repaired["type_name"] += not line.startswith(f"{name}:")
        label, body = name, rest.strip()
        if not body.strip(QUOTES):  # `**Type:**`
            body = ""
        if fold(body.strip(".。*` ")) in NO_MENTION:
            label, body = "", ""
    if body:
        yield label, body


def _exact_line(line: str, text: str, labels: Sequence[str]) -> tuple[str, str] | None:
    """The label and the rest of a line that copies the text as it is.

    At most one label fits, whatever the labels look like: the text has one length.
    """
    for label in labels:
        if line.startswith(f"{label}: "):
            body = line[len(label) + 2 :]
            if "".join(s.char for s in _symbols(body) if not s.bare) == text:
                return label, body
    return None


def _is_in(line: str, squeezed: str) -> bool:
    """Whether a line is text as it is compared, its line breaks escaped or not."""
    plain = "".join(symbol.char for symbol in _symbols(line))
    return squeeze(line) in squeezed or squeeze(plain) in squeezed


def _head(line: str, labels: Sequence[str]) -> tuple[str, str]:
    """What a line has before the colon, without marks around it, and behind. A label
    may have a colon too; else it is the first."""
    for label in sorted(labels, key=len, reverse=True):
        if line.startswith((f"{label}:", f"{label}：")):
            return label, line[len(label) + 1 :]
    head, *rest = COLON.split(line, maxsplit=1)
    if not rest:
        return "", ""
    return BULLET.sub("", head, count=1).rstrip(QUOTES + " \t\u3000"), rest[0]


def _by_name(labels: Sequence[str]) -> dict[str, str]:
    """The label that each way of writing it means, where it means one only."""
    labels = list(dict.fromkeys(labels))
    names = Counter(_name(label) for label in labels)
    return {_name(label): label for label in labels if names[_name(label)] == 1}


def _name(label: str) -> str:
    return re.sub(r"[\s_-]+", " ", fold(label)).strip()


def _without_thoughts(answer: str, text: str, labels: Sequence[str]) -> str:
    """What follows the `<think>…</think>` of a reasoning model."""
    if any("think>" in given for given in (text, *labels)):
        return answer
    thoughts, closed, rest = answer.rpartition("</think>")
    return "" if not closed and rest.lstrip().startswith("<think>") else rest


def _symbols(line: str) -> list[Symbol]:
    return [
        Symbol(UNESCAPES[m[1]], True) if m[1] else Symbol(m[2], False)
        for m in SYMBOL.finditer(line)
    ]


def _read(line: str, text: str, report: Report) -> set[tuple[int, int]]:
    """The mentions of one type's line, as places in the text."""
    symbols = _symbols(line)
    copy, marks = _split(symbols, frozenset())
    if copy != text:
        symbols = _bared(_symbols(_square(line, text, report)), text)
        own = _own_brackets(symbols, text)
        report.repaired["literal_brackets"] += len(own)
        copy, marks = _split(symbols, own)
    spans = _pair(marks, report)
    if copy == text:
        report.exact += 1
        return spans
    same = squeeze(copy) == squeeze(text)
    report.repaired["spacing" if same else "wording"] += 1
    return align(spans, copy, text, report.dropped)


def _square(line: str, text: str, report: Report) -> str:
    """Square brackets for those of another kind, where there are more than the text
    has."""
    for opening, closing in OTHER_BRACKETS:
        if line.count(opening) > text.count(opening):
            report.repaired["brackets"] += line.count(opening)
            line = line.replace(opening, "[").replace(closing, "]")
    return line


def _bared(symbols: list[Symbol], text: str) -> list[Symbol]:
    """Without the backslashes before brackets, where some models have them before their
    marks: where they are more than the text's brackets, or where the copy is the text
    without them and with them is not."""
    escaped = [symbol for symbol in symbols if symbol.escaped and symbol.char in "[]"]
    bared = [s if s.char not in "[]" else Symbol(s.char, False) for s in symbols]
    if len(escaped) > sum(map(fold(text).count, "[]")):
        return bared
    if escaped and not _copies(symbols, text) and _copies(bared, text):
        return bared
    return symbols


def _copies(symbols: list[Symbol], text: str) -> bool:
    """Whether a line is the text, but for its marks and spaces."""
    copy, _ = _split(symbols, _own_brackets(symbols, text))
    return fold(copy).split() == fold(text).split()


def _own_brackets(symbols: list[Symbol], text: str) -> frozenset[int]:
    """Which bare brackets are the text's own, which the model forgot to escape.

    As many as agree with brackets of the text, and so does a word next to them, when
    all are aligned with it; of brackets that stand together the inner ones, as a mark
    goes around what it marks.
    """
    if not set("[]") & set(fold(text)):
        return frozenset()
    copy = "".join(symbol.char for symbol in symbols)
    ours, theirs = words_of(copy), words_of(text)
    runs = [run for run in runs_of(ours, theirs) if run[2] > 1]
    agree = {ours[a + i][0] for a, _, size in runs for i in range(size)}
    own: set[int] = set()
    for group in re.finditer(r"\[+|\]+", copy):
        places = range(group.start(), group.end())
        bare = [i for i in places if symbols[i].bare]
        count = len(agree.intersection(places)) - (len(places) - len(bare))
        if count > 0:
            own.update(bare[-count:] if group[0][0] == "[" else bare[:count])
    return frozenset(own)


def _split(
    symbols: list[Symbol], own: frozenset[int]
) -> tuple[str, list[tuple[int, str]]]:
    """The copied text, and the marks: the place in the copy each stands before."""
    copy: list[str] = []
    marks: list[tuple[int, str]] = []
    for i, symbol in enumerate(symbols):
        if symbol.bare and i not in own:
            marks.append((len(copy), symbol.char))
        else:
            copy.append(symbol.char)
    return "".join(copy), marks


def _pair(marks: Iterable[tuple[int, str]], report: Report) -> set[tuple[int, int]]:
    """Spans of the copy, each from a bracket to the one that closes it."""
    waiting: list[int] = []
    spans: list[tuple[int, int]] = []
    for place, mark in marks:
        if mark == "[":
            waiting.append(place)
        elif not waiting:
            report.dropped["unbalanced"] += 1
        else:
            spans.append((waiting.pop(), place))
    report.dropped["unbalanced"] += len(waiting)
    full = {(start, end) for start, end in spans if start < end}
    empty = sum(start == end for start, end in spans)
    report.dropped["empty"] += empty
    report.repaired["doubled"] += len(spans) - empty - len(full)
    return full
