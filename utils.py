"""What the root's scripts share: tensors in files."""

import hashlib
import io
from pathlib import Path

import torch

from sgz.errors import UserError
from sgz.files import write_whole
from sgz.model import load_safely


def save_tensors(content: object, path: Path) -> None:
    """torch.save, whole or not at all, and on the disk when this returns.

    Raises:
        OSError: it cannot be written.
    """
    buffer = io.BytesIO()  # writing itself, torch would answer a full disk with a RuntimeError
    torch.save(content, buffer)
    write_whole(path, buffer.getbuffer(), durable=True)


def load_tensors(path: Path):
    """torch.load of a file of tensors and plain values, without running any code in it.

    Raises:
        UserError: the file is no such file, or is damaged.
    """
    try:
        return load_safely(path)
    except Exception as error:  # on damaged files torch raises nearly anything
        raise UserError(f"{path} is no file of tensors that torch can read safely") from error


def digest_of(state: dict) -> str:
    """What tells one state dict of tensors from another: names and values, hashed."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def seal_of(content: object) -> str:
    """What tells one nest of dicts, lists, tensors and plain values from another, hashed."""
    digest = hashlib.sha256()

    def feed(part: object) -> None:
        if isinstance(part, torch.Tensor):
            digest.update(f"{part.dtype}{tuple(part.shape)}".encode())
            digest.update(part.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        elif isinstance(part, dict):
            digest.update(f"dict {len(part)}".encode())
            for item in part.items():
                feed(item)
        elif isinstance(part, (list, tuple)):
            digest.update(f"{type(part).__name__} {len(part)}".encode())
            for item in part:
                feed(item)
        else:
            digest.update(repr(part).encode())

    feed(content)
    return digest.hexdigest()
