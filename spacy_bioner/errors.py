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
