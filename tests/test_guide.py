"""The semantic guide: equal to the authors' head, frozen, and clear about its weights."""

import pytest
import torch
from golden import fill, wave
from torch import nn

from loss import semantic_loss
from sgz.errors import UserError
from training.guide import FPNHead, build_guide

ORDER = [
    "toplayer",
    *(f"smooth{n}_1" for n in range(1, 5)),
    *(f"smooth{n}_2" for n in range(1, 5)),
    *(f"latlayer{n}" for n in range(1, 4)),
    "classify",
]


def test_head_equals_the_authors():
    head = FPNHead()
    state = head.state_dict()
    fill([state[f"{name}.{kind}"] for name in ORDER for kind in ("weight", "bias")])
    with torch.no_grad():
        logits = head(
            wave((1, 256, 16, 24), 0.1, 0, 1),
            wave((1, 512, 8, 12), 0.2, 0, 1),
            wave((1, 1024, 4, 6), 0.3, 0, 1),
            wave((1, 2048, 2, 3), 0.4, 0, 1),
        )
    assert logits.shape == (1, 21, 16, 24)
    assert logits.mean().item() == pytest.approx(0.006071744952350855, rel=1e-4)
    assert logits.std().item() == pytest.approx(0.034632083028554916, rel=1e-4)
    points = [logits[p].item() for p in ((0, 0, 0, 0), (0, 7, 3, 11), (0, 20, 15, 23))]
    expected = [-0.007407329976558685, 0.019301176071166992, 0.050713300704956055]
    assert points == pytest.approx(expected, rel=1e-4)


@pytest.fixture(scope="module")
def guide():
    return build_guide(weights="none", seed=3)


def test_only_the_image_receives_a_gradient_and_nothing_moves(guide):
    before = {k: v.clone() for k, v in guide.state_dict().items()}
    image = torch.rand(2, 3, 64, 64, requires_grad=True)
    logits = guide(image)
    semantic_loss(logits).backward()
    assert logits.shape == (2, 21, 16, 16)
    assert image.grad.abs().sum() > 0
    assert all(p.grad is None for p in guide.parameters())
    assert all(torch.equal(v, before[k]) for k, v in guide.state_dict().items())


def test_the_gradient_is_that_of_the_unfrozen_network_in_train_mode(guide):
    image = torch.rand(2, 3, 64, 64, requires_grad=True)
    semantic_loss(guide(image)).backward()
    frozen, image.grad = image.grad, None
    for module in guide.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats = True
            module.momentum = 0.0  # as the authors use it, but leaving this fixture as it was
    guide.requires_grad_(True)
    semantic_loss(guide(image)).backward()
    guide.requires_grad_(False)
    assert torch.equal(image.grad, frozen)


def test_the_head_starts_from_a_small_gaussian(guide):
    weights = torch.cat([m.weight.flatten() for m in guide.net.head.children()])
    assert weights.std().item() == pytest.approx(0.01, rel=0.01)
    assert all(not m.bias.any() for m in guide.net.head.children())


def test_random_guides_follow_their_seed_and_leave_torchs_alone(guide):
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    again = build_guide(weights="none", seed=3)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(again.net.backbone.conv1.weight, guide.net.backbone.conv1.weight)
    assert torch.equal(again.net.head.classify.weight, guide.net.head.classify.weight)


def test_weights_from_a_file(guide, tmp_path):
    from torchvision.models import resnet50

    net = resnet50(weights=None)
    torch.save(net.state_dict(), tmp_path / "resnet50.pth")
    loaded = build_guide(weights=str(tmp_path / "resnet50.pth"))
    assert torch.equal(loaded.net.backbone.layer4[2].conv3.weight, net.layer4[2].conv3.weight)
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth holds no torchvision ResNet-50"):
        build_guide(weights=str(tmp_path / "other.pth"))
    with pytest.raises(UserError, match="no weights of a torchvision ResNet-50 at"):
        build_guide(weights=str(tmp_path / "missing.pth"))


def test_without_a_network_imagenet_fails_and_auto_warns(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # an empty cache
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(UserError, match=r"cannot download .*give a file of its state dict"):
        build_guide(weights="imagenet")
    with pytest.warns(UserWarning, match="RANDOM weights") as caught:
        guide = build_guide(weights="auto")
    assert len(caught) == 1
    assert guide.source == "none (the ImageNet download failed)"


def test_the_guide_works_channels_last_and_stays_in_its_mode(guide):
    weight = guide.net.backbone.layer1[0].conv2.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    nn.Sequential(guide).eval()
    assert guide.net.backbone.bn1.training


@pytest.fixture(scope="module")
def lraspp():
    """lraspp's state dict, as torchvision has it, with statistics that are not the start's."""
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    torch.manual_seed(4)
    net = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=21)
    for name, value in net.named_buffers():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1)
    return net


def test_a_torchvision_network_sees_what_it_was_trained_on(lraspp, tmp_path):
    torch.save(lraspp.state_dict(), tmp_path / "lraspp.pth")
    guide = build_guide("lraspp_mobilenet_v3_large", str(tmp_path / "lraspp.pth"))
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    logits = guide(image)
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    with torch.no_grad():
        expected = lraspp.eval()((image - mean) / std)["out"]
    assert logits.shape == (1, 21, 64, 64)
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-5)
    semantic_loss(logits).backward()
    assert image.grad.abs().sum() > 0 and not any(p.requires_grad for p in guide.parameters())


@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_mobilenet_v3_large"])
def test_other_torchvision_networks_are_guides(name):
    with torch.no_grad():
        assert build_guide(name, "none")(torch.rand(1, 3, 64, 64)).shape == (1, 21, 64, 64)


def test_a_torchscript_file_is_a_guide(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 5, 1))
    torch.jit.script(net).save(tmp_path / "net.pt")
    with pytest.warns(UserWarning, match=r"net\.pt has 5 classes, not 21; its own count"):
        guide = build_guide(str(tmp_path / "net.pt"))
    image = torch.rand(2, 3, 40, 40, requires_grad=True)
    torch.testing.assert_close(guide(image), net.eval()(image))
    semantic_loss(guide(image)).backward()
    assert image.grad.abs().sum() > 0
    with pytest.raises(UserError, match="no TorchScript file at"):
        build_guide(str(tmp_path / "missing.pt"))


class Odd(nn.Module):
    """A guide with one thing wrong."""

    def __init__(self, what: str):
        super().__init__()
        self.what = what
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, image):
        logits = self.conv(image)
        if self.what == "flat":
            return logits.flatten(1)
        if self.what == "one class":
            return logits[:, :1]
        if self.what == "NaN":
            return logits / 0
        if self.what == "classes":
            return logits.argmax(1, keepdim=True).expand(-1, 4, -1, -1)
        if self.what == "no gradient":
            return logits.detach()
        return logits.to("cuda")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("flat", r"it returns the shape \[1, 15376\]"),
        ("one class", r"it returns the shape \[1, 1, 62, 62\]"),
        ("NaN", "it returns NaN or infinity"),
        ("classes", "class numbers, no logits"),
        ("no gradient", "does not require grad"),
        ("GPU", "it needs a GPU, and this run has none"),
    ],
)
def test_a_guide_that_cannot_guide_is_a_sentence(what, message, tmp_path):
    if what == "GPU" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    torch.jit.script(Odd(what)).save(tmp_path / "net.pt")
    with pytest.raises(UserError, match=rf"net\.pt cannot be the semantic guide \(.*{message}"):
        build_guide(str(tmp_path / "net.pt"))


def test_files_that_hold_no_network_are_sentences(tmp_path):
    (tmp_path / "text.pt").write_text("no network")
    torch.save({"x": torch.zeros(1)}, tmp_path / "state.pt")
    for name in ("text", "state"):
        with pytest.raises(UserError, match=rf"{name}\.pt is no TorchScript file \("):
            build_guide(str(tmp_path / f"{name}.pt"))


def test_the_head_may_start_from_a_file(guide, tmp_path):
    state = {f"head.{k}": v + 1 for k, v in guide.net.head.state_dict().items()}
    torch.save(state, tmp_path / "head.pth")
    started = build_guide(weights="none", head=str(tmp_path / "head.pth"))
    assert torch.equal(started.net.head.classify.weight, state["head.classify.weight"])
    assert "head from" in started.source
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth holds no head of the semantic guide"):
        build_guide(weights="none", head=str(tmp_path / "other.pth"))


def test_guides_that_cannot_be_had_are_sentences(monkeypatch, tmp_path):
    with pytest.raises(UserError, match=r"no semantic guide is called unet; choose .*lraspp"):
        build_guide("unet")
    with pytest.raises(UserError, match=r"no published VOC weights of fpn_resnet50; give files"):
        build_guide(weights="voc")
    with pytest.raises(UserError, match="have 21 classes"):
        build_guide("fcn_resnet50", num_classes=19)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # an empty cache
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(UserError, match="cannot download the voc weights"):
        build_guide("lraspp_mobilenet_v3_large", "voc")
    with pytest.warns(UserWarning, match="RANDOM weights: VOC's"):
        guide = build_guide("lraspp_mobilenet_v3_large")
    assert guide.source == "none (the VOC download failed)"
