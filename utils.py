"""What the root's scripts share: tensors in files, and files that must not be lost."""

import hashlib
import io
from pathlib import Path

import torch

from sgz.errors import UserError
from sgz.files import write_whole


def save_tensors(content: object, path: Path) -> None:
    """torch.save, whole or not at all; OSError when it cannot be written."""
    buffer = io.BytesIO()  # writing itself, torch would answer a full disk with a RuntimeError
    torch.save(content, buffer)
    write_whole(path, buffer.getbuffer())


def load_tensors(path: Path):
    """torch.load of a file of tensors and plain values, without running any code in it.

    Raises:
        UserError: the file is no such file.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on damaged files torch raises nearly anything
        raise UserError(f"{path} is no file of tensors that torch can read safely") from error


def backup(path: Path) -> Path | None:
    """Rename a file to the first free `name.kept-N.suffix`; None if there is no such file."""
    if not path.exists():
        return None
    for number in range(1, 10_000):
        kept = path.with_name(f"{path.stem}.kept-{number}{path.suffix}")
        if not kept.exists():
            path.rename(kept)
            return kept
    raise UserError(f"{path} has been kept aside too often; clear {path.parent}")


def digest_of(state: dict) -> str:
    """What tells one state dict of tensors from another: names and values, hashed."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
