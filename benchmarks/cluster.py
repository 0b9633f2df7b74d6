"""Measure --engine ray on this machine: its speed beside the local engine's, and a machine lost.

python benchmarks/cluster.py
python benchmarks/cluster.py --lose --count 2000

A cluster here is a head and raylets as processes of their own, one core each, all on loopback.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from anywhere

from benchmarks.images import dark_image
from sgz.command import SIZE, new_parser, run_script
from sgz.machine import describe_machine

STORE_BYTES = 100_000_000  # of each raylet's object store; through it go names, not pictures
SIZES = {"32x24": (24, 32), "600x400": (400, 600)}
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),  # as if sgz were installed on every machine
    "RAY_USAGE_STATS_ENABLED": "0",
}
QUICK_DEATH = {  # a machine is given up after a second and a half, not fifteen
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 500,
    "health_check_initial_delay_ms": 1000,
    "health_check_failure_threshold": 3,
}


@contextmanager
def small_cluster(raylets: int, **environment: str) -> Iterator:
    """Ray's own test cluster: a head without cores, and raylets of one core each."""
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT | environment)
    from ray.cluster_utils import Cluster  # late: an extra, and it reads the environment

    cluster = Cluster()
    try:
        add_raylet(cluster, num_cpus=0, _system_config=QUICK_DEATH)
        for _ in range(raylets):
            add_raylet(cluster)
        yield cluster
    finally:
        cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)


def add_raylet(cluster, **options):
    """One more machine of a small_cluster."""
    defaults = {
        "num_cpus": 1,
        "object_store_memory": STORE_BYTES,
        "include_dashboard": False,
    }
    return cluster.add_node(wait=False, **defaults | options)


def kill_raylet(node) -> None:
    """A machine's sudden end: its raylet is killed, and its workers go with it."""
    for process in node.all_processes["raylet"]:
        os.kill(process.process.pid, signal.SIGKILL)


def make_folder(folder: Path, count: int, size: tuple[int, int]) -> None:
    """A folder of PNG files, of which no two are alike."""
    from sgz.image.photo import Photo, encode_photo

    image = dark_image(*size)
    for number in range(count):
        path = folder / f"{number % 7}" / f"{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.roll(image, number, axis=0) + np.uint8(number % 50)
        path.write_bytes(encode_photo(Photo(pixels), ".png"))


def brighten(*arguments: object) -> subprocess.Popen:
    """The command sgz, begun."""
    command = [sys.executable, "-m", "sgz", *map(str, arguments)]
    environment = os.environ | ENVIRONMENT
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


class Watcher(threading.Thread):
    """Looks at a folder's files again and again: which were written a second time."""

    def __init__(self, folder: Path):
        super().__init__(daemon=True)
        self.folder, self.first, self.twice = folder, {}, set()
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.2):
            self.look()

    def look(self) -> None:
        for path in self.folder.rglob("[0-9]*.png"):
            status = path.stat()
            mark = status.st_ino, status.st_mtime_ns
            if self.first.setdefault(path, mark) != mark:
                self.twice.add(path)


def lose_a_machine(folder: Path, count: int, size: tuple[int, int]) -> dict:
    """Enhance while one of two raylets is killed halfway and another joins: what came of it."""
    make_folder(folder / "in", count, size)
    target, record = folder / "out", folder / "report.jsonl"
    with small_cluster(2) as cluster:
        victim = cluster.list_all_nodes()[-1]
        watcher = Watcher(target)
        watcher.start()
        run = brighten(
            folder / "in", target, "--engine", "ray", "--address", cluster.address,
            "--report", record,
        )  # fmt: skip
        while run.poll() is None and len(watcher.first) < count // 3:
            time.sleep(0.1)
        at_kill = len(watcher.first)
        kill_raylet(victim)
        add_raylet(cluster)
        out, errors = run.communicate(timeout=300)
        watcher.ended.set()
        watcher.join()
        watcher.look()
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    local = brighten(folder / "in", folder / "local")
    local.communicate(timeout=300)
    return {
        "code": run.returncode,
        "output": out,
        "errors": errors,
        "done_at_kill": at_kill,
        "written": sum(line["status"] == "written" for line in lines),
        "named_once": len({line["source"] for line in lines}) == len(lines),
        "written_twice": len(watcher.twice),
        "workers": len({line["worker"] for line in lines}),
        "equal": sum(
            path.read_bytes() == (folder / "local" / path.relative_to(target)).read_bytes()
            for path in target.rglob("*.png")
        ),
        "left_over": sum(path.name.startswith(".") for path in target.rglob("*")),
    }


def seconds_by(engine: str, source: Path, target: Path, cluster) -> float:
    """Seconds that one engine takes on a folder, from the first look at it to the last file."""
    from sgz.cluster.run import ClusterEnhancer
    from sgz.enhancer import Enhancer
    from sgz.folder import FolderEnhancer

    if engine == "local":
        folder = FolderEnhancer(Enhancer(threads=1), source, target, workers=2)
    else:
        folder = ClusterEnhancer(source, target, None, {}, address=cluster.address)
    report = folder.run()
    if report.exit_code:
        raise RuntimeError("\n".join(report.failure_lines({})))
    return report.seconds


def compare(size: tuple[int, int], count: int, rounds: int, cluster) -> dict:
    """Both engines in turns over a folder and over a tenth of it: what a file takes more by Ray."""
    times: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for files in (count // 10, count):
            make_folder(Path(scratch, f"in{files}"), files, size)
        for number in range(rounds + 1):
            for files in (count // 10, count):
                for engine in ("local", "ray"):
                    target = Path(scratch, f"{engine}{files}-{number}")
                    taken = seconds_by(engine, Path(scratch, f"in{files}"), target, cluster)
                    if number:  # the first round warms up
                        times.setdefault((engine, files), []).append(taken)
    middle = {key: median(values) for key, values in times.items()}
    more = count - count // 10
    a_file = {
        e: (middle[e, count] - middle[e, count // 10]) / more * 1000 for e in ("local", "ray")
    }
    return {
        "local_files_per_s": count / middle["local", count],
        "ray_files_per_s": count / middle["ray", count],
        "ratio": middle["local", count] / middle["ray", count],
        "ratio_without_start": a_file["local"] / a_file["ray"],
        "ray_start_s": middle["ray", count] - count * a_file["ray"] / 1000,
        "overhead_ms_a_file": a_file["ray"] - a_file["local"],
    }


def benchmark_parser() -> argparse.ArgumentParser:
    """Options of benchmarks/cluster.py."""
    parser = new_parser("Measure --engine ray on this machine.")
    parser.add_argument("--count", type=SIZE, default=2000, help="photographs")
    parser.add_argument("--rounds", type=SIZE, default=3, help="measured runs of each engine")
    parser.add_argument("--lose", action="store_true", help="lose a machine and gain another")
    return parser


def main() -> None:
    options = benchmark_parser().parse_args()
    if options.lose:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(lose_a_machine(Path(folder), options.count, SIZES["32x24"])))
        return
    print(f"{describe_machine()}; medians of {options.rounds} runs over {options.count} PNGs\n")
    print("| size | local, 2 threads | Ray, 2 workers | ratio | without start | ms a file more |")
    print("|---|---:|---:|---:|---:|---:|")
    with small_cluster(2) as cluster:
        for label, size in SIZES.items():
            row = compare(size, options.count, options.rounds, cluster)
            print(
                f"| {label} | {row['local_files_per_s']:.0f} files/s | "
                f"{row['ray_files_per_s']:.0f} files/s | {row['ratio']:.2f} | "
                f"{row['ratio_without_start']:.2f} | {row['overhead_ms_a_file']:.2f} |",
                flush=True,
            )
            print(json.dumps(row), file=sys.stderr)


if __name__ == "__main__":
    run_script(main)
