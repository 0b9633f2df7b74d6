"""The frozen semantic guide of training: any network from images to class logits, by name."""

import importlib.util
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sgz.errors import UserError
from training.torchscript import load_script
from utils import load_tensors

PAPERS = "fpn_resnet50"


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


class FPNResNet50(nn.Module):
    """The paper's segmentation network: a torchvision ResNet-50 and the head.

    BatchNorm uses batch statistics, as the authors do (they leave the network in train mode), and
    its running averages stay as they were loaded.
    """

    def __init__(self, backbone: nn.Module, num_classes: int = 21):
        super().__init__()
        self.backbone = backbone
        self.head = FPNHead(num_classes)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.track_running_stats = False

    def forward(self, image: Tensor) -> Tensor:
        """[B, 3, H, W] in [0, 1] -> logits [B, classes, H/4, W/4]; not normalised, as theirs."""
        net = self.backbone
        x = net.maxpool(net.relu(net.bn1(net.conv1(image))))  # [B, 64, H/4, W/4]
        c2 = net.layer1(x)
        c3 = net.layer2(c2)
        c4 = net.layer3(c3)
        return self.head(c2, c3, c4, net.layer4(c4))


class TorchvisionNet(nn.Module):
    """A torchvision segmentation network, given images as it was trained on them."""

    def __init__(self, net: nn.Module):
        super().__init__()
        net.aux_classifier = None  # a second set of logits, for training it
        self.net = net
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """[B, 3, H, W] in [0, 1] -> logits [B, classes, H, W]."""
        return self.net((image - self.mean) / self.std)["out"]


class SemanticGuide(nn.Module):
    """A frozen network [B, 3, H, W] in [0, 1] -> logits [B, classes, h, w].

    It takes no step and has no weight gradients; only the image receives its gradient. It works
    channels-last, which convolutions like best. Once built it stays in its mode: train() and
    eval() of what it is part of leave it alone.

    Args:
        net: the network; anything that maps images to logits will do.
        source: a word on where its weights are from.
        batch_statistics: whether its BatchNorm uses the batch's statistics or the stored ones.
    """

    def __init__(self, net: nn.Module, source: str, batch_statistics: bool = False):
        super().__init__()
        self.net = net.train(batch_statistics)
        for parameter in net.parameters():  # a TorchScript module has no requires_grad_ for all
            parameter.requires_grad_(False)
        self.net.to(memory_format=torch.channels_last)
        self.source = source

    def forward(self, image: Tensor) -> Tensor:
        return self.net(image.contiguous(memory_format=torch.channels_last))

    def train(self, mode: bool = True) -> "SemanticGuide":
        return self


def build_guide(
    model: str = PAPERS,
    weights: str = "auto",
    head: str = "gaussian",
    num_classes: int = 21,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> SemanticGuide:
    """The guide of a name: the paper's, a torchvision segmentation network, a TorchScript file.

    Args:
        model: "fpn_resnet50"; a name in torchvision.models.segmentation; or the path of a
            TorchScript file that maps [B, 3, H, W] in [0, 1] to logits.
        weights: "none" (random); "imagenet" (the backbone); "voc" (a whole torchvision network,
            trained on COCO with VOC's 21 classes); the path of a torchvision state dict, of a
            ResNet-50 for the paper's guide; "auto": imagenet for the paper's guide, voc for
            others, random with a warning where they cannot be downloaded.
        head: where the paper's head starts: "gaussian", N(0, 0.01) with zero bias, or the path of
            a state dict of FPNHead.
        num_classes: of its logits; a TorchScript file has its own, a warning says so.
        seed: of everything random in it.
        device: where a TorchScript file is loaded and tried.

    Raises:
        UserError: what was asked for cannot be had.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if Path(model).suffix:
            net = load_script(Path(model), num_classes, device)
            return SemanticGuide(net, model)
        if model != PAPERS:
            net, source = build_torchvision(model, weights, num_classes)
            return SemanticGuide(TorchvisionNet(net), source)
        backbone, source = build_backbone(weights)
        net = FPNResNet50(backbone, num_classes)
        start_head(net.head, head)
        if head != "gaussian":
            source += f", head from {head}"
        return SemanticGuide(net, source, batch_statistics=True)


def resize_like(x: Tensor, other: Tensor) -> Tensor:
    """Bilinear resize of x to the height and width of `other`."""
    return F.interpolate(x, other.shape[-2:], mode="bilinear", align_corners=False)


def start_head(head: FPNHead, start: str) -> None:
    """Give the head its weights: "gaussian" or a file of them, whose names may begin `head.`."""
    if start == "gaussian":
        for name, parameter in head.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.normal_(parameter, 0.0, 0.01)
        return
    load_weights(head, Path(start), "head of the semantic guide", "head.")


def build_backbone(weights: str) -> tuple[nn.Module, str]:
    """A torchvision ResNet-50 without its classifier, and a word on where its weights are from."""
    models = import_torchvision_models()
    if weights == "voc":
        raise UserError(
            f"there are no published VOC weights of {PAPERS}; give files of its head's weights and "
            "of its ResNet-50's"
        )
    choice = None
    if weights in ("auto", "imagenet"):
        choice = {"weights": models.ResNet50_Weights.IMAGENET1K_V1}
    net, source = download_or_not(models.resnet50, choice, {}, weights, "ImageNet")
    if choice is None and weights != "none":
        load_weights(net, Path(weights), "torchvision ResNet-50")
    del net.fc
    return net, source


def build_torchvision(name: str, weights: str, num_classes: int) -> tuple[nn.Module, str]:
    """A torchvision segmentation network, and a word on where its weights are from."""
    models = import_torchvision_models()
    known = models.list_models(module=models.segmentation)
    if name not in known:
        raise UserError(
            f"no semantic guide is called {name}; choose {PAPERS}, {', '.join(known)}, "
            "or give a TorchScript file"
        )
    if weights in ("auto", "voc") and num_classes != 21:
        raise UserError(f"the published weights of {name} have 21 classes", "num_classes")
    if weights == "imagenet":
        choice = {"weights": None, "weights_backbone": "DEFAULT", "num_classes": num_classes}
    else:
        choice = {"weights": "DEFAULT"} if weights in ("auto", "voc") else None
    plain = {"weights_backbone": None, "num_classes": num_classes}
    build = getattr(models.segmentation, name)
    net, source = download_or_not(build, choice, plain, weights, "VOC")
    if choice is None and weights != "none":
        net.aux_classifier = None
        load_weights(net, Path(weights), f"torchvision {name}", ignore="aux_classifier.")
    return net, source


def download_or_not(
    build, choice: dict | None, plain: dict, weights: str, name: str
) -> tuple[nn.Module, str]:
    """build(**choice), which may download; where it cannot, an error, or for "auto" random."""
    if choice is None:
        return build(weights=None, **plain), weights
    try:
        return build(**choice, progress=False), name.lower() if weights == "auto" else weights
    except (OSError, RuntimeError) as error:
        remedy = "give a file of its state dict, or none for random ones"
        if weights != "auto":
            raise UserError(
                f"cannot download the {weights} weights ({error}); {remedy}", "weights"
            ) from error
        warnings.warn(
            f"the semantic guide goes on with RANDOM weights: {name}'s cannot be downloaded "
            f"({error}); {remedy}",
            stacklevel=2,
        )
        return build(weights=None, **plain), f"none (the {name} download failed)"


def load_weights(
    net: nn.Module, path: Path, what: str, prefix: str = "", ignore: str | None = None
) -> None:
    """Load a state dict, its names with or without `prefix`; UserError when it does not fit."""
    if not path.is_file():
        raise UserError(f"no weights of a {what} at {path}; give a file that is there")
    state = load_tensors(path)
    if isinstance(state, dict):
        state = {
            str(key).removeprefix("module.").removeprefix(prefix): value
            for key, value in state.items()
            if ignore is None or not str(key).startswith(ignore)
        }
    expected = {key: value.shape for key, value in net.state_dict().items()}
    if not isinstance(state, dict) or expected != {
        key: getattr(value, "shape", None) for key, value in state.items()
    }:
        raise UserError(f"{path} holds no {what}: names or shapes differ")
    net.load_state_dict(state)


def import_torchvision_models():
    """torchvision.models, also beside a torch whose build does not match torchvision's.

    A CPU build of torch beside the registry's torchvision lacks the operators nms and qnms, whose
    schemas torchvision wants at import. We use neither, so declaring them is enough.
    """
    if importlib.util.find_spec("torchvision") is None:
        raise UserError(
            "the semantic guide needs torchvision; pip install -r requirements.txt", "guide"
        )
    try:
        from torchvision import models
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        from torchvision import models
    return models
