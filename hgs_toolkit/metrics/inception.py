"""The Inception network that the FID of the papers is measured in, from a file of weights that the user names.

The file is a torch state dict, as ``pt_inception-2015-12-05-6726825d.pth`` of pytorch-fid's releases; it is loaded with
``weights_only``, so nothing in it is executed. Numbers carry the name ``inception`` only for exactly that file.

Source: Szegedy et al. 2016 (arXiv 1512.00567), as in TensorFlow's graph of 2015-12-05, whose average pooling leaves
the padding out and whose last block pools by maxima.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from hgs_toolkit.errors import FormatError
from hgs_toolkit.files import sha256
from hgs_toolkit.metrics.extractors import Extractor

SIZE = 299

KNOWN_DIGEST = "6726825d"
"""Beginning of the SHA-256 of the known file; torch puts it into the names of weights it publishes."""

MAX_FILE_BYTES = 1 << 28

Step = tuple[str, int, tuple[int, int], int]
"""A convolution: name, channels out, kernel (height, width), stride."""

ONE, THREE, FIVE, ROW, COLUMN = (1, 1), (3, 3), (5, 5), (1, 7), (7, 1)


class Convolution(nn.Module):
    """Convolution without bias, batch normalisation, ReLU; padded to keep the size unless it strides."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int], stride: int = 1, pad: bool = True) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if pad else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, outputs, H', W')."""
        return functional.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Chains of convolutions side by side, and a pooled branch; the outputs are concatenated.

    Args:
        chains: each a list of steps; steps whose names end in ``a`` and ``b`` both follow the one before them.
        pooled: channels of the convolution after the pooling; 0 if there is none.
        pool: ``average``, or ``maximum``, or ``stride``: maxima at half the size.
    """

    def __init__(self, inputs: int, chains: list[list[Step]], pooled: int, pool: str = "average") -> None:
        super().__init__()
        self.chains, self.pool = [[step[0] for step in chain] for chain in chains], pool
        for chain in chains:
            width = inputs
            for name, outputs, kernel, stride in chain:
                self.add_module(name, Convolution(width, outputs, kernel, stride, pad=stride == 1))
                width = width if name.endswith("a") else outputs
        self.branch_pool = Convolution(inputs, pooled, ONE) if pooled else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, all channels, H', W')."""
        return torch.cat([*(self._run(chain, x) for chain in self.chains), self.branch_pool(self._pool(x))], dim=1)

    def _run(self, chain: list[str], x: Tensor) -> Tensor:
        halves = []
        for name in chain:
            y = self.get_submodule(name)(x)
            if name[-1] in "ab":
                halves.append(y)
            else:
                x = y
        return torch.cat(halves, dim=1) if halves else x

    def _pool(self, x: Tensor) -> Tensor:
        if self.pool == "average":
            return functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        if self.pool == "maximum":
            return functional.max_pool2d(x, 3, stride=1, padding=1)
        return functional.max_pool2d(x, 3, stride=2)


def _block_5(inputs: int, pooled: int) -> Mixed:
    double: list[Step] = [("branch3x3dbl_1", 64, ONE, 1), ("branch3x3dbl_2", 96, THREE, 1)]
    chains: list[list[Step]] = [
        [("branch1x1", 64, ONE, 1)],
        [("branch5x5_1", 48, ONE, 1), ("branch5x5_2", 64, FIVE, 1)],
        [*double, ("branch3x3dbl_3", 96, THREE, 1)],
    ]
    return Mixed(inputs, chains, pooled)


def _block_6a() -> Mixed:
    double: list[Step] = [("branch3x3dbl_1", 64, ONE, 1), ("branch3x3dbl_2", 96, THREE, 1)]
    return Mixed(288, [[("branch3x3", 384, THREE, 2)], [*double, ("branch3x3dbl_3", 96, THREE, 2)]], 0, "stride")


def _block_6(width: int) -> Mixed:
    double = [ONE, COLUMN, ROW, COLUMN, ROW]
    chains: list[list[Step]] = [
        [("branch1x1", 192, ONE, 1)],
        [("branch7x7_1", width, ONE, 1), ("branch7x7_2", width, ROW, 1), ("branch7x7_3", 192, COLUMN, 1)],
        [(f"branch7x7dbl_{i + 1}", 192 if i == 4 else width, kernel, 1) for i, kernel in enumerate(double)],
    ]
    return Mixed(768, chains, 192)


def _block_7a() -> Mixed:
    chains: list[list[Step]] = [
        [("branch3x3_1", 192, ONE, 1), ("branch3x3_2", 320, THREE, 2)],
        [("branch7x7x3_1", 192, ONE, 1), ("branch7x7x3_2", 192, ROW, 1), ("branch7x7x3_3", 192, COLUMN, 1),
         ("branch7x7x3_4", 192, THREE, 2)],
    ]  # fmt: skip
    return Mixed(768, chains, 0, "stride")


def _block_7(inputs: int, pool: str) -> Mixed:
    split: list[tuple[str, tuple[int, int]]] = [("a", (1, 3)), ("b", (3, 1))]
    chains: list[list[Step]] = [
        [("branch1x1", 320, ONE, 1)],
        [("branch3x3_1", 384, ONE, 1), *((f"branch3x3_2{half}", 384, kernel, 1) for half, kernel in split)],
        [("branch3x3dbl_1", 448, ONE, 1), ("branch3x3dbl_2", 384, THREE, 1),
         *((f"branch3x3dbl_3{half}", 384, kernel, 1) for half, kernel in split)],
    ]  # fmt: skip
    return Mixed(inputs, chains, 192, pool)


class Inception(nn.Module):
    """Up to the average over the last block: 2048 features."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, THREE, 2, pad=False)
        self.Conv2d_2a_3x3 = Convolution(32, 32, THREE, pad=False)
        self.Conv2d_2b_3x3 = Convolution(32, 64, THREE)
        self.Conv2d_3b_1x1 = Convolution(64, 80, ONE)
        self.Conv2d_4a_3x3 = Convolution(80, 192, THREE, pad=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _block_5(192, 32), _block_5(256, 64), _block_5(288, 64)
        self.Mixed_6a = _block_6a()
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = map(_block_6, (128, 160, 160, 192))
        self.Mixed_7a = _block_7a()
        self.Mixed_7b, self.Mixed_7c = _block_7(1280, "average"), _block_7(2048, "maximum")

    def forward(self, images: Tensor) -> Tensor:  # (B, 3, 299, 299) RGB in 0..1 -> (B, 2048)
        """Features of ``images``."""
        x = images * 2 - 1
        for name, module in self.named_children():
            if name in ("Conv2d_3b_1x1", "Mixed_5b"):
                x = functional.max_pool2d(x, 3, stride=2)
            x = module(x)
        return x.mean(dim=(2, 3))


def make_inception(path: Path) -> Extractor:
    """The extractor of the weights at ``path``: ``inception`` for the known file, else ``inception_`` + its digest.

    Features are compared as they are, and images resized without a low-pass, as the published numbers are made.

    Raises:
        FormatError: if the file is missing, too large, or holds other weights or anything that is not a tensor.
    """
    expected = "expected the state dict pt_inception-2015-12-05-6726825d.pth"
    if not path.is_file():
        raise FormatError(f"the Inception weights {path} do not exist; {expected}")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise FormatError(f"{path} has {path.stat().st_size} bytes; {expected}, of about 95 MB")
    network = Inception()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        # The classifier is not needed; other names must be the network's, all of them.
        state = {name: value for name, value in state.items() if not name.startswith("fc.")}
        network.load_state_dict(_with_counters(state, network))
    except Exception as error:  # a broken file raises nearly anything
        reason = " ".join(str(error).split())[:160]
        raise FormatError(f"{path} does not hold the Inception weights ({reason}); {expected}") from error
    digest = sha256(path)
    name = "inception" if digest.startswith(KNOWN_DIGEST) else f"inception_{digest[:8]}"
    frozen = network.eval().requires_grad_(False)
    return Extractor(name, 2048, digest, SIZE, frozen, antialias=False, standardise=False)


def _with_counters(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """``state`` with batch normalisation's counters, which inference does not use and old files do not have."""
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    return counters | state
