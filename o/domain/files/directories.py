"""What an agent sees of its folders and the files that it has open."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from o.domain.files.budget import FileBudget
from o.domain.files.folders import ProcessingStatus


class ListedFile(BaseModel):
    """A file as a prompt names it.

    Attributes:
        name: With the name of its folder, as tools take it.
        status: How far it has been read.
        problem: Why it could not be.
        is_open: Whether its view stands in the prompt.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    status: ProcessingStatus = ProcessingStatus.COMPLETED
    problem: str | None = None
    is_open: bool = False


class Directory(BaseModel):
    """A folder as a prompt names it.

    Attributes:
        files: By name: those that are open, and as many of the others as a prompt lists.
        has_more: Whether there are other files, which are not listed.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    description: str | None = None
    instructions: str | None = None
    files: Sequence[ListedFile] = ()
    has_more: bool = False


@dataclass(frozen=True)
class FileView:
    """Which lines of a file are to be seen.

    Attributes:
        start: The first, from 1; None from the beginning.
        end: The last; None for as far as there is room.
    """

    file_id: str
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class Directories:
    """All of it, as of one moment.

    Attributes:
        views: What is seen of open files, by id; of one that is not read yet there is none.
        more_folders: How many folders are not listed.
    """

    folders: Sequence[Directory]
    budget: FileBudget
    views: Mapping[str, str] = field(default_factory=dict)
    more_folders: int = 0

    @property
    def open_files(self) -> list[ListedFile]:
        """The files that are open, in the order in which they stand there."""
        return [file for folder in self.folders for file in folder.files if file.is_open]


@dataclass(frozen=True)
class FileRequest:
    """A file that a model asks to see, by the name that it gives.

    Attributes:
        start: The first line, from 1; None from the beginning.
        end: The last one; None for as far as there is room.
    """

    name: str
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class OpenedFile:
    """A file that was opened.

    Attributes:
        total: Its lines; None where it is not read yet.
    """

    name: str
    start: int | None
    end: int | None
    total: int | None


@dataclass(frozen=True)
class OpenedFiles:
    """What came of opening files.

    Attributes:
        closed: The names of those that were closed for it.
    """

    opened: Sequence[OpenedFile]
    closed: Sequence[str] = ()
