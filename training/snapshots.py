"""Snapshots of a training run: Epoch{n}.pth, plain weights, and Epoch{n}.resume, all the rest."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from sgz.errors import UserError
from sgz.model import check_state_dict, read_state_dict
from utils import digest_of, load_tensors, save_tensors, seal_of

RECORDS = ("log.csv", "validation.csv", "run.json", "loss.png", "preview.png")


@dataclass
class Position:
    """Where a run stands: `step` steps of `epoch` are done; its schedule began at `first_epoch`."""

    first_epoch: int = 0
    epoch: int = 0
    step: int = 0

    def __post_init__(self):
        numbers = (self.first_epoch, self.epoch, self.step)
        if not all(type(n) is int and n >= 0 for n in numbers) or self.epoch < self.first_epoch:
            raise ValueError(f"no position in a run: {asdict(self)}")


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
        """Where the weights of an epoch go: beside weights that no run has left there."""
        path = self.folder / f"Epoch{epoch}.pth"
        if path not in self.own and path.exists() and not path.with_suffix(".resume").exists():
            return path.with_name(f"Epoch{epoch}.trained.pth")
        return path

    def begin(self, path: Path, weights: dict[str, torch.Tensor]) -> bool:
        """Take up the run of a snapshot, if it is one of this folder: whether it is."""
        if path.resolve().parent != self.folder.resolve():
            return False
        self.last = self.folder / path.name
        self.own[self.last] = digest_of(weights)
        return True

    def move_earlier_run(self) -> Path | None:
        """Move the files of a run that is not this one into earlier-N/; None if there is none.

        Weights without a run state, such as those in the box, stay. Records of a run that came to
        no snapshot go.
        """
        states = list(self.folder.glob("Epoch*.resume"))
        weights = [p for state in states if (p := state.with_suffix(".pth")).exists()]
        records = [p for name in (*RECORDS, "tensorboard") if (p := self.folder / name).exists()]
        if not states:
            for path in records:
                if path.is_file():
                    path.unlink()
            return None
        number = 1
        while (target := self.folder / f"earlier-{number}").exists():
            number += 1
        target.mkdir()
        for path in [*weights, *records, *states]:  # while a state is left, so is the run
            path.rename(target / path.name)
        return target

    def save(self, epoch: int, weights: dict[str, torch.Tensor], state: dict) -> None:
        """Write Epoch{n}.resume, then Epoch{n}.pth.

        The run state names the weights of this snapshot and of the one it replaces, so that it is
        good whether or not the process dies between the two files.

        Raises:
            OSError: it cannot be written; what was there before is as it was.
        """
        path = self.path(epoch)
        digest = digest_of(weights)
        digests = [digest, self.own.get(path, digest)]
        state = state | {"model": weights, "digests": digests}
        save_tensors(state | {"seal": seal_of(state)}, path.with_suffix(".resume"))
        save_tensors(weights, path)
        self.own[path] = digest
        self.last = path


def plan(state: dict, num_epochs: int, more_epochs: int | None) -> tuple[Position, int]:
    """Where a run goes on, and before which epoch it ends.

    Args:
        state: of load_snapshot.
        num_epochs: how many the run is to have in all.
        more_epochs: how many a finished run is to have besides, in place of num_epochs.

    Raises:
        UserError: more epochs are asked for of a run that is not finished.
    """
    position = Position(**state["position"])
    if more_epochs is None:
        return position, num_epochs
    planned = state["options"]["num_epochs"]
    if position.epoch < planned:
        raise UserError(
            f"the run is not finished: it stands at epoch {position.epoch} of {planned}",
            "more_epochs",
        )
    position.first_epoch = position.epoch
    return position, position.epoch + more_epochs


def plain(options: dict[str, object]) -> dict[str, object]:
    """Options with paths as text, as a run state holds them."""
    return {k: str(v) if isinstance(v, Path) else v for k, v in options.items()}


def changes(before: dict[str, object], now: dict[str, object]) -> str:
    """The options that a resumed run changes, in words."""
    ignored = ("load_pretrain", "pretrain_dir", "more_epochs")
    return ", ".join(
        f"{name} {before[name]} -> {value}"
        for name, value in now.items()
        if before.get(name, value) != value and name not in ignored
    )


def load_snapshot(path: Path, net: torch.nn.Module) -> tuple[dict[str, torch.Tensor], dict | None]:
    """A snapshot's weights, and the run's state beside it if it belongs to these weights.

    Raises:
        CheckpointError: the weights cannot be read or do not fit `net`.
        UserError: the state cannot be read, or is not as a run leaves it.
    """
    weights = read_state_dict(path)
    check_state_dict(weights, net, path)
    beside = path.with_suffix(".resume")
    if not beside.exists():
        return weights, None
    try:
        state = load_tensors(beside)
        if not is_run_state(state):
            raise UserError(f"{beside} is not as a run leaves it: it was changed or damaged")
    except UserError as error:
        raise UserError(f"{error}; remove it to start a new run from the weights beside") from error
    return weights, state if digest_of(weights) in state["digests"] else None


def is_run_state(state: object) -> bool:
    """Whether it has what going on needs, and nothing in it has changed since it was saved."""
    if not isinstance(state, dict):
        return False
    content = {name: value for name, value in state.items() if name != "seal"}
    if "seal" in state:
        return state["seal"] == seal_of(content)
    kinds = {  # as versions before left it
        "model": dict, "optimizer": dict, "random": torch.Tensor, "position": dict,
        "options": dict, "digests": list, "seed": int, "data": str,
    }  # fmt: skip
    try:
        fits = all(isinstance(state[name], kind) for name, kind in kinds.items())
        count, epochs = state.get("images_per_step", 1), state["options"]["num_epochs"]
        sensible = all(type(n) is int and n > 0 for n in (count, epochs)) and state["seed"] >= 0
        Position(**state["position"])
        return fits and sensible and digest_of(state["model"]) == state["digests"][0]
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
        return False
