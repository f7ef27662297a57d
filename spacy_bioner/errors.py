"""Coded messages: what happened, with which value, and what to do about it."""

from __future__ import annotations


class _Coded(type):
    """Prefix every message with its code: `Errors.B001` reads `[B001] …`."""

    def __getattribute__(cls, code: str) -> str:
        message = super().__getattribute__(code)
        return f"[{code}] {message}" if not code.startswith("__") else message


class BionerError(ValueError):
    """Bad input or settings; the message names what is wrong and the mend."""


class Errors(metaclass=_Coded):
    # 1xx: corpora
    B101 = "{path}:{line}: {problem}"
    B102 = "No reader for the format '{format}'. Choose one of: {known}."
    B103 = (
        "No document left to write to {output}. Check the input, --ids and --slice."
    )
    B104 = "--{option} {value}: expected {expected}."
    B105 = "The output {output} must end in .spacy."
    B106 = "None of the {count} ids of {path} is in the corpus (it has {example}…)."
    B107 = "The format '{format}' has no option --{option}."
    B108 = "{path} is no file that `convert` made, nor a folder of such files."
    B109 = "The tokenizer of '{encoder}' cannot be loaded: {error}"

    # 3xx: components
    B301 = (
        "Component '{name}' found no entity labels to learn. Its training documents "
        "need `doc.ents`; or pass `labels` in [initialize.components.{name}]."
    )
    B302 = (
        "'{owner}' cannot own the label '{label}' in component '{name}': it has the "
        "heads {heads}. Name one of them, or join several with '+'."
    )
    B303 = "ents_policy is '{policy}'; choose one of {known}."
    B304 = (
        "'{path}' holds no head that component '{name}' could start from: it has "
        "{found}, wanted {wanted} with the same labels."
    )
    B305 = (
        "Component '{name}' has its heads already; add label '{label}' before "
        "`nlp.initialize`."
    )

    # 4xx: training
    B401 = "The corpus of task '{task}' is not at {path}. Run the convert step first."
    B402 = "weights names the task '{task}', but the sources are {known}."
