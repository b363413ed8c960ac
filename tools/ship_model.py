"""Put a run's average weights into the package, in half precision, with a manifest.

python tools/ship_model.py RUN [--name critters64] [--fact grown_from="critters64-at32, 100 kimg"]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import torch

from hgs_toolkit.checkpoint import load_model, save_model
from hgs_toolkit.datasets.attribution import ATTRIBUTION, credits_to_json, read_credits, summarise
from hgs_toolkit.files import sha256, write_json
from hgs_toolkit.model_files import PRETRAINED, find_model, read_header


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="run folder or model file")
    parser.add_argument("--name", default="critters64", help="of the configuration in the file")
    parser.add_argument("--fact", action="append", default=[], metavar="NAME=TEXT", help="more for the manifest")
    parser.add_argument("--licence", help="of the model; CC0-1.0 where its data carry no licences of others")
    arguments = parser.parse_args()
    header = read_header(find_model(arguments.run))
    config = replace(header.config, name=arguments.name)
    works = read_credits(header.facts.get(ATTRIBUTION))
    if works and arguments.licence is None:
        parser.error(f"the model learned from {summarise(works)}; name its own licence: --licence")
    facts = header.facts | dict(fact.split("=", 1) for fact in arguments.fact)
    facts |= {"licence": arguments.licence or "CC0-1.0"}
    save_model(PRETRAINED, load_model(arguments.run, "cpu"), config, facts, dtype=torch.float16)
    manifest = {
        "file": PRETRAINED.name, "sha256": sha256(PRETRAINED), "bytes": PRETRAINED.stat().st_size,
        "config": config.name, "resolution": config.generator.resolution, **facts,
    }  # fmt: skip
    if works:
        manifest[ATTRIBUTION] = credits_to_json(works)
    write_json(PRETRAINED.with_name("manifest.json"), manifest)
    print(json.dumps(manifest, indent=2))


if __name__ == "__main__":
    main()
