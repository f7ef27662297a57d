"""Answers kept on disk, so that no prompt is paid for twice."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from threading import Lock
from typing import Any

import srsly

from ..errors import BionerError, Errors


class PromptCache:
    """A file with one answer a line, found by all that led to it.

    Several threads and processes may write to one file. It holds what the model said,
    so mostly the text: it is readable for its owner only.

    path (Path): The file, made with its folder before the first answer comes; None:
        keep nothing.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = Path(path) if path else None
        self._answers: dict[str, str] | None = None
        self._lock = Lock()

    @staticmethod
    def key(request: dict[str, Any]) -> str:
        """A name that no other request has: model, parameters and prompt."""
        return hashlib.sha256(
            srsly.json_dumps(request, sort_keys=True).encode("utf8")
        ).hexdigest()

    def get(self, key: str) -> str | None:
        """The answer, or None."""
        return self._loaded().get(key)

    def check(self) -> None:
        """Call it before a prompt is paid for.

        Raises BionerError if the answer could not be kept.
        """
        try:
            self._append(b"")
        except OSError as error:
            problem = Errors.B722.format(path=self.path, error=error.strerror)
            raise BionerError(problem) from None

    def add(self, key: str, answer: str) -> None:
        """Keep an answer, at once."""
        if self.path is None:
            return
        answers = self._loaded()
        line = srsly.json_dumps({"key": key, "answer": answer}) + "\n"
        with self._lock:
            answers[key] = answer
            self._append(("\n" + line).encode("utf8"))

    def _append(self, data: bytes) -> None:
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, data)
        finally:
            os.close(file)

    def _loaded(self) -> dict[str, str]:
        with self._lock:
            if self._answers is None:
                self._answers = {}
                if self.path is not None and self.path.exists():
                    self._answers = _read(self.path)
            return self._answers

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]


def _read(path: Path) -> dict[str, str]:
    """The answers of a file; a line that an interruption left half is passed over."""
    answers = {}
    for line in path.read_text("utf8", errors="replace").split("\n"):
        try:
            row = srsly.json_loads(line)
            answers[row["key"]] = row["answer"]
        except (ValueError, KeyError, TypeError):
            continue
    return answers
