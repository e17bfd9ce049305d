"""What the readers of files raise."""


class CannotRead(Exception):
    """A file of which no text comes. The text says why, for its owner, and holds none of it."""
