"""Which workers live: each holds a lock on a file, which the kernel takes back when it dies."""

import fcntl
import os
import uuid
from contextlib import suppress
from pathlib import Path


class Lease:
    """This worker's own, and what is known of the others that share its folder.

    Attributes:
        instance: Of all workers that share the folder.
        worker: Of this one.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.instance = _instance(folder / "instance")
        self.worker = uuid.uuid4().hex
        # It has its name when it is locked: a lease that nobody holds is that of a dead worker.
        unnamed = folder / f"{self.worker}.new"
        self._descriptor = os.open(unnamed, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        unnamed.rename(self._file(self.worker))

    def is_dead(self, worker: str) -> bool:
        """Whether a worker of this instance has ended."""
        if worker == self.worker:
            return False
        try:
            descriptor = os.open(self._file(worker), os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    def dead(self) -> list[str]:
        """The workers that ended and did not give their lease back."""
        found = [path.stem for path in self._folder.glob("*.lease")]
        return [worker for worker in found if self.is_dead(worker)]

    def forget(self, worker: str) -> None:
        """What a dead worker left has been cleared."""
        with suppress(FileNotFoundError):
            self._file(worker).unlink()

    def give_back(self) -> None:
        """This worker has nothing any more."""
        self.forget(self.worker)
        os.close(self._descriptor)

    def _file(self, worker: str) -> Path:
        return self._folder / f"{Path(worker).name}.lease"


def _instance(path: Path) -> str:
    """A name that is drawn once; who comes second takes the first one's."""
    drawn = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    drawn.write_text(uuid.uuid4().hex, encoding="ascii")
    with suppress(FileExistsError):
        os.link(drawn, path)
    drawn.unlink()
    return path.read_text(encoding="ascii")
