"""Unit quaternions without their largest component, and the quaternions of equal ellipsoids.

Packed formats leave out the component of largest magnitude: since q and -q are the same rotation and |q| = 1, it can be
made positive, and then follows from the other three, which lie within +-1/sqrt(2).
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hgs_toolkit.parsing.quaternions import BOUND as BOUND
from hgs_toolkit.parsing.quaternions import KEPT as KEPT
from hgs_toolkit.parsing.quaternions import drop_largest as drop_largest
from hgs_toolkit.parsing.quaternions import restore_largest as restore_largest

Real = TypeVar("Real", np.float32, np.float64)


def equal_rotations(quats: NDArray[Real]) -> NDArray[Real]:
    """The four rotations (4, N, 4) that give the same ellipsoids as wxyz ``quats`` (N, 4).

    The first is ``quats`` itself; each of the others has half a turn about one of the ellipsoid's own axes before it.
    """
    w, x, y, z = quats.T
    turned = np.stack([[w, x, y, z], [-x, w, z, -y], [-y, -z, w, x], [-z, y, -x, w]])  # q, qi, qj, qk
    return turned.transpose(0, 2, 1)
