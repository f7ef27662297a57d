"""Instructions: what a model is asked to find, in words, and in which document."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from spacy.tokens import Doc

from .errors import BionerError, Errors
from .task import get_task

EXTENSION = "bioner_types"
WITH_CORPUS = "If any {type} entity is mentioned in the {corpus} input, extract it."
PLAIN = "If any {type} entity is mentioned in the input, extract it."

if not Doc.has_extension(EXTENSION):
    Doc.set_extension(EXTENSION, default=None)


def get_types(doc: Doc) -> list[str] | None:
    """The types that a document is asked for, or None when nobody set any."""
    types = getattr(doc._, EXTENSION)
    return None if types is None else list(types)  # a DocBin makes tuples of lists


def set_types(doc: Doc, types: Iterable[str] | None) -> None:
    """Ask a document for these types, each once, whatever a component's own are;
    survives `Doc.copy` and a DocBin written with `store_user_data=True`."""
    setattr(doc._, EXTENSION, None if types is None else list(dict.fromkeys(types)))


@dataclass(frozen=True)
class Wording:
    """How a type is asked for (VANER's wording unless another is given).

    template (str): For a document of a known task; holds {type} and may hold {corpus}.
    plain_template (str): For any other; holds {type}.
    names (dict): What a type or a task is called, where that is not its own name in
        lower case with spaces.
    definitions (dict): By type, what comes after its instruction.
    Raises BionerError for a template that cannot be filled in.
    """

    template: str = WITH_CORPUS
    plain_template: str = PLAIN
    names: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for template, fields in (
            (self.template, {"type": "\0", "corpus": ""}),
            (self.plain_template, {"type": "\0"}),
        ):
            try:
                usable = "\0" in template.format(**fields)
            except (KeyError, IndexError, ValueError):
                usable = False
            if not usable:
                raise BionerError(Errors.BA01.format(template=template))

    def ask(self, doc: Doc, label: str) -> str:
        """The instruction to find one type in one document."""
        task = get_task(doc)
        if task is None:
            asked = self.plain_template.format(type=self.name(label))
        else:
            names = {"type": self.name(label), "corpus": self.name(task)}
            asked = self.template.format(**names)
        return f"{asked} {self.definitions.get(label, '')}".rstrip(" ")

    def name(self, label: str) -> str:
        """What a type or a task is called."""
        return self.names.get(label, label.replace("_", " ").lower())
