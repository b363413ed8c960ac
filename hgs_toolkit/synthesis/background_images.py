"""A folder of images to put behind scenes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from hgs_toolkit.datasets.images import MAX_IMAGE_BYTES, Pixels, is_image, open_image
from hgs_toolkit.datasets.storage import FileStore, open_store
from hgs_toolkit.errors import DataError
from hgs_toolkit.imaging.reading import to_rgb


@dataclass(frozen=True)
class Crop:
    """Which part of which image: all values are in [0, 1), so that they are drawn before the images are known.

    Attributes:
        image: position in the sorted list of images.
        across, down: position of the largest square that fits the image.
    """

    image: float
    across: float
    down: float


class BackgroundImages:
    """The PNG, JPEG and WebP files of a folder or zip archive, in the order of their sorted names.

    Raises:
        DataError: if the folder cannot be read or holds none.
    """

    def __init__(self, path: str | Path) -> None:
        self._store: FileStore = open_store(path)
        self.names = [name for name in self._store.names if is_image(name)]
        if not self.names:
            raise DataError(f"{path} holds no PNG, JPEG or WebP image to use as a background")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all names and contents."""
        total = hashlib.sha256()
        for name in self.names:
            content = hashlib.sha256(self._store.read(name, MAX_IMAGE_BYTES)).hexdigest()
            total.update(f"{name}\0{content}\n".encode(errors="surrogatepass"))  # a name need not be text
        return total.hexdigest()

    def square(self, crop: Crop, size: int) -> Pixels:
        """The part ``crop`` as (size, size, 3), resampled; a DataError names an image that is broken."""
        name = self.names[int(crop.image * len(self.names))]
        data = self._store.read(name, MAX_IMAGE_BYTES)
        try:
            with open_image(data, name) as file:
                file.draft("RGB", (2 * size, 2 * size))  # JPEG files decode quicker to a fraction of their size
                image = to_rgb(file, name)
                side = min(image.size)
                left, top = int(crop.across * (image.width - side + 1)), int(crop.down * (image.height - side + 1))
                box = (left, top, left + side, top + side)
                return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC, box))
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"the background image {name} is broken: {error}") from error
