"""`python -m spacy bioner …`: one module a command, one line here for each.

spaCy imports the entry points of its group `spacy_cli` and nothing more, so the
commands hang themselves on spaCy's own app.
"""

from __future__ import annotations

import typer
from spacy.cli._util import app as spacy_app

from spacy_bioner.cli.annotate import annotate_cli
from spacy_bioner.cli.calibrate import calibrate_cli
from spacy_bioner.cli.candidates import candidates_cli
from spacy_bioner.cli.compile import compile_cli
from spacy_bioner.cli.convert import convert_cli
from spacy_bioner.cli.encoder import encoder_cli
from spacy_bioner.cli.evaluate import evaluate_cli
from spacy_bioner.cli.inspect import inspect_cli
from spacy_bioner.cli.kb import kb_cli
from spacy_bioner.cli.llm import llm_data_cli, llm_generate_cli, llm_train_cli
from spacy_bioner.cli.package import package_cli
from spacy_bioner.cli.pretrain import pretrain_cli
from spacy_bioner.cli.teach import teach_cli
from spacy_bioner.cli.train import train_cli
from spacy_bioner.cli.tune_filter import tune_filter_cli
from spacy_bioner.cli.unpack import unpack_cli

app = typer.Typer(
    name="bioner",
    help="Biomedical named entity recognition: corpora, models, evaluation.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("annotate")(annotate_cli)
app.command("candidates")(candidates_cli)
app.command("convert")(convert_cli)
app.command("encoder")(encoder_cli)
app.command("evaluate")(evaluate_cli)
app.command("inspect")(inspect_cli)
app.command("kb")(kb_cli)
app.command("package")(package_cli)
app.command("pretrain")(pretrain_cli)
app.command("calibrate")(calibrate_cli)
app.command("compile")(compile_cli)
app.command(
    "train",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(train_cli)
app.command("teach")(teach_cli)
app.command("tune-filter")(tune_filter_cli)
app.command("unpack")(unpack_cli)
app.command(
    "llm-data",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(llm_data_cli)
app.command("llm-train")(llm_train_cli)
app.command(
    "llm-generate",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(llm_generate_cli)

spacy_app.add_typer(app)
