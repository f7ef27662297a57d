"""A spacy-llm task: ask for symbolic tagging, write the mentions to a span group."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

# spacy-llm looks for these two in the annotations of a task, not for built-in types.
from typing import Any, Iterable, Tuple, cast  # noqa: UP035

import jinja2
from spacy.pipeline.spancat import spancat_score
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example

from ..errors import BionerError, Errors
from .split import split
from .symbolic import NOTHING, Mention, Report, check_label, decode, encode, escape

TEMPLATES = Path(__file__).parent / "templates"
LANGUAGES = ("en", "zh")
DEFAULT_KEY = "llm_candidates"

Examples = Callable[[], Iterable[dict[str, Any]]]


def make_symbolic_spans(
    labels: list[str],
    definitions: dict[str, str] | None = None,
    language: str = "en",
    template: str | None = None,
    examples: Examples | None = None,
    spans_key: str = DEFAULT_KEY,
    nested: bool = True,
    max_chars: int = 1000,
) -> "SymbolicSpans":
    """Build the task `spacy-bioner.SymbolicSpans.v1`.

    labels (list[str]): The types to ask for.
    definitions (dict): What each type is, in the language of the prompt.
    language (str): Of the prompt: "en" or "zh".
    template (str): A jinja template instead, such as spacy.FileReader.v1 reads; it is
        given text, labels, definitions, examples, nested and nothing (the answer for
        a text without any mention).
    examples (Callable): Few-shot examples, such as spacy.FewShotReader.v1 reads from a
        file: each has a `text` and an `answer`, in tagged text.
    spans_key (str): The span group for the mentions; its `attrs["report"]` says what
        was repaired and what was dropped.
    nested (bool): Whether mentions within others of their type are wanted.
    max_chars (int): Longer texts are sent in pieces. An answer repeats its text once
        for each type that is in it, so this stands for the model's context length.
    """
    if max_chars < 1:
        raise BionerError(
            Errors.B709.format(name="max_chars", value=max_chars, expected="1 or more")
        )
    for label in labels:
        check_label(label)
    return SymbolicSpans(
        labels,
        definitions or {},
        template or read_template(language),
        [
            read_example(number, example, labels, nested)
            for number, example in enumerate(examples() if examples else (), 1)
        ],
        spans_key=spans_key,
        nested=nested,
        max_chars=max_chars,
    )


def read_template(language: str) -> str:
    if language not in LANGUAGES:
        raise BionerError(Errors.B703.format(language=language, known=LANGUAGES))
    return (TEMPLATES / f"{language}.jinja").read_text("utf8")


def read_example(
    number: int, example: dict[str, Any], labels: list[str], nested: bool
) -> dict[str, str]:
    """The text and the answer as they stand in the prompt.

    Raises BionerError for an answer that is not exact: a model would learn from it.
    """
    text, answer = example.get("text"), example.get("answer")
    if not isinstance(text, str) or not isinstance(answer, str):
        problem = f"it has {sorted(example)}."
        raise BionerError(Errors.B704.format(number=number, problem=problem))
    spans, report = decode(answer, text, labels, nested)
    faults = {**+report.repaired, **+report.dropped}
    if faults or not report.answered:
        problem = (
            f"its answer is not the tagged text ({faults or 'no line of a type'})."
        )
        raise BionerError(Errors.B704.format(number=number, problem=problem))
    return {"text": escape(text), "answer": encode(text, spans, labels, nested)}


class SymbolicSpans:
    """Prompts for the pieces of a document, and spans for the answers."""

    def __init__(
        self,
        labels: list[str],
        definitions: dict[str, str],
        template: str,
        examples: list[dict[str, str]],
        *,
        spans_key: str,
        nested: bool,
        max_chars: int,
    ) -> None:
        self.labels = tuple(labels)
        self.definitions = definitions
        self.prompt_template = template
        self.examples = examples
        self.spans_key = spans_key
        self.nested = nested
        self.max_chars = max_chars

    def generate_prompts(
        self,
        docs: Iterable[Doc],
        context_length: int | None = None,
    ) -> Iterable[Tuple[Iterable[str], Iterable[Doc]]]:  # noqa: UP006
        """A prompt for each piece of each document, and the document itself.

        context_length (int): Not used, see `max_chars`.
        """
        template = jinja2.Environment().from_string(self.prompt_template)
        for doc in docs:
            prompts = [
                template.render(
                    text=escape(piece.text),
                    labels=self.labels,
                    definitions=self.definitions,
                    examples=self.examples,
                    nested=self.nested,
                    nothing=NOTHING,
                )
                for piece in split(doc, self.max_chars)
            ]
            yield prompts, [doc]

    def parse_responses(
        self,
        shards: Iterable[Iterable[Doc]],
        responses: Iterable[Iterable[str]],
    ) -> Iterable[Doc]:
        """Write the span group of each document."""
        for (doc,), answers in zip(shards, responses, strict=True):
            spans: list[Span] = []
            reports: list[Report] = []
            for piece, answer in zip(split(doc, self.max_chars), answers, strict=True):
                found, report = decode(answer, piece.text, self.labels, self.nested)
                spans.extend(place(piece, found, report))
                reports.append(report)
            self._write_group(doc, spans, reports)
            yield doc

    def _write_group(self, doc: Doc, spans: list[Span], reports: list[Report]) -> None:
        doc.spans[self.spans_key] = SpanGroup(
            doc,
            name=self.spans_key,
            spans=sorted(spans, key=lambda span: (span.start, -span.end, span.label_)),
            attrs={"report": summarize(reports)},
        )

    def scorer(self, examples: Iterable[Example]) -> dict[str, Any]:
        """Exact precision, recall and F1 against the reference's group of the same
        name, for `nlp.evaluate`."""
        return spancat_score(examples, spans_key=self.spans_key, allow_overlap=True)


def place(piece: Span, found: Iterable[Mention], report: Report) -> list[Span]:
    """Mentions of a piece as spans of its document, each once.

    Whitespace at the ends is left out; an end within a token moves to the token's end,
    which the report counts as repaired: "token".
    """
    text, doc, shift = piece.text, piece.doc, piece.start_char
    spans: set[tuple[int, int, str]] = set()
    for start, end, label in found:
        start += len(text[start:end]) - len(text[start:end].lstrip())
        end = start + len(text[start:end].rstrip())
        if start == end:
            report.dropped["empty"] += 1
            continue
        span = doc.char_span(start + shift, end + shift, alignment_mode="expand")
        span = cast(Span, span)  # none only beyond the text
        report.repaired["token"] += len(span.text) != end - start
        spans.add((span.start, span.end, label))
    return [Span(doc, start, end, label) for start, end, label in spans]


def summarize(reports: list[Report]) -> dict[str, Any]:
    """One report for a document, of plain values that can be saved."""
    repaired = sum((report.repaired for report in reports), Counter[str]())
    dropped = sum((report.dropped for report in reports), Counter[str]())
    return {
        "pieces": len(reports),
        "unanswered": sum(not report.answered for report in reports),
        "exact": sum(report.exact for report in reports),
        "repaired": dict(repaired),
        "dropped": dict(dropped),
    }
