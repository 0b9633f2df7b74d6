"""The semantic guide: equal to the authors' head, frozen, and clear about its weights."""

import pytest
import torch
from torch import nn

from golden import fill, wave
from loss import semantic_loss
from segmentation import FPNHead, SemanticGuide
from utils import UserError

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
    return SemanticGuide("none", seed=3)


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
    weights = torch.cat([m.weight.flatten() for m in guide.head.children()])
    assert weights.std().item() == pytest.approx(0.01, rel=0.01)
    assert all(not m.bias.any() for m in guide.head.children())


def test_random_guides_follow_their_seed_and_leave_torchs_alone(guide):
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    again = SemanticGuide("none", seed=3)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(again.backbone.conv1.weight, guide.backbone.conv1.weight)
    assert torch.equal(again.head.classify.weight, guide.head.classify.weight)


def test_weights_from_a_file(guide, tmp_path):
    from torchvision.models import resnet50

    net = resnet50(weights=None)
    torch.save(net.state_dict(), tmp_path / "resnet50.pth")
    loaded = SemanticGuide(str(tmp_path / "resnet50.pth"))
    assert torch.equal(loaded.backbone.layer4[2].conv3.weight, net.layer4[2].conv3.weight)
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth holds no torchvision ResNet-50"):
        SemanticGuide(str(tmp_path / "other.pth"))
    with pytest.raises(UserError, match="no ResNet-50 weights at"):
        SemanticGuide(str(tmp_path / "missing.pth"))


def test_without_a_network_imagenet_fails_and_auto_warns(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # an empty cache
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(UserError, match=r"cannot download .*--seg_weights PATH"):
        SemanticGuide("imagenet")
    with pytest.warns(UserWarning, match="RANDOM weights") as caught:
        guide = SemanticGuide("auto")
    assert len(caught) == 1
    assert guide.source == "none (the ImageNet download failed)"
