"""Snapshots of a training run: Epoch{n}.pth, plain weights, and Epoch{n}.resume, all the rest."""

from dataclasses import dataclass
from pathlib import Path

import torch

from sgz.errors import UserError
from sgz.model import check_state_dict, read_state_dict
from utils import backup, digest_of, load_tensors, save_tensors


@dataclass
class Position:
    """Where a run stands: `step` steps of `epoch` are done; the run began at `first_epoch`."""

    first_epoch: int = 0
    epoch: int = 0
    step: int = 0


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

    def resume(
        self, path: Path, net: torch.nn.Module, num_epochs: int, images_per_step: int
    ) -> tuple[dict | None, list[str]]:
        """Load a snapshot into `net` and find where its run goes on.

        Args:
            num_epochs: how many the run is to have; where it has had them, so many more.
            images_per_step: of the run from now on; where it has changed, the position follows.

        Returns:
            The run's state with its Position, None where there is none that belongs to these
            weights; and what the user should know, a line each.

        Raises:
            CheckpointError, UserError: as of load_snapshot.
        """
        weights, state = load_snapshot(path, net)
        if state is None:
            net.load_state_dict(weights)
            return None, [f"{path} has no run state beside it: a new run starts from its weights"]
        net.load_state_dict(state["model"])
        position = Position(**state["position"])
        planned = min(state["options"]["num_epochs"], num_epochs)
        note = f"going on with {path} at epoch {position.epoch}, step {position.step}"
        if position.epoch >= position.first_epoch + planned:
            position.first_epoch = position.epoch
            note = f"the run of {path} is complete; {num_epochs} epochs follow"
        before = state.get("images_per_step", images_per_step)
        position.step = position.step * before // images_per_step
        if path.resolve().parent == self.folder.resolve():
            self.last = self.folder / path.name
            self.own[self.last] = digest_of(weights)
        return state | {"position": position}, [note]

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
        # A run state without its weights is half a snapshot: its run was killed between the two.
        if path not in self.own and path.exists():
            for old in (path, path.with_suffix(".resume")):
                if kept := backup(old):
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
        f"{name} {before[name]} -> {value}"
        for name, value in now.items()
        if before.get(name, value) != value and name not in ("load_pretrain", "pretrain_dir")
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
