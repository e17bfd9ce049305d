"""Runs one job in a backend, with a way out."""

from dataclasses import replace
from pathlib import Path, PurePosixPath

from sandbox.egress.exits import Egress
from sandbox.frames import Inside
from sandbox.protocol import Job, JobResult
from tests.sandbox import plain


async def run_in(backend: str, job: Job, egress: Egress, data_dir: Path) -> JobResult:
    """Run a job in `docker`, `bubblewrap`, or in a `plain` process, which confines nothing."""
    assert backend == "plain"
    way = await egress.open()
    told = way.admit(job)
    environment = {
        name: text.replace("/run/o", str(way.folder)) for name, text in told["environment"].items()
    }
    socket = told["socket"].replace("/run/o", str(way.folder))
    inside = Inside(
        packages=PurePosixPath(job.packages or ""),
        egress={"socket": socket, "environment": environment},
    )
    done = await plain.run(job, inside)
    done = replace(done, hosts=way.hosts)
    await way.close()
    return done
