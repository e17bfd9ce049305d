"""A tool call of which pieces are still coming."""

from dataclasses import dataclass, field

from o.domain.llm import ReplyDelta
from o.domain.messages import ToolCall
from o.llm.wires.added import Added
from o.llm.wires.arguments import object_in, whole_arguments
from o.llm.wires.chat import Call

_UNDECIDED = ("", "{", "{}")
_BEGINNING_CHARS = 64


@dataclass
class GrowingCall:
    """A tool call. It is announced once its name is known.

    Its arguments are passed on while they come, if they begin as an object does. `{}` alone may be
    but a place for what follows, and a text may hold the object: these are told when all is there.
    """

    ordinal: int
    id: str
    index: int | None
    name: str = ""
    written: list[str] = field(default_factory=list)
    chars: int = 0
    added: Added = field(default_factory=Added)
    is_announced: bool = False
    is_shown: bool = False
    is_odd: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether its arguments are an object already, so that what follows is another call."""
        if not self.written or not self.written[-1].rstrip().endswith(("}", '"')):
            return False
        return object_in("".join(self.written)) is not None

    def goes_on_with(self, piece: Call) -> bool:
        """Whether a piece at its place is more of it, or says it again."""
        name, arguments = piece.function.name, piece.function.arguments
        if piece.id and self.id and piece.id != self.id:
            return not (name and self.name) and not self.is_whole
        if not (name and arguments and self.name and self.is_whole):
            return True
        return bool(piece.id) and piece.id == self.id and name == self.name and self._is(arguments)

    def _is(self, arguments: str) -> bool:
        """Whether arguments are those that are there, or those that `{}` keeps the place of."""
        there = object_in("".join(self.written))
        return there == {} or there == object_in(arguments)

    def add(self, piece: Call) -> ReplyDelta | None:
        """Take more of it; answers what there is to tell."""
        more = self._news_in(piece)
        self.added.add(piece.added)
        if more:
            self.written.append(more)
            self.chars += len(more)
        self.id = self.id or piece.id or ""
        self.name = self.name or piece.function.name or ""
        if not self.name:
            return None
        text = more if self.is_shown else self._beginning()
        if self.is_announced:
            return ReplyDelta(kind="tool_call", call=self.ordinal, text=text)
        self.is_announced = True
        return ReplyDelta(
            kind="tool_call", call=self.ordinal, tool_call_id=self.id, name=self.name, text=text
        )

    def held_back(self) -> ReplyDelta | None:
        """Its arguments, where they have not been told while they came."""
        if self.is_shown or not self.is_announced:
            return None
        text = self.whole().arguments
        return ReplyDelta(kind="tool_call", call=self.ordinal, text=text) if self.written else None

    def whole(self) -> ToolCall:
        """The call, when all of it is there."""
        return ToolCall(
            id=self.id, name=self.name, arguments=whole_arguments("".join(self.written))
        )

    def _news_in(self, piece: Call) -> str:
        """What a piece adds to the arguments: some servers say in one all that they have said."""
        more = piece.function.arguments or ""
        if not self.written or 2 * len(more) < self.chars:  # most are short: nothing is looked at
            return more
        so_far = "".join(self.written)
        if so_far.strip() == "{}" and more.lstrip().startswith("{"):
            self.written, self.chars = [], 0
            return more
        if piece.function.name and so_far.startswith("{") and more.startswith(so_far):
            return more[len(so_far) :]
        is_again = self.is_whole and object_in(more) == object_in(so_far)
        return "" if is_again else more

    def _beginning(self) -> str:
        """All that is there, once it is known to be an object's beginning."""
        if self.is_odd:
            return ""
        text = "".join(self.written)
        begun = text.strip()
        if begun in _UNDECIDED and len(text) < _BEGINNING_CHARS:
            return ""
        self.is_shown = begun.startswith("{") and begun not in _UNDECIDED
        self.is_odd = not self.is_shown
        return text if self.is_shown else ""
