"""report.html of a run: one page that stands alone, with curves, samples over time, a turntable, settings and data."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from hgs_toolkit.files import write_bytes
from hgs_toolkit.settings_io import config_to_dict, flatten_keys, load_config
from hgs_toolkit.training.reports.charts import Points, line_chart
from hgs_toolkit.training.state import RunFolder

REPORT_FILE = "report.html"

CHARTS = {
    "losses": ("loss_d", "loss_g"),
    "mean logits of D": ("real", "fake"),
    "reconstruction": ("pixels", "perceptual"),
    "gradient norms": ("grad_d", "grad_g"),
    "penalties": ("r1", "r2"),
    "images a second": ("images_per_second",),
}
"""Title to the scalars of log.jsonl that it shows; KID has a chart of its own."""

SHOWN_GRIDS = 6
"""Number of sample grids over the length of a run."""

GRID_SIDE = 512
"""Largest side of a sample grid in the page, pixels."""

FRAME_MILLISECONDS = 90

SMOOTH_SIDE = 64
"""Side of the images from which an enlarged turntable is smooth, pixels; smaller ones would look like haze."""

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 24px auto; max-width: 1340px; padding: 0 16px; color: #222 }
h1 { font-size: 22px } h2 { font-size: 17px; margin-top: 32px }
.row { display: flex; flex-wrap: wrap; gap: 16px } figure { margin: 0 } figcaption { color: #666; font-size: 13px }
svg { width: 420px; max-width: 100%; background: #fafafa } svg text { font-size: 11px; fill: #666 }
svg text.title { fill: #222; font-weight: 600 } svg .end { text-anchor: end }
svg polyline { fill: none; stroke-width: 1.5 }
svg .rule { stroke: #ddd } img { image-rendering: auto; max-width: 100% }
table { border-collapse: collapse; font-size: 13px } td, th { padding: 2px 12px 2px 0; text-align: left }
.columns { columns: 3 340px } summary { font-size: 17px; font-weight: 600; margin: 32px 0 12px; cursor: pointer }
"""


def write_report(
    run: RunFolder, facts: Mapping[str, object], turntable: npt.NDArray[np.uint8] | None = None
) -> Path:  # fmt: skip
    """Write the report of ``run`` from what is in its folder; returns its path.

    Args:
        facts: what is known of the dataset, in the order in which it is shown.
        turntable: (frames, H, W, 3) of one sample, shown as a looping image.

    Raises:
        HgsError: if it cannot be written.
    """
    config, log = load_config(run.config_file), run.read_log()
    title = f"{config.name}: {log[-1]['kimg']:g} of {config.training.kimg:g} kimg" if log else config.name
    parts = [f"<h1>{html.escape(title)}</h1>", f"<p>{html.escape(config.description)}</p>"]
    parts += ["<h2>Curves</h2>", _row(charts({"": log}))]
    parts += ["<h2>Samples</h2>", _row(_sample_figures(run))]
    if turntable is not None:
        parts += ["<h2>Turntable</h2>", _row([_figure(_animation(turntable), "one sample of the average model")])]
    parts += ["<h2>Data</h2>", _table(facts)]
    settings = _table(flatten_keys(config_to_dict(config)))
    parts += [f'<details><summary>Settings</summary><div class="columns">{settings}</div></details>']
    return _write_page(run.path / REPORT_FILE, title, parts)


def write_comparison(path: Path, runs: Mapping[str, RunFolder]) -> Path:
    """Write a page with the curves of several runs over each other and the settings in which they differ."""
    parts = ["<h1>Comparison of runs</h1>", _row(charts({name: run.read_log() for name, run in runs.items()}))]
    different = different_settings(runs)
    parts += ["<h2>Different settings</h2>", _rows([["setting", *runs], *([key, *row] for key, row in different)])]
    for name, run in runs.items():
        parts += [f"<h2>{html.escape(name)}</h2>", _row(_sample_figures(run, 1))]
    return _write_page(path, "comparison of runs", parts)


def charts(logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """A chart for KID and for each of CHARTS, over all logs by their names."""
    made = []
    kids = sorted({key for lines in logs.values() for line in lines for key in line if key.startswith("kid_")})
    for title, keys in {**{name: (name,) for name in kids}, **CHARTS}.items():
        series: dict[str, Points] = {}
        for name, lines in logs.items():
            for key in keys:
                points = [(float(line["kimg"]), float(line[key])) for line in lines if key in line]
                if points:
                    series[" ".join(part for part in (name, key) if part)] = points
        if series:
            made.append(line_chart(title, series, log=title in kids))
    return made


def different_settings(runs: Mapping[str, RunFolder]) -> list[tuple[str, list[str]]]:
    """Settings in which runs differ, each with its value in every run."""
    settings = [flatten_keys(config_to_dict(load_config(run.config_file))) for run in runs.values()]
    keys = sorted({key for values in settings for key in values})
    rows = [(key, [str(values.get(key)) for values in settings]) for key in keys]
    return [(key, row) for key, row in rows if len(set(row)) > 1]


def _sample_figures(run: RunFolder, count: int = SHOWN_GRIDS) -> list[str]:
    """Grids evenly over the length of a run, and real images; a ``count`` of 1 is the last grid alone."""
    files = sorted(run.samples.glob("kimg-*.png"))
    places = np.unique(np.linspace(0, max(len(files) - 1, 0), count).round().astype(int))
    chosen = [files[place] for place in places] if count > 1 and files else files[-1:]
    figures = [_figure(_small_jpeg(file), f"{float(file.stem.removeprefix('kimg-')):g} kimg") for file in chosen]
    real = run.samples / "real.png"
    return [*figures, _figure(_small_jpeg(real), "real images")] if real.is_file() and count > 1 else figures


def _small_jpeg(file: Path) -> str:
    """A grid as it is shown: a large one made smaller, the pixels of a small one made visible."""
    with Image.open(file) as stored:
        image: Image.Image = stored
        if (factor := GRID_SIDE // 2 // max(image.size)) > 1:
            image = image.resize((factor * image.width, factor * image.height), Image.Resampling.NEAREST)
        image.thumbnail((GRID_SIDE, GRID_SIDE))
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=88)
    return _data_url(buffer.getvalue(), "image/jpeg")


def _animation(frames: npt.NDArray[np.uint8]) -> str:
    images = [Image.fromarray(frame) for frame in frames]
    kind = Image.Resampling.NEAREST if frames.shape[1] < SMOOTH_SIDE else Image.Resampling.LANCZOS
    images = [image.resize((256, 256), kind) for image in images]
    buffer = io.BytesIO()
    images[0].save(buffer, "WEBP", save_all=True, append_images=images[1:], duration=FRAME_MILLISECONDS, loop=0)
    return _data_url(buffer.getvalue(), "image/webp")


def _data_url(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _figure(source: str, caption: str) -> str:
    return f'<figure><img src="{source}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'


def _row(parts: Sequence[str]) -> str:
    return f'<div class="row">{"".join(parts)}</div>'


def _table(values: Mapping[str, object]) -> str:
    return _rows([[key, str(value)] for key, value in values.items()])


def _rows(rows: Sequence[Sequence[str]]) -> str:
    cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def _write_page(path: Path, title: str, parts: Sequence[str]) -> Path:
    head = '<!doctype html><html lang="en"><meta charset="utf-8">'
    head += f"<title>{html.escape(title)}</title><style>{STYLE}</style>"
    write_bytes(path, f"{head}<body>{''.join(parts)}</body></html>\n".encode())
    return path
