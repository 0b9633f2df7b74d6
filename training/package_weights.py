"""Put a checkpoint into the package: itself, and its network as ONNX, which needs no torch.

python training/package_weights.py --weight_dir weight/Epoch99.pth
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from anywhere

from option import add_checkpoint_option
from sgz.command import new_parser, run_script
from sgz.files import write_whole

PACKAGED = ROOT / "sgz" / "weights"


def package_parser() -> argparse.ArgumentParser:
    """Options of this script."""
    parser = new_parser("Put a checkpoint into the package sgz.")
    add_checkpoint_option(parser)
    return parser


def main() -> None:
    from sgz.model import load_model  # late: --help needs no torch
    from sgz.onnx_graph import network_to_onnx

    weight = package_parser().parse_args().weight_dir
    network = network_to_onnx(load_model(weight))
    write_whole(PACKAGED / "Epoch99.pth", weight.read_bytes())
    write_whole(PACKAGED / "Epoch99.onnx", network)
    print(f"{PACKAGED} holds {weight} now")


if __name__ == "__main__":
    run_script(main)
