"""What has vectors: passages and messages, and where those and their indexes stand."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kept:
    """A kind of texts with vectors.

    Attributes:
        vectors: The table of the vectors.
        id: Its column that names a text.
        texts: A table with `created_at` of each text.
        text_id: Its column that names a text.
        is_whole: Whether all that a condition may be about stands beside the vectors.
        stands: A statement that tells of a space its dimension, its index, and about how many
            vectors it has.
        note: A statement that notes the name of an index over a space.
        lock: Held, with the space, by whoever makes an index.
    """

    vectors: str
    id: str
    texts: str
    text_id: str
    is_whole: bool
    stands: str
    note: str
    lock: int


PASSAGES = Kept(
    vectors="passage_vectors",
    id="passage_id",
    texts="passages",
    text_id="id",
    is_whole=False,
    stands="""
        SELECT dimension, index_name,
            (SELECT coalesce(sum(passage_count), 0) FROM archives
             WHERE space_id = vector_spaces.id OR next_space_id = vector_spaces.id) AS vectors
        FROM vector_spaces WHERE id = %s
    """,
    note="UPDATE vector_spaces SET index_name = %s WHERE id = %s",
    lock=0x6F5F6978,  # "o_ix"
)

MESSAGES = Kept(
    vectors="message_vectors",
    id="message_id",
    texts="message_terms",
    text_id="message_id",
    is_whole=True,
    stands="""
        SELECT dimension, message_spaces.index_name, vector_count AS vectors
        FROM vector_spaces JOIN message_spaces ON message_spaces.space_id = vector_spaces.id
        WHERE vector_spaces.id = %s
    """,
    note="UPDATE message_spaces SET index_name = %s WHERE space_id = %s",
    lock=0x6F5F696D,  # "o_im"
)
