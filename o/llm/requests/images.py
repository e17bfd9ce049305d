"""Images that messages name by address: the provider fetches them, or nobody does.

A client library may fetch such an image by itself, from inside the operator's network.
"""

FETCHED = ("http:", "https:")
"""How the addresses begin that somebody would have to fetch something from."""


def image_note(url: str) -> str:
    """What stands in the place of an image whose address the provider does not take."""
    return f"[An image at {url}, which you cannot be shown.]"
