"""Which file becomes which: the tasks of a run, decided before the first of them begins."""

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from sgz.cluster.places import Folder, Store
from sgz.errors import UserError
from sgz.folder import Report
from sgz.outputs import OutputNames


@dataclass(frozen=True)
class Task:
    """One file: its name in the source, the result's in the target, and whether that is new.

    Where nothing had the result's name when the run began, a file that has it later is the work of
    a worker that was lost after it, and is not done again.
    """

    source: Path
    target: Path
    new: bool

    def row(self) -> dict[str, object]:
        """As a row of a table; names as bytes, as they need not be text."""
        return {
            "source": os.fsencode(self.source),
            "target": os.fsencode(self.target),
            "new": self.new,
        }

    @classmethod
    def of_row(cls, row: dict[str, object]) -> "Task":
        """What row() was made of."""
        return cls(
            Path(os.fsdecode(row["source"])), Path(os.fsdecode(row["target"])), bool(row["new"])
        )


def plan_tasks(
    source: Folder | Store,
    target: Folder | Store,
    suffixes: Collection[str],
    name_of: Callable[[Path], Path],
    skip_existing: bool,
    report: Report,
) -> Iterator[Task]:
    """The tasks; what is left out or refused goes into the report.

    Args:
        suffixes: of the files to take.
        name_of: a file's name -> its result's.

    Raises:
        UserError: the source is, or lies in, the target, or cannot be listed.
    """
    if source.lies_in(target):
        raise UserError(f"{source} lies in {target}, and could be overwritten", "target")
    inputs, there, case_blind = source.names(), target.names(), target.is_case_blind()
    names = OutputNames(str(source), name_of, inputs.__contains__, case_blind)

    def refuse(name: object, error: OSError) -> None:
        report.failures.append((name, UserError(f"cannot be searched ({error.strerror})")))

    for name in source.find(suffixes, target, refuse):
        try:
            result = names.claim(name)
        except UserError as error:
            report.failures.append((f"{source}/{name}", error))
            continue
        exists = result in there
        if exists and skip_existing:
            report.skipped += 1
        else:
            yield Task(name, result, not exists)
