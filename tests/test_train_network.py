"""The step's shortcuts change no number and give no memory back."""

import subprocess
import sys

import pytest
import torch
from train_runs import ROOT

from sgz.model import EnhanceNet
from training.network import TrainedNet

# A block above 32 MB, the most that glibc may come to keep by itself; the first step warms up.
FAULTS = """
import resource, torch
from training.memory import keep_freed_memory
{}
torch.set_num_threads(1)
for step in range(8):
    if step == 1:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 << 20)
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
    def count(call):
        command = [sys.executable, "-c", FAULTS.format(call)]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return int(run.stdout)

    assert count("keep_freed_memory()") < count("") / 10
