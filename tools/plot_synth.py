"""A picture of a synthesised dataset's annotations: a view a row, an annotation a column.

hgs synth MODEL --count 12 --views 2 --size 128 --background random --exposure 0.5 --out set
python tools/plot_synth.py set/shards/000000 sheet.png --views 0,1,4,8
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hgs_toolkit.imaging.images import save_png
from hgs_toolkit.imaging.looks import LEVEL_COLORS

FRAME = (255, 40, 40)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shard", type=Path, help="a shard of the format 'folder', with every annotation")
    parser.add_argument("out", type=Path)
    parser.add_argument("--views", default="0,1,2,3", help="numbers of views in the shard")
    options = parser.parse_args()
    rows = [np.concatenate(row(options.shard, int(view)), axis=1) for view in options.views.split(",")]
    save_png(options.out, np.concatenate(rows))


def row(shard: Path, view: int) -> list[NDArray[np.uint8]]:
    """Pictures (H, W, 3): colour with box, alpha, mask, depth (near is bright), normals, levels."""
    files = {name: Image.open(shard / f"{view:08d}.{name}.png") for name in
             ("rgb", "alpha", "mask", "depth", "normal", "level")}  # fmt: skip
    facts = json.loads((shard / f"{view:08d}.json").read_text())
    framed = files["rgb"].convert("RGB")
    if facts["bbox"]:
        left, top, width, height = facts["bbox"]
        ImageDraw.Draw(framed).rectangle((left, top, left + width - 1, top + height - 1), outline=FRAME)
    depth = np.asarray(files["depth"]) / facts["depth_scale"]
    near, far = np.percentile(depth[depth > 0], (2, 98))
    nearness = np.where(depth > 0, np.clip(1 - 0.8 * (depth - near) / (far - near), 0.2, 1), 0)
    palette = np.array([(1, 1, 1), *LEVEL_COLORS])
    grey = Image.fromarray((255 * nearness).astype(np.uint8))
    pictures = [framed, files["alpha"], files["mask"], grey, files["normal"]]
    return [np.asarray(picture.convert("RGB")) for picture in pictures] + [
        (255 * palette[np.asarray(files["level"])]).astype(np.uint8)
    ]


if __name__ == "__main__":
    main()
