"""Three-component vectors as tuples, inlined into the projection kernels."""

from __future__ import annotations

from hgs_toolkit.rendering.cpu.jit import inlined

Vector = tuple[float, float, float]
Rows = tuple[Vector, Vector, Vector]


@inlined
def dot(a: Vector, b: Vector) -> float:
    """Scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inlined
def combine(s: float, a: Vector, t: float, b: Vector) -> Vector:
    """s a + t b."""
    return s * a[0] + t * b[0], s * a[1] + t * b[1], s * a[2] + t * b[2]


@inlined
def row_times(a: Vector, M: Rows) -> Vector:
    """Row vector times a matrix given by rows: a M."""
    return (
        a[0] * M[0][0] + a[1] * M[1][0] + a[2] * M[2][0],
        a[0] * M[0][1] + a[1] * M[1][1] + a[2] * M[2][1],
        a[0] * M[0][2] + a[1] * M[1][2] + a[2] * M[2][2],
    )


@inlined
def times_column(M: Rows, a: Vector) -> Vector:
    """Matrix given by rows times a column vector: M a."""
    return dot(M[0], a), dot(M[1], a), dot(M[2], a)


@inlined
def scale_columns(M: Rows, s: Vector) -> Rows:
    """M diag(s)."""
    return (
        (M[0][0] * s[0], M[0][1] * s[1], M[0][2] * s[2]),
        (M[1][0] * s[0], M[1][1] * s[1], M[1][2] * s[2]),
        (M[2][0] * s[0], M[2][1] * s[1], M[2][2] * s[2]),
    )


@inlined
def rotation(w: float, x: float, y: float, z: float, s: float) -> Rows:
    """Rotation matrix of a quaternion, where s = 2 / (w^2 + x^2 + y^2 + z^2)."""
    return (
        (1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)),
        (s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x)),
        (s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)),
    )


@inlined
def rotation_vjp(w: float, x: float, y: float, z: float, v: Rows) -> tuple[float, float, float, float]:
    """Gradient of a unit quaternion from the gradient ``v`` of its rotation matrix, with s = 2 held fixed."""
    return (
        2 * (x * (v[2][1] - v[1][2]) + y * (v[0][2] - v[2][0]) + z * (v[1][0] - v[0][1])),
        2 * (w * (v[2][1] - v[1][2]) + y * (v[0][1] + v[1][0]) + z * (v[0][2] + v[2][0]) - 2 * x * (v[1][1] + v[2][2])),
        2 * (w * (v[0][2] - v[2][0]) + x * (v[0][1] + v[1][0]) + z * (v[1][2] + v[2][1]) - 2 * y * (v[0][0] + v[2][2])),
        2 * (w * (v[1][0] - v[0][1]) + x * (v[0][2] + v[2][0]) + y * (v[1][2] + v[2][1]) - 2 * z * (v[0][0] + v[1][1])),
    )
