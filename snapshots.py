"""Snapshots of a training run: Epoch{n}.pth, plain weights, and Epoch{n}.resume, all the rest."""

from pathlib import Path

import torch

from model import check_state_dict, read_state_dict
from utils import UserError, digest_of, keep_aside, load_tensors, save_tensors


class Snapshots:
    """The snapshots of one run in a folder.

    Attributes:
        last: the newest one that is whole on the disk, or None.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.own: dict[Path, str] = {}  # snapshots of this run -> digest of their weights
        self.last: Path | None = None

    def path(self, epoch: int) -> Path:
        """Where the weights of an epoch go."""
        return self.folder / f"Epoch{epoch}.pth"

    def adopt(self, path: Path, weights: dict[str, torch.Tensor]) -> bool:
        """Take a snapshot the run goes on from as its own; False if it lies in another folder."""
        if path.resolve().parent != self.folder.resolve():
            return False
        self.last = self.folder / path.name
        self.own[self.last] = digest_of(weights)
        return True

    def save(self, epoch: int, weights: dict[str, torch.Tensor], state: dict) -> list[str]:
        """Write Epoch{n}.resume, then Epoch{n}.pth; a file of another run is kept beside it.

        The run state names the weights of this snapshot and of the one it replaces, so that it is
        good whether or not the process dies between the two files.

        Returns:
            What the user should know, a line each.

        Raises:
            OSError: it cannot be written; what was there before is as it was.
        """
        path = self.path(epoch)
        notes = []
        if path not in self.own:
            for old in (path, path.with_suffix(".resume")):
                if kept := keep_aside(old):
                    notes.append(f"{old} is not of this run; it is kept as {kept.name}")
        digest = digest_of(weights)
        digests = [digest, self.own.get(path, digest)]
        save_tensors(state | {"model": weights, "digests": digests}, path.with_suffix(".resume"))
        save_tensors(weights, path)
        self.own[path] = digest
        self.last = path
        return notes


def plain(options: dict[str, object]) -> dict[str, object]:
    """Options with paths as text, as a run state holds them."""
    return {k: str(v) if isinstance(v, Path) else v for k, v in options.items()}


def changes(before: dict[str, object], now: dict[str, object]) -> str:
    """The options that a resumed run changes, in words."""
    return ", ".join(
        f"{name} {before.get(name)} -> {value}"
        for name, value in now.items()
        if before.get(name) != value and name not in ("load_pretrain", "pretrain_dir")
    )


def load_snapshot(path: Path, net: torch.nn.Module) -> tuple[dict[str, torch.Tensor], dict | None]:
    """A snapshot's weights, and the run's state beside it if it belongs to these weights.

    Raises:
        CheckpointError: the weights cannot be read or do not fit `net`.
        UserError: the state cannot be read.
    """
    weights = read_state_dict(path)
    check_state_dict(weights, net, path)
    beside = path.with_suffix(".resume")
    if not beside.exists():
        return weights, None
    try:
        state = load_tensors(beside)
    except UserError as error:
        raise UserError(f"{error}; remove it to start a new run from the weights beside") from error
    return weights, state if digest_of(weights) in state["digests"] else None
