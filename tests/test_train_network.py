"""The step's shortcuts change no number and give no memory back."""

import subprocess
import sys

import pytest
import torch
from train_runs import ROOT

from sgz.model import EnhanceNet
from training.network import TrainedNet

FAULTS = """
import resource, torch
from training.memory import keep_freed_memory
from training.network import TrainedNet
keep_freed_memory()
net, image = TrainedNet(), torch.rand(2, 3, 256, 256)
for step in range(8):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    net(image)[0].sum().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.parametrize("kind", ["dsc", "tc", "dc"])
def test_the_trained_network_is_the_network(kind):
    torch.manual_seed(1)
    plain, trained = EnhanceNet(1, kind), TrainedNet(1, kind)
    trained.load_state_dict(plain.state_dict())
    image = torch.rand(2, 3, 24, 20)
    for a, b in zip(plain(image), trained(image), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
        a.square().sum().backward(retain_graph=True)
        b.square().sum().backward(retain_graph=True)
    for a, b in zip(plain.parameters(), trained.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5 * a.grad.abs().max().item())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_freed_memory_stays_with_the_process():
    """A step's activations have some 60,000 pages; how many glibc gives back by itself varies."""
    command = [sys.executable, "-c", FAULTS]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(run.stdout) < 600
