"""Run every command of the documentation's bash blocks, in order, each once.

    python .ci/commands.py README.md docs/*.md

Those that start with python, bash or sgz. Training is cut to one small epoch and benchmarks to one
round; all else runs as it stands. A block after the comment <!-- not run: why --> is left out.
"""

import re
import subprocess
import sys
import time
from pathlib import Path

SHORTER = {
    "train.py": "--num_epochs 1 --image_size 64 --num_workers 0",
    "benchmarks/images.py": "--rounds 1",
    "benchmarks/training.py": "--rounds 1 --image_size 64",
    "benchmarks/video.py": "--rounds 1 --frames 20",
}
NOT_RUN = ("-m pytest", "-m venv")  # .ci/run has done it


def commands(text: str) -> list[str]:
    """The commands, lines ending in a backslash joined and comments cut off."""
    blocks = re.findall(r"(<!-- not run: .*? -->\n)?```bash\n(.*?)```", text, re.DOTALL)
    lines = "".join(block for marker, block in blocks if not marker).replace("\\\n", " ")
    found = []
    for line in lines.splitlines():
        command = line.split("&& ")[-1].split("  #")[0].strip()
        if command.startswith(("python ", "bash ", "sgz ")):
            found.append(command)
    return [command for command in found if not any(part in command for part in NOT_RUN)]


def main() -> int:
    found = {c: None for path in sys.argv[1:] for c in commands(Path(path).read_text("utf-8"))}
    if len(found) < 3:
        print("the documentation's commands were not found")
        return 1
    for command in found:
        for script, flags in SHORTER.items():
            if f" {script}" in command:
                command = f"{command} {flags}"
        print(f"\n$ {command}", flush=True)
        start = time.monotonic()
        code = subprocess.run(command, shell=True, check=False).returncode
        print(f"({time.monotonic() - start:.0f} s)", flush=True)
        if code:
            print(f"exit code {code}")
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
