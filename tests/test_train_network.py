"""The step's shortcuts change no number and give no memory back."""

import subprocess
import sys

import pytest
import torch
from train_runs import ROOT

from sgz.model import EnhanceNet
from training.network import TrainedNet

FAULTS = """
import resource, statistics, torch
from training.memory import keep_freed_memory
from training.network import TrainedNet
keep_freed_memory()
net, image = TrainedNet(), torch.rand(2, 3, 256, 256)
counts = [resource.getrusage(resource.RUSAGE_SELF).ru_minflt]
for step in range(10):
    net(image)[0].sum().backward()
    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(statistics.median(after - before for before, after in zip(counts, counts[1:])))
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
    """A step's activations have some 60,000 pages; of them glibc by itself gives back 12,000 or
    more each time. Some steps still find the pool in pieces, and ask for a block."""
    command = [sys.executable, "-c", FAULTS]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(run.stdout) < 600
