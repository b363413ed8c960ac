"""The mean of several models' weights, as one model: snapshots of one run, taken while it moves about a good place.

python tools/average_models.py OUT.safetensors RUN/snapshots/kimg-00036.000.safetensors RUN/snapshots/kimg-00040...

Like a longer moving average (`training.ema_kimg`), chosen after the run. Only snapshots of one run are near enough to
each other for that. Source: Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima and Better Generalization"
(arXiv 1803.05407).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from hgs_toolkit.checkpoint import load_model, save_model
from hgs_toolkit.model_files import read_header


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    options = parser.parse_args()
    headers = [read_header(path) for path in options.models]
    if any(header.config.generator != headers[0].config.generator for header in headers):
        parser.error("the models have different generators; expected snapshots of one run")
    models = [load_model(path, "cpu") for path in options.models]
    states = [model.state_dict() for model in models]
    mean = {name: torch.stack([state[name].float() for state in states]).mean(0) for name in states[0]}
    models[-1].load_state_dict(mean)
    kimg = ", ".join(header.facts.get("kimg", "?") for header in headers)
    facts = headers[-1].facts | {"averaged": f"snapshots after {kimg} kimg"}
    save_model(options.out, models[-1], headers[-1].config, facts)


if __name__ == "__main__":
    main()
