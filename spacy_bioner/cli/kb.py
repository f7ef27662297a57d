"""`kb SOURCE… OUTPUT`: terminologies and corpora -> names, types, identifiers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from spacy_bioner.cli._util import friendly_errors
from spacy_bioner.cli.convert import parse_labels
from spacy_bioner.errors import BionerError, Errors
from spacy_bioner.kb.base import KnowledgeBase
from spacy_bioner.kb.load import READERS, load

Arg, Opt = typer.Argument, typer.Option
FATES = ("kept", "obsolete", "unnamed", "unmapped")


@friendly_errors
def kb_cli(
    sources: Annotated[
        list[Path], Arg(metavar="SOURCE...", help=f"Files: {', '.join(READERS)}")
    ],
    output: Annotated[Path, Arg(help="The .jsonl or .jsonl.gz file to write")],
    labels: Annotated[
        str, Opt(help="Types by identifier prefix: 'DOID=DISEASE,CL=CELL_TYPE'")
    ] = "",
    only_mapped: Annotated[bool, Opt(help="Drop types not in --labels")] = False,
):
    """Make a knowledge base of terminologies (OBO, OWL in functional syntax, tables)
    and of the names in a corpus's train split (.spacy).

    The types are prefixes of identifiers, or what a source gives, unless --labels
    renames them. The first source to know an identifier names it.
    """
    if not output.name.endswith((".jsonl", ".jsonl.gz")):
        raise BionerError(Errors.B907.format(output=output))
    for path in sources:
        if path.stem in ("dev", "test") and path.suffix == ".spacy":
            msg.warn(f"{path}: names of this split will give its answers away")
    kb, counts = load(sources, parse_labels(labels), only_mapped)
    if not kb.entries:
        total = sum(counts.values(), Counter())
        found = ", ".join(f"{number} {fate}" for fate, number in total.items())
        raise BionerError(Errors.B906.format(output=output, counts=found or "no term"))
    kb.to_disk(output)
    print_sources(counts)
    print_contents(kb)
    if untyped := sum(not entry.label for entry in kb.entries):
        msg.warn(f"{untyped:,} entries have no type: --labels '*=DISEASE' gives one")
    msg.good(f"{len(kb.entries):,} entries in {output}")


def print_sources(counts: dict[str, Counter[str]]) -> None:
    """What became of each source's terms."""
    msg.divider("Sources")
    rows = [
        (Path(path).name, *(f"{count[fate]:,}" for fate in FATES))
        for path, count in counts.items()
    ]
    _table(("source", *FATES), rows)


def print_contents(kb: KnowledgeBase) -> None:
    """Entries, names and cross-references by type."""
    msg.divider("Knowledge base")
    rows = []
    for label in kb.labels:
        entries = [entry for entry in kb.entries if entry.label == label]
        prefixes = Counter(
            xref.partition(":")[0] for entry in entries for xref in entry.xrefs
        )
        common = ", ".join(f"{name} {n:,}" for name, n in prefixes.most_common(5))
        names = sum(1 + len(entry.synonyms) for entry in entries)
        xrefs = f"{prefixes.total():,}"
        rows.append((label, f"{len(entries):,}", f"{names:,}", xrefs, common))
    _table(("type", "entries", "names", "cross-references", "most to"), rows)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    aligns = ["l", *("l" if name == "most to" else "r" for name in header[1:])]
    msg.table(rows, header=header, aligns=aligns, divider=True, max_col=100)
