"""The classes of a model: their names, the class vectors that occur in its dataset, and how often each does."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hgs_toolkit.errors import ConfigError

Vectors = npt.NDArray[np.float32]

JOIN, WEIGH = "+", "="
"""Signs between the names of a text such as ``floppy+hat``, and between a name and its weight."""

NONE = "none"
"""Text of the class vector of zeros."""

RESERVED = (JOIN, WEIGH, ",")
"""Signs that no name may hold."""


AT_ONCE = 1 << 22
"""Numbers that are compared in one step, which bounds the memory: 16 MiB in each of two arrays."""


@dataclass(frozen=True)
class ClassPrior:
    """The distribution of class vectors in a dataset; a vector has a number for each name.

    A text names a vector: ``chair`` has 1 at that name and 0 elsewhere, ``floppy+hat`` 1 at both names,
    ``chair=0.5+table=0.5`` lies between two, and ``none`` is zero everywhere.
    """

    names: tuple[str, ...] = ()
    """Names of a class vector's numbers, measured from the dataset; empty for a model without classes."""
    vectors: tuple[tuple[float, ...], ...] = ()
    """Class vectors that occur in the dataset; empty for one of each name, with 1 there and 0 elsewhere."""
    shares: tuple[float, ...] = ()
    """How often each of them occurs; empty for all equally often."""

    def __post_init__(self) -> None:
        check_names(self.names, "generator.classes.names")
        if any(len(vector) != len(self.names) or not all(map(math.isfinite, vector)) for vector in self.vectors):
            raise ConfigError(
                f"generator.classes.vectors are not all {len(self.names)} finite numbers; expected one for each name"
            )
        if self.shares and (len(self.shares) != self.kinds or min(self.shares) < 0 or not 0 < sum(self.shares) < 1e30):
            raise ConfigError(
                f"generator.classes.shares are {list(self.shares)}; expected {self.kinds} numbers of 0 or more"
            )

    @property
    def size(self) -> int:
        """Numbers of a class vector; 0 for a model without classes."""
        return len(self.names)

    @property
    def kinds(self) -> int:
        """How many different class vectors occur, K."""
        return len(self.vectors) or len(self.names)

    @cached_property
    def table(self) -> Vectors:
        """The class vectors (K, size) that occur."""
        if self.vectors:
            return np.array(self.vectors, dtype=np.float32)
        return np.eye(len(self.names), dtype=np.float32)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The text of each vector of the table."""
        return tuple(self.describe(vector) for vector in self.table)

    @cached_property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """How often each vector of the table occurs (K,); their sum is 1."""
        weights = np.array(self.shares or (1.0,) * self.kinds)
        probabilities: npt.NDArray[np.float64] = weights / max(weights.sum(), 1e-30)
        return probabilities

    def choose(self, numbers: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Rows (N,) of the table for uniform ``numbers`` (N,) in 0..1, each as often as it occurs."""
        found = np.searchsorted(np.cumsum(self.probabilities), np.asarray(numbers), side="right")
        return np.minimum(found, self.kinds - 1)

    def row_of_seed(self, seed: int) -> int:
        """The row of the table that a scene's seed draws, independent of its latent."""
        return int(self.choose(np.random.RandomState([seed, self.kinds]).random_sample(1))[0])

    def nearest(self, vectors: Vectors) -> npt.NDArray[np.int64]:
        """The row of the table that is nearest to each of ``vectors`` (N, size)."""
        rows = np.empty(len(vectors), dtype=np.int64)
        step = max(1, AT_ONCE // max(self.table.size, 1))
        for start in range(0, len(vectors), step):
            block = vectors[start : start + step]
            rows[start : start + step] = np.square(block[:, None, :] - self.table).sum(axis=-1).argmin(axis=1)
        return rows

    def describe(self, vector: npt.ArrayLike) -> str:
        """The text of a class vector (size,)."""
        parts = []
        for name, value in zip(self.names, np.asarray(vector, dtype=np.float64).tolist(), strict=True):
            if value:
                parts.append(name if value == 1 else f"{name}{WEIGH}{value:.6g}")
        return JOIN.join(parts) or NONE

    def parse(self, text: str) -> Vectors:
        """The class vector (size,) that a text names.

        Raises:
            ConfigError: if the model has no classes, or a name is not one of them: the message lists the right ones.
        """
        if not self.names:
            raise ConfigError(f"class '{text}' for a model without classes; leave the class out")
        vector = np.zeros(self.size, dtype=np.float32)
        if text.strip() == NONE and NONE not in self.names:
            return vector
        for part in text.split(JOIN):
            name, weighted, number = (piece.strip() for piece in part.partition(WEIGH))
            if name not in self.names:
                near = difflib.get_close_matches(name, self.names, n=1)
                hint = f" (did you mean '{near[0]}'?)" if near else ""
                raise ConfigError(f"class '{name}' is unknown{hint}; this model has: {', '.join(self.names)}")
            vector[self.names.index(name)] = _weight(number, text) if weighted else 1.0
        return vector


def check_names(names: tuple[str, ...], key: str) -> None:
    """Raise a ConfigError unless the names of ``key`` are different, not empty and free of the signs of texts."""
    for name in names:
        if not name.strip() or name != name.strip() or any(sign in name for sign in RESERVED):
            raise ConfigError(f"{key} holds '{name}'; expected names without {' '.join(RESERVED)} and outer blanks")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"{key} holds '{twice}' twice; expected different names")


def _weight(text: str, whole: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"class '{whole}' has the weight '{text}'; expected a number, such as chair=0.5+table=0.5")
    return value
