"""An Enhancer as people use it: paths, PIL images, alpha; copied, pickled, forked."""

import copy
import multiprocessing
import os
import pickle
import signal
from pathlib import Path

import numpy as np
import pytest
from pictures import exif, png, saved, scene
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from sgz.enhancer import Enhancer
from sgz.errors import ImageError

DARK = scene(70, 90)


@pytest.fixture(scope="module")
def enhancer():
    """The packaged one, used, with threads of its own."""
    enhancer = Enhancer(device="cpu", threads=2)
    enhancer(scene(400, 500))
    return enhancer


def test_finds_its_weights_from_any_folder(enhancer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(Enhancer(device="cpu")(DARK), enhancer(DARK))


def test_a_path_gives_the_pixels_upright(enhancer, tmp_path):
    (tmp_path / "x.png").write_bytes(saved(Image.fromarray(DARK), "PNG", exif=exif(6).tobytes()))
    for path in (tmp_path / "x.png", str(tmp_path / "x.png")):
        np.testing.assert_array_equal(enhancer(path), enhancer(np.rot90(DARK, -1)))
    with pytest.raises(ImageError, match="no such file"):
        enhancer(tmp_path / "gone.png")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_passes_through(dtype, enhancer):
    dark, alpha = scene(70, 90, 3, dtype), scene(70, 90, 1, dtype, seed=3)
    for colours in (dark, dark[..., 0]):
        found = enhancer(np.dstack((colours, alpha)))
        np.testing.assert_array_equal(found[..., -1], alpha)
        np.testing.assert_array_equal(found[..., :-1].reshape(colours.shape), enhancer(colours))


def test_a_pil_image_for_a_pil_image(enhancer):
    alpha = scene(70, 90, 1, seed=3)
    for pixels in (DARK, DARK[..., 0], np.dstack((DARK, alpha)), scene(70, 90, 1, np.uint16)):
        image = Image.fromarray(pixels)
        image.info["icc_profile"] = b"kept"
        found = enhancer(image)
        assert found.mode == image.mode
        np.testing.assert_array_equal(np.asarray(found), enhancer(pixels))
    palette = Image.fromarray(DARK).quantize(16)
    expected = enhancer(np.asarray(palette.convert("RGB")))
    np.testing.assert_array_equal(np.asarray(enhancer(palette)), expected)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"strength": float("nan")}, "strength"),
        ({"strength": -1.0}, "strength"),
        ({"strength": float("inf")}, "strength"),
        ({"iterations": -1}, "iterations"),
        ({"iterations": 2.5}, "iterations"),
        ({"iterations": float("nan")}, "iterations"),
    ],
)
def test_numbers_out_of_range_are_refused(options, named, enhancer):
    with pytest.raises(ValueError, match=f"{named} must be"):
        Enhancer(device="cpu", **options)
    with pytest.raises(ValueError, match=f"{named} must be"):
        enhancer.apply(DARK, enhancer.factor(DARK), **options)


def test_maps_and_arrays_of_another_kind_are_refused(enhancer):
    factor = enhancer.factor(DARK)
    for wrong in (np.nan, 1.5, -np.inf):
        factor[1, 2, 3] = wrong
        with pytest.raises(ValueError, match=r"in \[-1, 1\]"):
            enhancer.apply(DARK, factor)
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix(DARK[..., 0])
    for image in (matrix, np.ma.masked_array(DARK), [[1, 2]], None):
        with pytest.raises(ValueError, match="ordinary NumPy array"):
            enhancer(image)


def test_pickled_and_copied_it_does_the_same(enhancer):
    expected = enhancer(DARK)
    for twin in (pickle.loads(pickle.dumps(enhancer)), copy.deepcopy(enhancer)):
        np.testing.assert_array_equal(twin(DARK), expected)
        assert twin.path is not enhancer.path
    assert copy.copy(enhancer).path is enhancer.path


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_enhances_and_ends(enhancer, tmp_path):
    large = scene(400, 500)
    expected = enhancer(large)
    child = os.fork()
    if not child:
        signal.alarm(60)  # a hang ends the child
        np.save(tmp_path / "found.npy", enhancer(large))
        del enhancer.path  # and closing what the parent started does not wait for its threads
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), expected)
    np.testing.assert_array_equal(enhancer(large), expected)


class Photographs(Dataset):
    """Two photographs, enhanced where they are loaded."""

    def __init__(self, enhancer: Enhancer, folder: Path):
        self.enhancer = enhancer
        self.paths = [folder / "0.png", folder / "1.png"]
        for seed, path in enumerate(self.paths):
            path.write_bytes(png(scene(300, 400, seed=seed)))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.enhancer(self.paths[index])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_data_loader(method, enhancer, tmp_path):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    data = Photographs(enhancer, tmp_path)
    context = multiprocessing.get_context(method)
    loader = DataLoader(data, batch_size=2, num_workers=1, multiprocessing_context=context,
                        timeout=90)  # fmt: skip
    (batch,) = loader
    for index, found in enumerate(batch.numpy()):
        np.testing.assert_array_equal(found, data[index])
