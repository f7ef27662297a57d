"""`python -m spacy bioner …`: one module a command, one line here for each.

spaCy imports the entry points of its group `spacy_cli` and nothing more, so the
commands hang themselves on spaCy's own app.
"""

from __future__ import annotations

import typer
from spacy.cli._util import app as spacy_app

from spacy_bioner.cli.compile import compile_cli
from spacy_bioner.cli.convert import convert_cli
from spacy_bioner.cli.inspect import inspect_cli
from spacy_bioner.cli.train import train_cli

app = typer.Typer(
    name="bioner",
    help="Biomedical named entity recognition: corpora, models, evaluation.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("convert")(convert_cli)
app.command("inspect")(inspect_cli)
app.command("compile")(compile_cli)
app.command(
    "train",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(train_cli)

spacy_app.add_typer(app)
