"""SqueezeNet 1.1 as a feature extractor, with the ImageNet weights that the package ``ndf`` (MIT) carries.

The weights are a pickle of {layer: [kernel (H, W, in, out), bias (out,)]} in Keras layout. It is read by an
unpickler that stands inert objects in for arrays and refuses everything else, and the network runs in torch.

Source: Iandola et al. 2016 (arXiv 1602.07360); widths of version 1.1.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from hgs_toolkit.errors import FormatError
from hgs_toolkit.files import sha256
from hgs_toolkit.metrics.extractors import Extractor, package_folder

SIZE = 227
"""Input size at which every pooling window fits without padding."""

MEAN_BGR = (103.939, 116.779, 123.68)
"""What the network was trained to have subtracted, in 0..255; its channels are blue, green, red."""

FIRES = {2: (64, 16, 64), 3: (128, 16, 64), 4: (128, 32, 128), 5: (256, 32, 128),
         6: (256, 48, 192), 7: (384, 48, 192), 8: (384, 64, 256), 9: (512, 64, 256)}  # fmt: skip
"""Number of each fire module: channels in, squeezed, expanded (twice)."""

POOLED = (4, 6)
"""Fire modules with a maximum pooling before them."""

MAX_FILE_BYTES = 1 << 26


class Fire(nn.Module):
    """1x1 squeeze, then 1x1 and 3x3 expansions side by side."""

    def __init__(self, in_channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(in_channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, 2 * expanded, H, W)
        """Apply the module."""
        x = functional.relu(self.squeeze1x1(x))
        return functional.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1))


class SqueezeNet(nn.Module):
    """Up to the last fire module, averaged over the picture: 512 features."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2, padding=1)
        for number, widths in FIRES.items():
            self.add_module(f"fire{number}", Fire(*widths))
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor(MEAN_BGR)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:  # (B, 3, 227, 227) RGB in 0..1 -> (B, 512)
        """Features of ``images``."""
        x = functional.relu(self.conv1(images.flip(1) * 255 - self.mean))
        x = functional.max_pool2d(x, 3, stride=2)
        for number in FIRES:
            if number in POOLED:
                x = functional.max_pool2d(x, 3, stride=2)
            x = self.get_submodule(f"fire{number}")(x)
        return x.mean(dim=(2, 3))


def make_squeeze(path: Path | None = None) -> Extractor:
    """The extractor ``squeeze`` from the weights at ``path`` (default: the package ``ndf``).

    Raises:
        MissingExtraError: if no path is given and ``ndf`` is not installed.
        FormatError: if the file is not what ``ndf`` ships.
    """
    if path is None:
        folder = package_folder("ndf", "the feature extractor 'squeeze'")
        path = folder / "example_models" / "weights" / "squeezenet_weights.pkl"
    network = SqueezeNet()
    network.load_state_dict(_state_dict(read_keras_weights(path), network, path))
    return Extractor("squeeze", 512, sha256(path), SIZE, network.eval().requires_grad_(False))


def read_keras_weights(path: Path) -> dict[str, list[Any]]:
    """The pickled dictionary {layer: [kernel, bias]} with its arrays as :class:`StoredArray`; nothing is executed.

    Raises:
        FormatError: if the file is missing, too large, broken, or names anything but NumPy arrays.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise FormatError(f"{path} has {path.stat().st_size} bytes; expected SqueezeNet weights of about 5 MB")
        weights = _ArraysOnly(io.BytesIO(path.read_bytes())).load()
    except OSError as error:
        raise FormatError(f"cannot read the SqueezeNet weights {path}: {error.strerror}; reinstall ndf") from error
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    except Exception as error:  # a broken pickle raises nearly anything
        raise FormatError(f"{path} is not a readable pickle of SqueezeNet weights ({error}); reinstall ndf") from error
    if not isinstance(weights, dict):
        raise FormatError(f"{path} holds {type(weights).__name__}; expected a dictionary of layers; reinstall ndf")
    return weights


class StoredArray:
    """What the pickle says of an array; only :meth:`array` makes one of it, and only of float32."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self) -> npt.NDArray[np.float32]:
        """The array; ValueError or TypeError if the state is not that of a little-endian float32 one."""
        _version, shape, dtype, fortran, data = self.state
        if not isinstance(dtype, _StoredType) or (dtype.order, dtype.code) != ("<", "f4") or fortran:
            raise ValueError("not little-endian float32 in C order")
        return np.frombuffer(data, dtype="<f4").reshape(shape)


class _StoredType:
    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = code, ""

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]


class _ArraysOnly(pickle.Unpickler):
    """Stands inert objects in for what an array is pickled with; refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        stand_ins = {"_reconstruct": StoredArray, "dtype": _StoredType, "ndarray": None}
        if module not in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray") or name not in stand_ins:
            raise FormatError(f"the weights name {module}.{name}; expected NumPy arrays only; the file is refused")
        return stand_ins[name]


def _state_dict(weights: dict[str, list[Any]], network: nn.Module, path: Path) -> dict[str, Tensor]:
    """Torch's names and layout of Keras' layers (``fire2/squeeze1x1``: [HWIO kernel, bias])."""
    state = {}
    for name, parameter in network.state_dict().items():
        layer, kind = name.rsplit(".", 1)
        try:
            array = weights[layer.replace(".", "/")][kind == "bias"].array()
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise FormatError(f"{path} has no usable {kind} of layer {layer}; reinstall ndf") from error
        if array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)  # HWIO -> OIHW
        if array.shape != tuple(parameter.shape) or not np.isfinite(array).all():
            raise FormatError(
                f"{path}: {name} is {array.shape}; expected finite {tuple(parameter.shape)}; reinstall ndf"
            )
        state[name] = torch.from_numpy(np.array(array, order="C"))
    return state
