"""The network and its checkpoints against the authors' code."""

import shutil
from pathlib import Path

import pytest
import torch
from golden import fill, wave
from torch import nn

from sgz.errors import CheckpointError
from sgz.model import EnhanceNet, apply_curve, initialise_paper, load_model, read_state_dict

SHARED = Path(__file__).parents[2] / "shared" / "weights"
CHECKPOINTS = [SHARED / "sgz_official_Epoch99.pth", SHARED / "zero_dce_pp_Epoch99.pth"]
POINTS = [(0, 0, 0, 0), (0, 1, 5, 7), (1, 2, 23, 35), (1, 0, 11, 20)]
# conv_type, scale_factor -> enhanced and factor at POINTS, mean of enhanced, mean of factor
GOLDEN = {
    ("dsc", 1): (
        [0.14756551384925842, 0.04756372794508934, 0.06877757608890533, 0.2739950716495514],
        [0.1833934783935547, 0.20545795559883118, 0.14544957876205444, 0.15281891822814941],
        0.13148294389247894,
        0.1502106785774231,
    ),
    ("dsc", 12): (
        [0.1759604513645172, 0.046252377331256866, 0.07310137897729874, 0.28962022066116333],
        [0.15956677496433258, 0.2084989994764328, 0.13817068934440613, 0.14357221126556396],
        0.13078582286834717,
        0.15579625964164734,
    ),
    ("tc", 1): (
        [0.3765755593776703, 0.13827267289161682, 0.10851661115884781, 0.4892958402633667],
        [0.0347011461853981, 0.07549460232257843, 0.08863992244005203, 0.03829900920391083],
        0.23757463693618774,
        0.06022147089242935,
    ),
    ("tc", 12): (
        [0.3949250280857086, 0.17860302329063416, 0.13781967759132385, 0.5086071491241455],
        [0.025076555088162422, 0.03892353177070618, 0.05634760484099388, 0.028630880638957024],
        0.25275924801826477,
        0.037049729377031326,
    ),
}


@pytest.mark.parametrize(("conv_type", "scale_factor"), GOLDEN)
def test_forward_equals_the_authors(conv_type, scale_factor):
    enhanced_points, factor_points, enhanced_mean, factor_mean = GOLDEN[conv_type, scale_factor]
    net = EnhanceNet(scale_factor, conv_type)
    fill(list(net.state_dict().values()))
    with torch.no_grad():
        enhanced, factor = net(wave((2, 3, 24, 36), 0.5, 0.0, 0.6))
    assert [enhanced[p].item() for p in POINTS] == pytest.approx(enhanced_points, rel=1e-5)
    assert [factor[p].item() for p in POINTS] == pytest.approx(factor_points, rel=1e-5)
    assert enhanced.mean().item() == pytest.approx(enhanced_mean, rel=1e-5)
    assert factor.mean().item() == pytest.approx(factor_mean, rel=1e-5)


@pytest.mark.parametrize(("conv_type", "count"), [("dsc", 10_561), ("tc", 67_299), ("dc", 67_299)])
def test_number_of_parameters(conv_type, count):
    assert sum(p.numel() for p in EnhanceNet(conv_type=conv_type).parameters()) == count


def test_checkpoint_keys_are_the_shared_file_format():
    expected = [
        f"e_conv{n}.{layer}.{kind}"
        for n in range(1, 8)
        for layer in ("depth_conv", "point_conv")
        for kind in ("weight", "bias")
    ]
    assert list(EnhanceNet().state_dict()) == expected
    assert set(EnhanceNet(conv_type="tc").state_dict()) == {
        f"e_conv{n}.conv.{kind}" for n in range(1, 8) for kind in ("weight", "bias")
    }


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (11, 12), (13, 25), (24, 36), (50, 7)])
@pytest.mark.parametrize("scale_factor", [1, 5, 12])
def test_every_size_keeps_its_size(size, scale_factor):
    enhanced, factor = EnhanceNet(scale_factor)(torch.rand(2, 3, *size))
    assert enhanced.shape == factor.shape == (2, 3, *size)
    assert enhanced.min() >= 0 and enhanced.max() <= 1


def test_negative_factors_brighten_and_zero_changes_nothing():
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(apply_curve(image, torch.zeros_like(image)), image)
    assert (apply_curve(image, torch.full_like(image, -0.3)) >= image).all()


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda p: p.stem)
def test_published_checkpoints_load(path, tmp_path):
    if not path.exists():
        pytest.skip("the published checkpoints are not beside the project")
    prefixed = tmp_path / "prefixed.pth"
    torch.save({f"module.{k}": v for k, v in read_state_dict(path).items()}, prefixed)
    net, same = load_model(path), load_model(prefixed)
    image = torch.rand(1, 3, 30, 30)
    assert torch.equal(net(image)[0], same(image)[0])


@pytest.mark.parametrize("size", [(12, 12), (96, 144), (240, 360)])
def test_8_bit_output_equals_the_reference_computation_exactly(size):
    path = CHECKPOINTS[0]
    if not path.exists():
        pytest.skip("the published checkpoints are not beside the project")
    weights = read_state_dict(path)

    def block(number, x):
        w = [weights[f"e_conv{number}.{p}"] for p in ("depth_conv.weight", "depth_conv.bias")]
        x = nn.functional.conv2d(x, *w, padding=1, groups=x.shape[1])
        w = [weights[f"e_conv{number}.{p}"] for p in ("point_conv.weight", "point_conv.bias")]
        return nn.functional.conv2d(x, *w)

    image = (wave((1, 3, *size), 0.2, 0, 120).round() / 255).clamp(0, 1)
    with torch.no_grad():
        small = nn.functional.interpolate(image, scale_factor=1 / 12, mode="bilinear")
        x1 = block(1, small).relu()
        x2 = block(2, x1).relu()
        x3 = block(3, x2).relu()
        x4 = block(4, x3).relu()
        x5 = block(5, torch.cat([x3, x4], 1)).relu()
        x6 = block(6, torch.cat([x2, x5], 1)).relu()
        a = nn.UpsamplingBilinear2d(scale_factor=12)(block(7, torch.cat([x1, x6], 1)).tanh())
        expected = image
        for _ in range(8):
            expected = expected + a * (torch.pow(expected, 2) - expected)
        ours = load_model(path, scale_factor=12)(image)[0]
    assert torch.equal((ours * 255 + 0.5).byte(), (expected * 255 + 0.5).byte())


def test_missing_checkpoint_names_the_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*nowhere\.pth"):
        load_model(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken zip"])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path, content):
    path = tmp_path / "bad.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"bad\.pth is no checkpoint .* expected a state"):
        load_model(path)


def test_a_truncated_checkpoint_is_named(tmp_path):
    path = tmp_path / "cut.pth"
    torch.save(EnhanceNet().state_dict(), path)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(CheckpointError, match=r"cut\.pth"):
        load_model(path)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return shutil.rmtree, (str(tmp_path / "victim"),)

    (tmp_path / "victim").mkdir()
    torch.save({"x": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="read safely"):
        load_model(tmp_path / "evil.pth")
    assert (tmp_path / "victim").exists()


def test_another_architecture_is_named_with_the_flag_that_fits(tmp_path):
    path = tmp_path / "tc.pth"
    torch.save(EnhanceNet(conv_type="tc").state_dict(), path)
    with pytest.raises(CheckpointError, match=r"another architecture.*conv_type tc"):
        load_model(path)
    assert load_model(path, conv_type="tc").conv_type == "tc"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="expected the 28 tensors"):
        load_model(path)
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match="no state dict"):
        load_model(path)


def test_a_checkpoint_with_nan_is_refused(tmp_path):
    state = EnhanceNet().state_dict()
    state["e_conv3.point_conv.bias"][4] = float("nan")
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(CheckpointError, match="not finite"):
        load_model(tmp_path / "nan.pth")


def test_paper_initialisation():
    net = EnhanceNet()
    initialise_paper(net, torch.Generator().manual_seed(1))
    weights = torch.cat([p.flatten() for n, p in net.named_parameters() if n.endswith("weight")])
    assert weights.std().item() == pytest.approx(0.02, rel=0.05)
    assert all(not p.any() for n, p in net.named_parameters() if n.endswith("bias"))


def test_scale_factors_whose_inverse_is_rounded_down():
    for scale in (49, 98, 103, 107):
        enhanced, factor = EnhanceNet(scale)(torch.rand(1, 3, scale, 2 * scale + 1))
        assert enhanced.shape == factor.shape == (1, 3, scale, 2 * scale + 1)
