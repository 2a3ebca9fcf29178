"""Residual networks over spectrograms (He et al., CVPR 2016), as ANIMAL-SPOT arranges them.

Parameter names, shapes and order are those of the original program's model files.
"""

from __future__ import annotations

from torch import Tensor, nn

STEM_CHANNELS = 64
STAGE_WIDTHS = (64, 128, 256, 512)
BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


def expansion_of(resnet_size: int) -> int:
    """Return by how much a block's output is wider than its stage: 1 for 18 and 34, else 4."""
    return 1 if resnet_size < 50 else 4


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, or for ``expansion`` 4 a 1x1, 3x3, 1x1 bottleneck, with a shortcut."""

    def __init__(self, in_channels: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        out_channels = width * expansion
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        bottleneck = expansion > 1
        first_kernel, first_stride = (1, 1) if bottleneck else (3, stride)
        self.conv1 = nn.Conv2d(
            in_channels, width, first_kernel, first_stride, first_kernel // 2, bias=False
        )
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride if bottleneck else 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        if bottleneck:
            self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(out_channels)
        self.bottleneck = bottleneck
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.bottleneck:
            out = self.bn3(self.conv3(self.relu(out)))
        return self.relu(out + self.shortcut(x))


class ResidualEncoder(nn.Module):
    """Spectrogram ``(batch, 1, time, freq)`` to feature maps ``(batch, out_channels, t, f)``.

    Args:
        input_channels: Channels of the spectrogram.
        conv_kernel_size: Side of the first, square convolution.
        max_pool: 1 pools after the first convolution, 0 strides in the first stage instead,
            2 does neither and so doubles the resolution everywhere.
        resnet_size: 18, 34, 50, 101 or 152.

    Raises:
        ValueError: If an option has another value.
    """

    def __init__(
        self,
        input_channels: int = 1,
        conv_kernel_size: int = 7,
        max_pool: int = 1,
        resnet_size: int = 18,
    ) -> None:
        super().__init__()
        if resnet_size not in BLOCKS:
            raise ValueError(f"resnet must be one of {list(BLOCKS)}, got {resnet_size}")
        if max_pool not in (0, 1, 2):
            raise ValueError(f"max_pool must be 0, 1 or 2, got {max_pool}")
        if conv_kernel_size < 1:
            raise ValueError(f"conv_kernel_size must be at least 1, got {conv_kernel_size}")
        expansion = expansion_of(resnet_size)
        self.out_channels = STAGE_WIDTHS[-1] * expansion
        self.conv1 = nn.Conv2d(
            input_channels,
            STEM_CHANNELS,
            conv_kernel_size,
            stride=2,
            padding=conv_kernel_size // 2,
            bias=False,
        )
        self.bn1 = nn.BatchNorm2d(STEM_CHANNELS)
        self.relu1 = nn.ReLU(inplace=True)
        self.max_pool = nn.MaxPool2d(3, 2, 1) if max_pool == 1 else nn.Identity()
        channels = STEM_CHANNELS
        stages = []
        for stage, (width, n_blocks) in enumerate(
            zip(STAGE_WIDTHS, BLOCKS[resnet_size], strict=True)
        ):
            stride = 2 if stage > 0 or max_pool == 0 else 1
            blocks = []
            for block in range(n_blocks):
                blocks.append(
                    ResidualBlock(channels, width, stride if block == 0 else 1, expansion)
                )
                channels = width * expansion
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers."""
        x = self.max_pool(self.relu1(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))
