"""Where a device's memory runs out the picture is enhanced in parts, and is the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sgz.device import by_strips
from sgz.errors import UserError

ROOT = Path(__file__).parents[1]
# What is free is bounded for real, so that torch's allocator on the processor refuses.
CHILD = """
import json, resource, sys, warnings
from pathlib import Path
import numpy as np, torch
from sgz.device import DevicePath
from sgz.enhancer import Enhancer
from sgz.processor import PACKAGED

never = resource.RLIM_INFINITY
for options, side, free in json.loads(sys.argv[1]):
    image = np.random.default_rng(0).integers(0, 99, (side, side, 3), np.uint8)
    enhancer = Enhancer(device="cpu", threads=1, **options)
    enhancer.path = DevicePath(PACKAGED / "Epoch99.pth", "dsc", "cpu")
    expected = enhancer(image)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + free * 1_000_000, never))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = enhancer(image)
    resource.setrlimit(resource.RLIMIT_AS, (never, never))
    print(json.dumps([[str(one.message) for one in said], bool((found == expected).all())]))
"""
CASES = [  # options, side of the picture, megabytes that are free
    ({"look": "natural", "denoise": 4.0}, 600, 30),
    ({"look": "paper"}, 1000, 30),
    ({"look": "paper", "scale_factor": 1}, 240, 50),  # the network's tiles too
]


@pytest.mark.skipif(sys.platform != "linux", reason="bounds its memory as Linux does")
def test_a_shortage_ends_in_the_same_picture():
    command = [sys.executable, "-c", CHILD, json.dumps(CASES)]
    # So that what is freed is free: else the C library keeps some, more or less by chance.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == len(CASES)
    for said, is_equal in results:
        assert "does not fit into the free memory of cpu" in said[0]
        assert is_equal


def test_where_nothing_fits_it_is_a_sentence():
    def work(first: int, last: int) -> torch.Tensor:
        return torch.empty(1 << 50, dtype=torch.uint8)

    with pytest.warns(UserWarning), pytest.raises(UserError, match="too little free memory on cpu"):
        by_strips(work, 500, torch.device("cpu"))


def test_another_fault_is_not_taken_for_a_shortage():
    def work(first: int, last: int) -> torch.Tensor:
        return torch.zeros(2) @ torch.zeros(3)

    with pytest.raises(RuntimeError, match="inconsistent"):
        by_strips(work, 500, torch.device("cpu"))
