# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs for the graphics card: Gaussians, surfaces, and the finished image on the screen.

They repeat ``core/projection.py`` and ``core/rasterizing.py`` line by line; the names are the same.
"""

from __future__ import annotations

import functools
from typing import Any

import gpu

from ..core.harmonics import COUNTS, basis_terms
from ..core.projection import BLUR, MIN_ALPHA
from ..core.rasterizing import MAX_ALPHA
from ..core.texels import PLACE_TEXELS, SHAPE_TEXELS, WIDTH
from .solid_objects import SHADE

SCREEN_DEPTH = """
float depth_on_screen(float z)
{
  return lens_kind.x > 0.5 ? lens_kind.y * z + lens_kind.z : lens_kind.y + lens_kind.z / z;
}
"""
"""Function from a distance ``z`` along the camera's axis to depth on the screen; ``lens_kind`` holds 1 for parallel
rays, else 0, and the two factors of the projection matrix."""

TO_DISPLAY = """
vec3 to_display(vec3 c) {
  return mix(1.055 * pow(max(c, vec3(0.0)), vec3(1.0 / 2.4)) - 0.055, c * 12.92, lessThanEqual(c, vec3(0.0031308)));
}
"""

TO_LINEAR = """
vec3 to_linear(vec3 c) {
  return mix(pow((max(c, vec3(0.0)) + 0.055) / 1.055, vec3(2.4)), c / 12.92, lessThanEqual(c, vec3(0.04045)));
}
"""

SPLATS_VERTEX = f"""
#define TEXEL(table, index) texelFetch(table, ivec2((index) % {WIDTH}, (index) / {WIDTH}), 0)

void main()
{{
  vec2 entry = TEXEL(order, gl_InstanceID).xy;
  int row = int(entry.x + 0.5), place = {PLACE_TEXELS} * int(entry.y + 0.5);
  vec4 p0 = TEXEL(places, place), p1 = TEXEL(places, place + 1), p2 = TEXEL(places, place + 2);
  vec4 eye = TEXEL(places, place + 3);
  int shape = {SHAPE_TEXELS} * row;
  vec4 s0 = TEXEL(shapes, shape), s1 = TEXEL(shapes, shape + 1), s2 = TEXEL(shapes, shape + 2);
  vec4 color = TEXEL(colors, row);

  vec3 local = vec3(s0.w, s1.w, s2.w);
  vec3 point = vec3(dot(p0.xyz, local) + p0.w, dot(p1.xyz, local) + p1.w, dot(p2.xyz, local) + p2.w);
  vec3 m0 = p0.x * s0.xyz + p0.y * s1.xyz + p0.z * s2.xyz;
  vec3 m1 = p1.x * s0.xyz + p1.y * s1.xyz + p1.z * s2.xyz;
  vec3 m2 = p2.x * s0.xyz + p2.y * s1.xyz + p2.z * s2.xyz;

  bool parallel = lens_kind.x > 0.5;
  float divisor = parallel ? 1.0 : point.z;
  vec2 slope = parallel ? vec2(0.0) : clamp(point.xy / point.z, bounds.xy, bounds.zw);
  vec3 across = (m0 - slope.x * m2) * (lens.x / divisor);
  vec3 down = (m1 - slope.y * m2) * (lens.y / divisor);
  float xx = dot(across, across), xy = dot(across, down), yy = dot(down, down);
  vec3 area = cross(across, down);
  float determinant = dot(area, area) + {BLUR} * (xx + yy) + {BLUR * BLUR};
  float longest = 0.5 * (xx + yy) + length(vec2(0.5 * (xx - yy), xy)) + {BLUR};
  float angle = (xx == yy && xy == 0.0) ? 0.0 : 0.5 * atan(2.0 * xy, xx - yy);
  vec2 axis = vec2(cos(angle), sin(angle));

  float reach = sqrt(2.0 * log(max(color.a / {MIN_ALPHA!r}, 1.0)));
  from_centre = corner * reach;
  vec2 pixel = lens.xy * point.xy / divisor + lens.zw + from_centre.x * sqrt(longest) * axis
             + from_centre.y * sqrt(determinant / longest) * vec2(-axis.y, axis.x);
  gl_Position = vec4(2.0 * pixel.x / screen.x - 1.0, 1.0 - 2.0 * pixel.y / screen.y, depth_on_screen(point.z), 1.0);

  vec3 total = color.rgb;
  int count = int(screen.z + 0.5), first = count * row;
  if (count > 0) {{
    vec3 d = normalize(parallel ? eye.xyz : local - eye.xyz);
%HARMONICS%
  }}
  tint = vec4(eye.w > 0.5 ? ground.rgb : max(total, vec3(0.0)), color.a);
}}
"""
"""``eye`` is the camera's position in the object's coordinates; where rays are parallel it is their direction."""

SPLATS_FRAGMENT = f"""
void main()
{{
  float alpha = min({MAX_ALPHA}, tint.a * exp(-0.5 * dot(from_centre, from_centre)));
  if (alpha < {MIN_ALPHA!r}) {{
    discard;
  }}
  result = vec4(tint.rgb * alpha, alpha);
}}
"""

SURFACES_VERTEX = """
void main()
{
  vec4 seen = to_camera * vec4(position, 1.0);
  point = seen.xyz;
  shown = color;
  float divisor = lens_kind.x > 0.5 ? 1.0 : seen.z;
  vec2 pixel = lens.xy * seen.xy + lens.zw * divisor;
  gl_Position = vec4(2.0 * pixel.x / screen.x - divisor, divisor - 2.0 * pixel.y / screen.y,
                     depth_on_screen(seen.z) * divisor, divisor);
}
"""

SURFACES_FRAGMENT = f"""
void main()
{{
  vec3 normal = normalize(cross(dFdx(point), dFdy(point)));
  vec3 direction = lens_kind.x > 0.5 ? vec3(0.0, 0.0, 1.0) : normalize(point);
  vec3 lit = shown.rgb * ({SHADE} + {1 - SHADE} * abs(dot(normal, direction)));
  lit = ground.w > 0.5 ? lit : to_display(lit);
  result = vec4(shown.a > 0.5 ? lit : ground.rgb, 1.0);
}}
"""
"""``ground`` ends with 1 where images are shown as they are (Raw), and a colour with 0 for a holdout."""

SCREEN_VERTEX = """
void main()
{
  place = 0.5 * corner + 0.5;
  gl_Position = vec4(corner, 0.0, 1.0);
}
"""

SCREEN_FRAGMENT = """
void main()
{
  vec4 color = texture(image, place);
  result = raw > 0.5 ? color : vec4(to_linear(color.rgb / max(color.a, 1e-12)) * color.a, color.a);
}
"""


@functools.cache
def splats_shader() -> Any:
    """Gaussians as quads, an instance each."""
    info = _info(
        "hgs_splats", {"lens": "VEC4", "bounds": "VEC4", "lens_kind": "VEC4", "screen": "VEC4", "ground": "VEC4"}
    )
    for slot, name in enumerate(("order", "places", "shapes", "colors", "harmonics")):
        info.sampler(slot, "FLOAT_2D", name)
    info.vertex_in(0, "VEC2", "corner")
    _between(info, "hgs_splats_between", smooth={"from_centre": "VEC2"}, flat={"tint": "VEC4"})
    return _compiled(info, SCREEN_DEPTH + SPLATS_VERTEX.replace("%HARMONICS%", harmonics_code()), SPLATS_FRAGMENT)


@functools.cache
def surfaces_shader() -> Any:
    """Triangles in the world, shaded by a lamp on the camera."""
    info = _info(
        "hgs_surfaces", {"to_camera": "MAT4", "lens": "VEC4", "lens_kind": "VEC4", "screen": "VEC4", "ground": "VEC4"}
    )
    info.vertex_in(0, "VEC3", "position")
    info.vertex_in(1, "VEC4", "color")
    _between(info, "hgs_surfaces_between", smooth={"point": "VEC3"}, flat={"shown": "VEC4"})
    return _compiled(info, SCREEN_DEPTH + SURFACES_VERTEX, TO_DISPLAY + SURFACES_FRAGMENT)


@functools.cache
def screen_shader() -> Any:
    """A finished image over all of the view: as it is (``raw``) or as linear light."""
    info = _info("hgs_screen", {"raw": "FLOAT"})
    info.sampler(0, "FLOAT_2D", "image")
    info.vertex_in(0, "VEC2", "corner")
    _between(info, "hgs_screen_between", smooth={"place": "VEC2"}, flat={})
    return _compiled(info, SCREEN_VERTEX, TO_LINEAR + SCREEN_FRAGMENT)


def harmonics_code() -> str:
    """Lines that add the harmonics of the direction ``d`` to ``total``, a degree at a time."""
    lines = []
    for number, terms in enumerate(basis_terms(3)):
        if number in COUNTS:
            lines.append(f"    if (count > {number}) {{")
        value = " + ".join(
            "*".join([f"({weight!r})", *(f"d.{letter}" for letter in letters)]) for letters, weight in terms
        )
        lines.append(f"      total += ({value}) * TEXEL(harmonics, first + {number}).rgb;")
        if number + 1 in COUNTS:
            lines.append("    }")
    return "\n".join(lines)


def _info(name: str, constants: dict[str, str]) -> Any:
    types: Any = gpu.types  # whose classes take nothing, by the stubs
    info = types.GPUShaderCreateInfo()
    for constant, kind in constants.items():
        info.push_constant(kind, constant)
    info.fragment_out(0, "VEC4", "result")
    return info


def _between(info: Any, name: str, smooth: dict[str, str], flat: dict[str, str]) -> None:
    types: Any = gpu.types  # as above
    interface = types.GPUStageInterfaceInfo(name)
    for value, kind in smooth.items():
        interface.smooth(kind, value)
    for value, kind in flat.items():
        interface.flat(kind, value)
    info.vertex_out(interface)


def _compiled(info: Any, vertex: str, fragment: str) -> Any:
    info.vertex_source(vertex)
    info.fragment_source(fragment)
    create: Any = gpu.shader.create_from_info
    return create(info)
