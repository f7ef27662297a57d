"""A copy that a language model changed, put on the text word by word."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable
from difflib import SequenceMatcher
from functools import cache

from ..words import HIDDEN, visible

Word = tuple[int, int, str]  # first character, end (exclusive), as it is compared
Run = tuple[int, int, int]  # words that agree: first in the copy, in the text, how many

# A number, one character of Chinese or Japanese, other letters, or a sign.
HAN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LETTER = rf"(?:(?![{HAN}])[^\W\d_])"
WORD = re.compile(rf"\d+|[{HAN}]|{_LETTER}(?:[{HIDDEN}]*{_LETTER})*|[^\s{HIDDEN}]")
MOST_PAIRS = 50_000  # of equal words in copy and text, to compare each with each
LOOKALIKES = str.maketrans("‐‑‒–—−“”„‘’‚。【】〔〕", "------\"\"\"'''.[][]")


def align(
    spans: Iterable[tuple[int, int]], copy: str, text: str, dropped: Counter[str]
) -> set[tuple[int, int]]:
    """Where the mentions of a changed copy are in the text.

    A mention is placed if all its words agree with the text's, and if the stretch of
    agreeing words around it fits in one place only.

    dropped (Counter): What becomes of the others, and of a copy that stops before the
        text does, is counted here; see `symbolic.Report`.
    """
    ours, theirs = words_of(copy), words_of(text)
    runs = runs_of(ours, theirs)
    certain = _certain(runs, [word for _, _, word in theirs])
    dropped["cut"] += _is_cut(runs, ours, theirs)
    starts, ends = [word[0] for word in ours], [word[1] for word in ours]
    run_of = {run[0] + i: run for run in runs for i in range(run[2])}
    placed = set()
    for start, end in spans:
        first, last = bisect_right(ends, start), bisect_left(starts, end) - 1
        if first > last:
            dropped["empty"] += 1
            continue
        run = run_of.get(first)
        if run is None or run != run_of.get(last):
            dropped["not_in_text"] += 1
        elif run not in certain:
            dropped["ambiguous"] += 1
        else:
            shift = run[1] - run[0]
            left = theirs[first + shift][0] + max(start - ours[first][0], 0)
            right = theirs[last + shift][1] - max(ours[last][1] - end, 0)
            placed.add((left, right))
    return placed


def words_of(text: str) -> list[Word]:
    """Cut after folding, so that `Ca²⁺` is cut as `Ca2+` is."""
    found = WORD.finditer(fold(text))
    return [(m.start(), m.end(), visible(m[0])) for m in found]


def runs_of(ours: list[Word], theirs: list[Word]) -> list[Run]:
    """Stretches of words that agree, in order.

    A model that repeats itself without end is not followed for ever: what goes far
    beyond the text is left, and where words are few and frequent, the frequent ones
    only count beside others (`autojunk`).
    """
    b = [word for _, _, word in theirs]
    a = [word for _, _, word in ours[: 2 * len(b) + 50]]
    count = Counter(b)
    pairs = sum(count[word] for word in a)
    matcher = SequenceMatcher(None, a, b, autojunk=pairs > MOST_PAIRS)
    blocks = matcher.get_matching_blocks()
    return [(run.a, run.b, run.size) for run in blocks if run.size]


def _is_cut(runs: list[Run], ours: list[Word], theirs: list[Word]) -> bool:
    """Whether the copy ends while the text has words to come; signs do not count."""
    a, b, size = runs[-1] if runs else (0, 0, 0)
    rest = (word for _, _, word in theirs[b + size :])
    return a + size == len(ours) and any(word.isalnum() for word in rest)


def _certain(runs: list[Run], words: list[str]) -> set[Run]:
    """Runs that fit the text's words once, or once between those that do."""

    def fits(run: Run, start: int, end: int) -> bool:
        _, b, size = run
        wanted = words[b : b + size]
        places = range(start, end - size + 1)
        return sum(words[i : i + size] == wanted for i in places) == 1

    anchors = {run for run in runs if fits(run, 0, len(words))}
    certain = set()
    for run in runs:
        start = max((b + n for _, b, n in anchors if b < run[1]), default=0)
        end = min((b for _, b, _ in anchors if b > run[1]), default=len(words))
        if run in anchors or fits(run, start, end):
            certain.add(run)
    return certain


@cache
def _fold_char(char: str) -> str:
    folded = unicodedata.normalize("NFKC", char).lower()
    return folded if len(folded) == 1 else char


def fold(text: str) -> str:
    """The text as it is compared, of the same length: case, width and the kind of
    dash or quote do not count."""
    return "".join(map(_fold_char, text)).translate(LOOKALIKES)


def squeeze(text: str) -> str:
    """The text as it is compared, without spaces, brackets and backslashes."""
    return re.sub(r"[\s\[\]\\]", "", visible(fold(text)))
