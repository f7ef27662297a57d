"""Settings of a model that its config says anew whenever it is loaded.

thinc saves a node's attributes with its weights, and puts them back over what the
config said: a window or a budget of memory that is given at loading would be lost.
"""

from __future__ import annotations

from typing import Any

from thinc.api import Model, deserialize_attr


class Given(int):
    """A number, or a truth, of the config."""


@deserialize_attr.register(Given)
def keep_given(given: Given, value: bytes, name: str, model: Model) -> Any:
    """What the config says, whatever the file does."""
    return given
