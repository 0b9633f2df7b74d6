"""The frozen semantic guide of training: ResNet-50 with a feature pyramid head."""

import importlib.util
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils import UserError, load_tensors


class FPNHead(nn.Module):
    """Feature pyramid from ResNet stages to class logits at 1/4 of the image's size (SGZ, 3.3).

    The attribute names follow the authors' segmentation network.
    """

    def __init__(self, num_classes: int = 21):
        super().__init__()
        self.toplayer = nn.Conv2d(2048, 256, 1)
        for level in range(1, 5):
            setattr(self, f"smooth{level}_1", nn.Conv2d(256, 256, 3, padding=1))
        for level in range(1, 5):
            setattr(self, f"smooth{level}_2", nn.Conv2d(256, 128, 3, padding=1))
        for level, channels in enumerate((1024, 512, 256), start=1):
            setattr(self, f"latlayer{level}", nn.Conv2d(channels, 256, 1))
        self.classify = nn.Conv2d(512, num_classes, 3, padding=1)

    def forward(self, c2: Tensor, c3: Tensor, c4: Tensor, c5: Tensor) -> Tensor:
        """Stages [B, 256..2048, H/4..H/32, W/4..W/32] -> logits [B, classes, H/4, W/4]."""
        p5 = self.toplayer(c5)
        p4 = resize_like(p5, c4) + self.latlayer1(c4)
        p3 = resize_like(p4, c3) + self.latlayer2(c3)
        p2 = resize_like(p3, c2) + self.latlayer3(c2)
        levels = [
            resize_like(self.smooth1_2(self.smooth1_1(p5)), c2),
            resize_like(self.smooth2_2(self.smooth2_1(p4)), c2),
            resize_like(self.smooth3_2(self.smooth3_1(p3)), c2),
            self.smooth4_2(self.smooth4_1(p2)),
        ]
        return self.classify(torch.cat(levels, 1))


class SemanticGuide(nn.Module):
    """Frozen ResNet-50 and head: it takes no step; only the image receives its gradient.

    BatchNorm uses batch statistics, as the authors do (they leave the network in train mode), and
    its running averages stay as they were loaded.

    Args:
        weights: "auto", "imagenet", "none" or the path of a torchvision ResNet-50 state dict.
        num_classes: of the head, which starts from N(0, 0.01) with zero bias.
        seed: of everything random in it.

    Raises:
        UserError: the weights were asked for and cannot be had.
    """

    def __init__(self, weights: str = "auto", num_classes: int = 21, seed: int = 0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.backbone, self.source = build_backbone(weights)
            self.head = FPNHead(num_classes)
            for name, parameter in self.head.named_parameters():
                if name.endswith("bias"):
                    nn.init.zeros_(parameter)
                else:
                    nn.init.normal_(parameter, 0.0, 0.01)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.track_running_stats = False
        self.requires_grad_(False)
        self.train()

    def forward(self, image: Tensor) -> Tensor:
        """[B, 3, H, W] in [0, 1] -> logits [B, classes, H/4, W/4]; not normalised, as theirs."""
        net = self.backbone
        x = net.maxpool(net.relu(net.bn1(net.conv1(image))))  # [B, 64, H/4, W/4]
        c2 = net.layer1(x)
        c3 = net.layer2(c2)
        c4 = net.layer3(c3)
        return self.head(c2, c3, c4, net.layer4(c4))


def resize_like(x: Tensor, other: Tensor) -> Tensor:
    """Bilinear resize of x to the height and width of `other`."""
    return F.interpolate(x, other.shape[-2:], mode="bilinear", align_corners=False)


def build_backbone(weights: str) -> tuple[nn.Module, str]:
    """A torchvision ResNet-50 without its classifier, and a word on where its weights are from."""
    models = import_torchvision_models()
    source = weights
    if weights in ("auto", "imagenet"):
        try:
            net = models.resnet50(weights=models.ResNet50_Weights.IMAGENET1K_V1)
            source = "imagenet"
        except (OSError, RuntimeError) as error:
            remedy = "pass --seg_weights PATH of a ResNet-50 state dict, or none for random ones"
            if weights == "imagenet":
                raise UserError(
                    f"cannot download the ImageNet weights ({error}); {remedy}"
                ) from error
            warnings.warn(
                f"the semantic guide goes on with RANDOM weights: ImageNet's cannot be downloaded "
                f"({error}); {remedy}",
                stacklevel=2,
            )
            net, source = models.resnet50(weights=None), "none (the ImageNet download failed)"
    else:
        net = models.resnet50(weights=None)
        if weights != "none":
            net.load_state_dict(read_backbone(Path(weights), net))
    del net.fc
    return net, source


def read_backbone(path: Path, net: nn.Module) -> dict[str, Tensor]:
    """A ResNet-50 state dict from a file; UserError when it is none."""
    if not path.is_file():
        raise UserError(f"no ResNet-50 weights at {path}; give a file, imagenet, none or auto")
    state = load_tensors(path)
    expected = {key: value.shape for key, value in net.state_dict().items()}
    if (
        not isinstance(state, dict)
        or {k: getattr(v, "shape", None) for k, v in state.items()} != expected
    ):
        raise UserError(f"{path} holds no torchvision ResNet-50: names or shapes differ")
    return state


def import_torchvision_models():
    """torchvision.models, also beside a torch whose build does not match torchvision's.

    A CPU build of torch beside the registry's torchvision lacks the operators nms and qnms, whose
    schemas torchvision wants at import. We use neither, so declaring them is enough.
    """
    if importlib.util.find_spec("torchvision") is None:
        raise UserError(
            "the semantic guide needs torchvision; pip install -r requirements.txt, "
            "or train without it: --seg_weight 0"
        )
    try:
        from torchvision import models
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        from torchvision import models
    return models
