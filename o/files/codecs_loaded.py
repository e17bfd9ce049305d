"""Loads the encodings of text ahead of their use: the child cannot open their files later."""

import codecs
import encodings
import pkgutil
from contextlib import suppress


def load_codecs() -> None:
    """Load every encoding that Python has."""
    for module in pkgutil.iter_modules(encodings.__path__):
        with suppress(LookupError):
            codecs.lookup(module.name)
