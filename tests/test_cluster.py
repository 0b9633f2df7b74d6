"""--engine ray on a real cluster of this machine: a machine lost, a store, and what goes wrong."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from clips import make_clip
from pictures import animation, files_under, png, scene, write_all

from benchmarks import cluster as clusters
from sgz.errors import UserError
from sgz.outputs import OutputNames

ROOT = Path(__file__).parents[1]
pytest.importorskip("pyarrow", reason="the extra `cluster` is not installed")
pytest.importorskip("ray.data", reason="the extra `cluster` is not installed")


@pytest.fixture(scope="module")
def address():
    """A cluster of one raylet beside its head."""
    with clusters.small_cluster(1, **STORE) as cluster:
        yield cluster.address


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


PORT = free_port()
STORE = {  # what reaches the store that `bucket` starts, for raylets and scripts alike
    "AWS_ACCESS_KEY_ID": "someone",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
QUERY = f"?scheme=http&endpoint_override=127.0.0.1%3A{PORT}"


def run(*arguments: object, script: tuple = ("-m", "sgz"), folder: Path = ROOT):
    """The command sgz, or test.py, begun in a folder."""
    return subprocess.run(
        [sys.executable, *script, *map(str, arguments)],
        cwd=folder,
        env=os.environ | clusters.ENVIRONMENT | STORE,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_machine_lost_and_another_gained(tmp_path):
    found = clusters.lose_a_machine(tmp_path, 200, clusters.SIZES["32x24"])
    assert (found["code"], found["errors"]) == (0, ""), found
    assert found["done_at_kill"] < 200
    assert found["written"] == found["equal"] == 200
    assert found["named_once"]
    assert (found["written_twice"], found["left_over"]) == (0, 0)
    assert found["workers"] >= 2
    assert found["output"].startswith("enhanced 200 images in")


def test_all_that_a_folder_may_hold(address, tmp_path):
    source, target = tmp_path / "in", tmp_path / "out"
    good = {f"夜/{i}.png": png(scene(20, 30 + i)) for i in range(5)}
    good |= {os.fsdecode(b"latin-\xe9.png"): png(scene(20, 30))}
    write_all(source, good | {"moving.gif": animation("GIF"), "same.ppm": png(scene(20, 30))})
    write_all(source, {"same.png": png(scene(20, 30)), "cut.png": png(scene(60, 80))[:900]})
    make_clip(source / "clip.mkv", frames=8)
    arguments = [source, target, "--engine", "ray", "--address", address]
    done = run(*arguments, "--report", tmp_path / "record.jsonl")
    written = set(good) | {"moving.gif", "same.png"}
    assert files_under(target) == written | {"clip.mp4"}
    assert done.returncode == 1
    lines = sorted(done.stderr.splitlines())
    assert len(lines) == 2, done.stderr
    assert lines[0].startswith(f"not enhanced: {source}/cut.png: truncated")
    assert lines[1].startswith(f"not enhanced: {source}/same.ppm: same.png is already the output")
    assert f"enhanced {len(written)} images in" in done.stdout
    assert "enhanced 1 videos of 8 frames" in done.stdout
    record = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert sorted(line["status"] for line in record) == ["failed"] * 2 + ["written"] * 9

    before = {path: path.stat().st_mtime_ns for path in target.rglob("*.*")}
    (target / "same.png").unlink()
    again = run(*arguments, "--skip_existing")
    assert "enhanced 1 image in" in again.stdout
    assert f"{len(written)} were already there" in again.stdout  # the video too
    after = {path: path.stat().st_mtime_ns for path in target.rglob("*.*")}
    assert {p for p in after if after[p] != before[p]} == {target / "same.png"}
    assert "is not empty; add --overwrite" in run(*arguments).stderr

    local = run(source, tmp_path / "local")
    assert local.returncode == 1
    for name in written:
        assert (target / name).read_bytes() == (tmp_path / "local" / name).read_bytes()


def test_test_py_takes_its_own_options_there(address, tmp_path, weight):
    write_all(tmp_path / "in", {"a.png": png(scene(29, 31))})
    options = ["--input_dir", tmp_path / "in", "--weight_dir", weight, "--paper_crop"]
    options += ["--format", "tif", "--test_dir"]
    on_cluster = ["--engine", "ray", "--address", address]
    done = run(*options, tmp_path / "ray", *on_cluster, script=("test.py",))
    assert (done.returncode, done.stderr) == (0, "")
    run(*options, tmp_path / "local", script=("test.py",))
    assert files_under(tmp_path / "ray") == {"a.tif"}
    assert (tmp_path / "ray/a.tif").read_bytes() == (tmp_path / "local/a.tif").read_bytes()


@pytest.fixture(scope="module")
def bucket():
    """An S3 store of this machine (moto's), and a client that fills it."""
    pytest.importorskip("moto", reason="moto[server] is not installed")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(PORT)]
    server = subprocess.Popen(
        command, env=os.environ | STORE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    from pyarrow.fs import S3FileSystem

    try:
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", PORT), 1).close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < until
                time.sleep(0.1)
        client = S3FileSystem(
            access_key=STORE["AWS_ACCESS_KEY_ID"],
            secret_key=STORE["AWS_SECRET_ACCESS_KEY"],
            region="us-east-1",
            scheme="http",
            endpoint_override=f"127.0.0.1:{PORT}",
            allow_bucket_creation=True,
        )
        client.create_dir("dark")
        client.create_dir("bright")
        yield client
    finally:
        server.terminate()
        server.wait()


def test_from_one_store_into_another(bucket, address, tmp_path):
    names = [f"{i % 3}/{i}.png" for i in range(200)]
    write_all(tmp_path / "in", {name: png(scene(24, 32, seed=i)) for i, name in enumerate(names)})
    for name in [*names, "0/../up.png", ".hidden.png", "note.txt"]:
        with bucket.open_output_stream(f"dark/in/{name}") as stream:
            path = tmp_path / "in" / name
            stream.write(path.read_bytes() if path.is_file() else b"no picture")
    target = f"s3://bright/out{QUERY}"
    arguments = [f"s3://dark/in{QUERY}", target, "--engine", "ray", "--address", address]
    done = run(*arguments)
    assert "enhanced 200 images" in done.stdout, done.stderr
    run(tmp_path / "in", tmp_path / "local")
    for name in names:
        with bucket.open_input_stream(f"bright/out/{name}") as stream:
            assert stream.read() == (tmp_path / "local" / name).read_bytes()

    bucket.delete_file("bright/out/1/1.png")
    again = run(*arguments, "--skip_existing")
    assert "enhanced 1 image in" in again.stdout
    assert "199 were already there" in again.stdout


def test_a_store_that_refuses_is_a_sentence(bucket, address, tmp_path):
    write_all(tmp_path / "in", {"a.png": png(scene(24, 32))})
    on_cluster = ["--engine", "ray", "--address", address]
    done = run(tmp_path / "in", f"s3://none/out{QUERY}", *on_cluster)
    assert done.returncode == 1
    assert "cannot write into s3://none/out (NO_SUCH_BUCKET during" in done.stderr
    done = run(f"s3://dark/nothing{QUERY}", tmp_path / "out", *on_cluster)
    assert "there is nothing under s3://dark/nothing" in done.stderr
    done = run("odd://dark/nothing", tmp_path / "out", *on_cluster)
    assert "odd://dark/nothing cannot be opened" in done.stderr
    assert not (tmp_path / "out").exists() or not files_under(tmp_path / "out")

    def set_free_requests(count: bytes) -> None:
        rights = f"http://127.0.0.1:{PORT}/moto-api/reset-auth"
        header = {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(rights, count, header)).close()

    try:
        set_free_requests(b"0")
        done = run(tmp_path / "in", f"s3://bright/out{QUERY}", *on_cluster)
    finally:
        set_free_requests(b"inf")
    assert done.returncode == 1
    assert "cannot write into s3://bright/out (" in done.stderr
    assert len(done.stderr.splitlines()) == 1


OTHER = "9.9.9"


def test_a_machine_with_another_version_is_named(tmp_path):
    shutil.copytree(ROOT / "sgz", tmp_path / "old/sgz")
    init = tmp_path / "old/sgz/__init__.py"
    init.write_text(init.read_text().replace('__version__ = "', f'__version__ = "{OTHER}" or "'))
    write_all(tmp_path / "in", {"a.png": png(scene(24, 32))})
    with clusters.small_cluster(1, PYTHONPATH=str(tmp_path / "old")) as cluster:
        arguments = ["--engine", "ray", "--address", cluster.address]
        # From elsewhere: Ray's workers look for modules where the script began, too.
        done = run(tmp_path / "in", tmp_path / "out", *arguments, folder=tmp_path)
    assert done.returncode == 1
    assert f") has sgz {OTHER}; install" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not files_under(tmp_path / "out")


KILLER = """
import os, sys
from pathlib import Path
from sgz.cluster.run import ClusterEnhancer
source, target, address = sys.argv[1:]

def prepare(photo):
    if photo.pixels.shape[0] == 13:
        os._exit(1)  # as a decoder's fault or the system's for want of memory would
    return photo

report = ClusterEnhancer(source, target, None, {}, address, prepare=prepare).run()
for line in (report.written, report.exit_code, *report.failure_lines({})):
    print(line)
"""


def test_a_file_that_kills_its_worker_is_named(address, tmp_path):
    write_all(tmp_path / "in", {f"{i}.png": png(scene(10 + i, 32)) for i in range(7)})
    script = ("-c", KILLER)
    done = run(tmp_path / "in", tmp_path / "out", address, script=script)
    written, code, *failures = done.stdout.splitlines()
    assert code == "1", done.stderr
    assert any("in/3.png: its worker died each time" in line for line in failures)
    assert int(written) == len(files_under(tmp_path / "out")) >= 5
    assert "3.png" not in files_under(tmp_path / "out")
    assert int(written) + len(failures) == 7


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--address", "127.0.0.1:9"], "no Ray cluster at 127.0.0.1:9 ("),
        (["--address", "nowhere"], "no Ray cluster at nowhere ("),
        (["--report", "/proc/none"], "cannot write /proc/none"),
    ],
)
def test_no_cluster_there(options, said, tmp_path, address):
    write_all(tmp_path / "in", {"a.png": png(scene(24, 32))})
    if "--report" in options:
        options = [*options, "--address", address]
    done = run(tmp_path / "in", tmp_path / "out", "--engine", "ray", *options)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not files_under(tmp_path / "out")


WITHOUT_RAY = "import sys; sys.modules['ray'] = None; from sgz.cli import run; run()"


def test_without_a_cluster_each_mistake_is_a_sentence(tmp_path):
    write_all(tmp_path / "in", {"a.png": png(scene(24, 32))})
    photo, folder, out = tmp_path / "in/a.png", tmp_path / "in", tmp_path / "out"
    cases = [
        (run(folder, out, "--engine", "ray", script=("-c", WITHOUT_RAY)),
         "a cluster needs Ray; pip install 'sgz[cluster]'; or leave out --engine ray"),
        (run(photo, out, "--engine", "ray"), "is one file, and a cluster takes a folder"),
        (run(tmp_path / "none", out, "--engine", "ray"), "no such file or folder"),
        (run(folder, "s3://bright/out"), "s3://bright/out is in a store; add --engine ray"),
        (run(folder, out, "--report", "x"), "--report needs --engine ray"),
        (run("s3://dark/in", "--engine", "ray"), "name an OUT"),
    ]  # fmt: skip
    for done, said in cases:
        assert done.returncode == 1
        assert said in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not out.exists()


def test_names_that_differ_only_by_case():
    names = OutputNames("in", lambda name: name, lambda name: True, case_blind=True)
    assert names.claim(Path("Photo.png")) == Path("Photo.png")
    assert names.claim(Path("other.png")) == Path("other.png")
    with pytest.raises(UserError, match=r"already the output of in/Photo.png \(here case"):
        names.claim(Path("photo.PNG"))
