"""The networks in PyTorch, with the same layers as in ``training.networks``.

One difference: on a GPU batch normalisation is cheap, so every convolution of cnn7 has one before
its ReLU; ``keras_weights`` folds it into the convolution. On a GPU the weights are stored channels
last, which is three times as fast in bfloat16 (EfficientNet-Lite0, 320 px, H200: 3,037 instead of
1,061 images/s).
"""

import re
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from training.fit.batches import DIAGNOSES
from training.networks.efficientnet import EMBEDDING_SIZE, INPUT_PIXELS, stages
from training.networks.published_weights import imagenet_weights

CNN7_WIDTHS = (32, 64, 128, 128, 256, 256, 768)

EPSILON = 1e-3
"""Epsilon of every batch normalisation, as in Keras."""

_HEAD_DROPOUT = 0.3


class Outputs(NamedTuple):
    """The outputs for n images.

    Attributes:
        malignant, lesion, clinical: logits (n,).
        diagnosis: logits of ``DIAGNOSES`` (n, 8).
        embedding: mean of the last feature map (n, channels).
    """

    malignant: torch.Tensor
    lesion: torch.Tensor
    clinical: torch.Tensor
    diagnosis: torch.Tensor
    embedding: torch.Tensor


class Convolution(nn.Conv2d):
    """A convolution with Keras's ``same`` padding; without bias, since a normalisation follows."""

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__(channels, filters, kernel, stride, groups=groups, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        padding = []
        for side in (x.shape[3], x.shape[2]):
            missing = max(0, (-(-side // stride) - 1) * stride + kernel - side)
            padding += [missing // 2, missing - missing // 2]
        if len(set(padding)) == 1:  # Padding inside the convolution avoids a copy.
            return functional.conv2d(
                x, self.weight, self.bias, self.stride, padding[0], groups=self.groups
            )
        x = functional.pad(x, padding)
        return functional.conv2d(x, self.weight, self.bias, self.stride, groups=self.groups)


class Heads(nn.Module):
    """The outputs of ``training.networks.cnn.add_outputs``, and one for the diagnosis."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.drop = nn.Dropout2d(_HEAD_DROPOUT)
        self.dermoscopic_map = nn.Linear(channels, 1)
        self.clinical_map = nn.Linear(channels, 1)
        self.lesion = nn.Linear(channels, 1)
        self.kind = nn.Linear(channels, 1)
        self.diagnosis = nn.Linear(channels, len(DIAGNOSES))

    def forward(self, x: torch.Tensor) -> Outputs:
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 has three digits.
            return self._forward(x.float())

    def _forward(self, x: torch.Tensor) -> Outputs:
        embedding = x.mean((2, 3))
        kept = self.drop(x).mean((2, 3))
        clinical = self.kind(embedding)
        # The loss of malignant must not change the predicted kind of photo.
        share = torch.sigmoid(clinical).detach()
        malignant = self.dermoscopic_map(kept) * (1 - share) + self.clinical_map(kept) * share
        return Outputs(
            malignant[:, 0],
            self.lesion(embedding)[:, 0],
            clinical[:, 0],
            self.diagnosis(embedding),
            embedding,
        )


class _Block(nn.Module):
    """An inverted residual block: 1x1 expansion, depthwise convolution, 1x1 projection."""

    def __init__(
        self, channels: int, kernel: int, stride: int, expansion: int, filters: int, drop: float
    ) -> None:
        super().__init__()
        wide = channels * expansion
        self.expand_conv = Convolution(channels, wide, 1) if expansion > 1 else None
        self.bn0 = norm(wide) if expansion > 1 else None
        self.depthwise_conv = Convolution(wide, wide, kernel, stride, groups=wide)
        self.bn1 = norm(wide)
        self.project_conv = Convolution(wide, filters, 1)
        self.bn2 = norm(filters)
        self.residual = stride == 1 and channels == filters
        self.drop = drop

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        if self.expand_conv is not None and self.bn0 is not None:
            y = functional.relu6(self.bn0(self.expand_conv(y)))
        y = functional.relu6(self.bn1(self.depthwise_conv(y)))
        y = self.bn2(self.project_conv(y))
        if not self.residual:
            return y
        if self.training and self.drop:
            kept = torch.rand(len(y), 1, 1, 1, device=y.device) > self.drop
            y = y * (kept.to(y.dtype) / (1 - self.drop))
        return x + y


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite0 or -Lite2 with the outputs of cnn7; layers are named as in Keras."""

    def __init__(self, version: int, drop_path: float = 0.0) -> None:
        """Build the network with random weights.

        Args:
            version: 0 for Lite0, 2 for Lite2.
            drop_path: rate of stochastic depth at the end of the network, 0-1; the rate grows
                linearly with the depth, from 0.
        """
        super().__init__()
        self.conv_stem = Convolution(3, 32, 3, 2)
        self.bn0 = norm(32)
        plan = stages(version)
        total = sum(repeats for repeats, *_ in plan)
        self.blocks = nn.ModuleList()
        channels = 32
        for repeats, kernel, stride, expansion, filters in plan:
            for repeat in range(repeats):
                first = stride if repeat == 0 else 1
                drop = drop_path * len(self.blocks) / total
                self.blocks.append(_Block(channels, kernel, first, expansion, filters, drop))
                channels = filters
        self.conv_head = Convolution(channels, EMBEDDING_SIZE, 1)
        self.bn1 = norm(EMBEDDING_SIZE)
        self.heads = Heads(EMBEDDING_SIZE)

    def forward(self, pixels: torch.Tensor) -> Outputs:
        """Compute the outputs for pixels 0-255 (n, 3, side, side)."""
        x = pixels
        if x.shape[-1] != INPUT_PIXELS:
            size = (INPUT_PIXELS, INPUT_PIXELS)
            x = functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
        x = _match_layout(x / 128 - 127 / 128, self)
        x = functional.relu6(self.bn0(self.conv_stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.heads(functional.relu6(self.bn1(self.conv_head(x))))


def with_imagenet_weights(version: int, drop_path: float) -> EfficientNetLite:
    """Build a teacher for training: ImageNet weights, with outputs that have random weights.

    Args:
        version: 0 for EfficientNet-Lite0, 2 for -Lite2.
        drop_path: as for ``EfficientNetLite``.

    Raises:
        MissingWeights: the package with the ImageNet weights is not installed, or damaged.
    """
    network = EfficientNetLite(version, drop_path)
    weights = {
        re.sub(r"^blocks_(\d+)_", r"blocks.\1.", name): torch.tensor(array)
        for name, array in imagenet_weights(version).items()
        if not name.startswith("fc.")
    }
    missing, unknown = network.load_state_dict(weights, strict=False)
    assert not unknown and all(name.startswith("heads.") or "num_" in name for name in missing)
    return network


class _Normalised(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, channels: int, filters: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = Convolution(channels, filters, kernel, stride)
        self.bn = norm(filters, momentum=0.02)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.bn(self.conv(x)))


class Excite(nn.Module):
    """Squeeze and excitation (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrow = nn.Linear(channels, channels // 4)
        self.wide = nn.Linear(channels // 4, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = torch.sigmoid(self.wide(functional.relu(self.narrow(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class Cnn7(nn.Module):
    """cnn7, and a layer for training that predicts the teacher's embedding from that of cnn7."""

    def __init__(self, components: int) -> None:
        """Build the network with random weights.

        Args:
            components: number of components of the teacher's embedding to predict.
        """
        super().__init__()
        channels = (3, *CNN7_WIDTHS)
        self.convolutions = nn.ModuleList(
            _Normalised(before, after, *((5, 2) if index == 0 else (3, 1)))
            for index, (before, after) in enumerate(zip(channels, CNN7_WIDTHS, strict=False))
        )
        self.excitations = nn.ModuleList([Excite(CNN7_WIDTHS[3]), Excite(CNN7_WIDTHS[5])])
        self.heads = Heads(CNN7_WIDTHS[-1])
        self.taught = nn.Linear(CNN7_WIDTHS[-1], components)

    def forward(self, pixels: torch.Tensor) -> Outputs:
        """Compute the outputs for pixels 0-255 (n, 3, side, side)."""
        c, excite = self.convolutions, self.excitations
        x = _match_layout(functional.avg_pool2d(pixels / 127.5 - 1, 2), c)
        x = functional.max_pool2d(c[0](x), 2)
        x = functional.max_pool2d(c[1](x), 2)
        x = excite[0](functional.max_pool2d(c[3](c[2](x)), 2))
        x = c[4](x)
        x = excite[1](functional.max_pool2d(x + c[5](x), 2))
        return self.heads(c[6](x))


def norm(channels: int, momentum: float = 0.01) -> nn.BatchNorm2d:
    """Batch normalisation with Keras's epsilon, and by default its momentum."""
    return nn.BatchNorm2d(channels, EPSILON, momentum)


def _match_layout(x: torch.Tensor, network: nn.Module) -> torch.Tensor:
    """Store ``x`` channels last if the network's weights are."""
    stem = next(network.parameters())
    last = stem.is_contiguous(memory_format=torch.channels_last)
    return x.contiguous(memory_format=torch.channels_last) if last else x
