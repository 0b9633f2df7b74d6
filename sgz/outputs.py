"""The folder that results go into: whether it can be written, and the names they get there."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from sgz.errors import UserError


class OutputNames:
    """Gives each input the name it is written under, and no two of them one name.

    Args:
        folder: that the inputs lie in, for messages.
        name_of: an input's name -> its output's, both relative to their folders.
        is_input: whether an input has this name: its output is then called so by right.
        case_blind: the target takes names that differ only by case for one.
    """

    def __init__(
        self,
        folder: Path | str,
        name_of: Callable[[Path], Path],
        is_input: Callable[[Path], bool],
        case_blind: bool = False,
    ):
        self.folder, self.name_of, self.is_input = folder, name_of, is_input
        self.case_blind = case_blind
        self.claimed: dict[Path | str, Path] = {}  # name, or all that is like it -> input

    def claim(self, own_name: Path) -> Path:
        """The output's name.

        Raises:
            UserError: another input has it, by right or because it came first.
        """
        name = self.name_of(own_name)
        if name == own_name and not self.case_blind:
            return name  # by right; not kept, as there may be millions
        key = str(name).casefold() if self.case_blind else name
        if name != own_name and self.is_input(name):
            self.claimed.setdefault(key, name)
        owner = self.claimed.setdefault(key, own_name)
        if owner != own_name:
            why = " (here case makes no difference)" if self.case_blind else ""
            raise UserError(f"{name} is already the output of {self.folder}/{owner}{why}")
        return name


def is_case_blind(folder: Path) -> bool:
    """Whether names that differ only by case are one file in this folder; it must be writable."""
    name = f".probe.{secrets.token_hex(8)}x"
    probe = folder / name
    probe.touch()
    try:
        return (folder / name.upper()).exists()
    finally:
        probe.unlink()


def make_writable(folder: Path) -> None:
    """Create the output folder and see that a file can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"cannot write into {folder} ({error.strerror})", "target") from error
