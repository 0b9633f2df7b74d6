"""Run every command of the README's bash blocks that starts with python or bash, in order.

Training is cut to one small epoch and benchmarks to one round; all else runs as it stands. A
block after the comment <!-- not run: why --> is left out.
"""

import re
import subprocess
import sys
from pathlib import Path

SHORTER = {
    "train.py": "--num_epochs 1 --image_size 64 --num_workers 0",
    "benchmarks/images.py": "--rounds 1",
    "benchmarks/training.py": "--rounds 1 --image_size 64",
    "benchmarks/video.py": "--rounds 1 --frames 20",
}
NOT_RUN = ("-m pytest",)  # .ci/run has done it


def commands(text: str) -> list[str]:
    """The commands, lines ending in a backslash joined."""
    blocks = re.findall(r"(<!-- not run: .*? -->\n)?```bash\n(.*?)```", text, re.DOTALL)
    lines = "".join(block for marker, block in blocks if not marker).replace("\\\n", " ")
    found = []
    for line in lines.splitlines():
        command = line.split("&& ")[-1].strip()
        if command.startswith(("python ", "bash ")) and not any(n in command for n in NOT_RUN):
            found.append(command)
    return found


def main() -> int:
    found = commands(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if len(found) < 3:
        print("the README's commands were not found")
        return 1
    for command in found:
        for script, flags in SHORTER.items():
            if f" {script}" in command:
                command = f"{command} {flags}"
        print(f"\n$ {command}", flush=True)
        code = subprocess.run(command, shell=True, check=False).returncode
        if code:
            print(f"exit code {code}")
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
