"""`convert FORMAT INPUT OUTPUT.spacy`: a corpus as it is distributed -> DocBin."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import srsly
import typer
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import registry
from wasabi import msg

from spacy_bioner.cli._util import blank, check_suffix, friendly_errors, prepare
from spacy_bioner.corpora import READERS, get_reader
from spacy_bioner.corpora.convert import (
    LOST,
    Report,
    drop_duplicates,
    map_labels,
    sentences_with_mention,
    to_doc,
    write,
)
from spacy_bioner.corpora.document import SourceDocument
from spacy_bioner.corpora.select import (
    shared_out,
    sliced,
    with_ids,
    without_ids,
)
from spacy_bioner.errors import BionerError, Errors

Arg, Opt = typer.Argument, typer.Option
TOKENIZER = "spacy-bioner.Tokenizer.v1"


@friendly_errors
def convert_cli(
    format_: Annotated[
        str, Arg(metavar="FORMAT", help=f"One of: {', '.join(READERS)}")
    ],
    input_path: Annotated[
        Path, Arg(metavar="INPUT", help="File or folder of a corpus")
    ],
    output: Annotated[Path, Arg(metavar="OUTPUT", help="The .spacy file to write")],
    task: Annotated[str | None, Opt(help="Task (head) the documents belong to")] = None,
    labels: Annotated[
        str, Opt(help="Renaming: 'Protein_*=PROTEIN,Virus=SPECIES'")
    ] = "",
    only_mapped: Annotated[bool, Opt(help="Drop labels not in --labels")] = False,
    selected: Annotated[
        bool, Opt(help="Write only the sentences with a mention, each a document")
    ] = False,
    nested: Annotated[bool, Opt(help='Keep nested mentions: doc.spans["sc"]')] = False,
    ids: Annotated[Path | None, Opt(help="File of document ids to keep")] = None,
    without: Annotated[
        list[Path] | None, Opt(help="File of ids to leave out; once a file")
    ] = None,
    slice_: Annotated[str, Opt("--slice", help="Documents by place: 0:500")] = "",
    share: Annotated[str, Opt(help="Hundredths by a hash of the text: 0:80")] = "",
    keep_duplicates: Annotated[bool, Opt(help="Keep documents that recur")] = False,
    lang: Annotated[str, Opt(help="Language of the text")] = "en",
    tokenizer: Annotated[
        str, Opt(help="'bioner' (English only) or 'spacy'")
    ] = "bioner",
    gold: Annotated[str | None, Opt(help="Annotation file (bc2gm, linnaeus)")] = None,
    discontinuous: Annotated[str | None, Opt(help="'lose' or 'bound' (brat)")] = None,
    type_key: Annotated[str | None, Opt(help="Infon of the label (bioc)")] = None,
    id_key: Annotated[str | None, Opt(help="Infon of the identifier (bioc)")] = None,
    report_path: Annotated[Path | None, Opt("--report", help="Save as JSON")] = None,
):
    """Convert a corpus to spaCy's format and account for every mention.

    A token that holds a gold boundary is split in the output, so that no mention is
    lost to the tokenizer. Nothing is written when the input is malformed.
    """
    check_suffix(output)
    for path in filter(None, (report_path, output)):
        prepare(path)
    if only_mapped and not labels:
        raise BionerError(Errors.B110)
    report = Report()
    options = {
        "gold": gold,
        "discontinuous": discontinuous,
        "type_key": type_key,
        "id_key": id_key,
    }
    documents = _read(format_, input_path, options)
    documents = map_labels(documents, parse_labels(labels), only_mapped)
    if ids:
        documents = with_ids(documents, ids, report.missing_ids)
    for path in without or []:
        documents = without_ids(documents, path, report.unused)
    if not keep_duplicates:
        documents = drop_duplicates(documents, report)
    if slice_:
        documents = sliced(documents, slice_)
    if share:
        documents = shared_out(documents, share)
    nlp = make_nlp(lang, tokenizer)
    docs: Iterable[Doc] = (
        to_doc(document, nlp.make_doc, report, nested=nested, task=task)
        for document in documents
    )
    if selected:
        docs = sentences_with_mention(docs, report)
    count = write(docs, output)
    if slice_:  # the documents behind it were not looked at
        report.missing_ids.clear()
        report.unused.clear()
    print_report(report)
    msg.good(f"{count} documents in {output}")
    if report_path:
        srsly.write_json(report_path, report.to_json())


def parse_labels(value: str) -> dict[str, str]:
    """`A=B,C=D` -> {"A": "B", "C": "D"}."""
    mapping = {}
    for pair in filter(None, value.split(",")):
        old, _, new = (part.strip() for part in pair.partition("="))
        if not old or not new:
            expected = "OLD=NEW pairs, separated by commas"
            raise BionerError(
                Errors.B104.format(option="labels", value=value, expected=expected)
            )
        mapping[old] = new
    return mapping


def make_nlp(lang: str, tokenizer: str) -> Language:
    """An empty pipeline; English has this package's tokenizer unless told."""
    nlp = blank(lang)
    nlp.max_length = 10**9  # no component runs that could exhaust memory
    if tokenizer not in ("bioner", "spacy"):
        expected = "'bioner' or 'spacy'"
        raise BionerError(
            Errors.B104.format(option="tokenizer", value=tokenizer, expected=expected)
        )
    if lang == "en" and tokenizer == "bioner":
        import spacy_bioner.tokenizer  # noqa: F401  (registers it)

        nlp.tokenizer = registry.tokenizers.get(TOKENIZER)()(nlp)
    return nlp


def print_report(report: Report) -> None:
    """The table of mentions by label, and what became of them."""
    data = report.to_json()
    rows = [*data["labels"].items(), ("(all)", data["total"])]
    columns = ["mentions", "aligned", "mid-token", "trimmed", *LOST, "kept"]
    used = [c for c in columns if c in columns[:2] or data["total"].get(c)]
    msg.table(
        [(label, *(counts.get(c, 0) for c in used)) for label, counts in rows],
        header=("label", *used),
        aligns=("l", *("r" for _ in used)),
        divider=True,
    )
    for key in ("documents", "sentences", "tokens"):
        msg.text(f"{key}: {data[key]:,}")
    if report.duplicate_documents:
        msg.warn(
            f"{report.duplicate_documents} documents recurred and were dropped, with "
            f"{data['total'].get('recurred', 0)} mentions that only they had"
        )
    if report.missing_ids:
        some = ", ".join(data["missing_ids"][:5])
        msg.warn(f"{len(report.missing_ids)} listed ids are not in the corpus: {some}")
    for path in sorted(report.unused):
        msg.warn(f"Nothing was left out: no id of {path} is among the documents")


def _read(
    format_: str, path: Path, options: dict[str, Any]
) -> Iterator[SourceDocument] | Iterable[SourceDocument]:
    reader = get_reader(format_)
    known = inspect.signature(reader).parameters
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in known:
            raise BionerError(Errors.B107.format(format=format_, option=name))
    return reader(path, **given)
