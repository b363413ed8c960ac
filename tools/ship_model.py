"""Put a run's average weights into the package, in half precision, with a manifest.

python tools/ship_model.py RUN [--name critters64] [--fact grown_from="critters64-at32, 100 kimg"]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import torch

from hgs_toolkit.checkpoint import PRETRAINED, find_model, load_model, read_header, save_model
from hgs_toolkit.files import sha256, write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="run folder or model file")
    parser.add_argument("--name", default="critters64", help="of the configuration in the file")
    parser.add_argument("--fact", action="append", default=[], metavar="NAME=TEXT", help="more for the manifest")
    arguments = parser.parse_args()
    header = read_header(find_model(arguments.run))
    config = replace(header.config, name=arguments.name)
    facts = header.facts | dict(fact.split("=", 1) for fact in arguments.fact) | {"licence": "CC0-1.0"}
    save_model(PRETRAINED, load_model(arguments.run, "cpu"), config, facts, dtype=torch.float16)
    manifest = {
        "file": PRETRAINED.name, "sha256": sha256(PRETRAINED), "bytes": PRETRAINED.stat().st_size,
        "config": config.name, "resolution": config.generator.resolution, **facts,
    }  # fmt: skip
    write_json(PRETRAINED.with_name("manifest.json"), manifest)
    print(json.dumps(manifest, indent=2))


if __name__ == "__main__":
    main()
