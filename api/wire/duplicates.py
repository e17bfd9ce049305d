"""How passages that say the same are shown."""

from typing import Literal, Self

from pydantic import BaseModel

from api.wire.passages import PassageBody
from o.storage.archives.duplicates import DuplicatesPage


class OtherBody(BaseModel):
    """A passage that says the same; `similarity` is at most 1."""

    passage: PassageBody
    similarity: float


class DuplicateBody(BaseModel):
    """A passage and the nearest of those that say the same, up to ten."""

    passage: PassageBody
    others: list[OtherBody]


class DuplicatesBody(BaseModel):
    """A part of what an archive holds twice. `after` goes into the next question."""

    by: Literal["vectors", "words"]
    duplicates: list[DuplicateBody]
    after: str | None

    @classmethod
    def of(cls, by: Literal["vectors", "words"], page: DuplicatesPage) -> Self:
        """The page as it is shown."""
        shown = [
            DuplicateBody(
                passage=PassageBody.of(one.passage),
                others=[
                    OtherBody(passage=PassageBody.of(other), similarity=similarity)
                    for other, similarity in one.others
                ],
            )
            for one in page.found
        ]
        return cls(by=by, duplicates=shown, after=page.after)
