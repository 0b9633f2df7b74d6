"""The model, for images of any size, in torch's own formats."""

import io
import warnings

import torch

from sgz.model import EnhanceNet


def to_torchscript(net: EnhanceNet) -> bytes:
    """A TorchScript archive, for torch.jit.load and libtorch."""
    print("torch has deprecated TorchScript; --format torch_export takes its place")
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # said above, once
        torch.jit.save(torch.jit.script(net), buffer)
    return buffer.getvalue()


def to_torch_export(net: EnhanceNet) -> bytes:
    """An archive for torch.export.load; batch, height and width are free."""
    from torch.fx.experimental import _config

    free = torch.export.Dim.DYNAMIC
    image = torch.zeros(2, 3, 50, 61)
    buffer = io.BytesIO()
    # Or the file would refuse a batch of one, multiples of the scale factor and tiny images, as
    # torch.export takes what holds for the sample (a size is not 1, a cut is needed) for a rule.
    with _config.patch(backed_size_oblivious=True):
        program = torch.export.export(
            net, (image,), dynamic_shapes={"image": {0: free, 2: free, 3: free}}
        )
        torch.export.save(program, buffer)
    return buffer.getvalue()
