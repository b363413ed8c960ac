"""Put a run's average weights into the package, in half precision or in eight bits, with its manifest and its credits.

python tools/ship_model.py RUN [--name critters128] [--fact grown_from="critters64-at32, 100 kimg"] [--figure kid=0.2]
python tools/ship_model.py RUN --poses circle64.zip                        # the model's cameras are those of this set
python tools/ship_model.py RUN --bits 8                                    # a wide generator, at most 8 MB
python tools/ship_model.py RUN --name seating64 --licence CC-BY-4.0        # another model beside the default one

RUN is a run's folder, a model file, or networks to train on from (`hgs runs pack`), whose average is taken.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hgs_toolkit.checkpoint import OF_BITS, load_model, save_model
from hgs_toolkit.datasets.attribution import ATTRIBUTION, LICENCE, Credit, credits_in, credits_to_json, summarise
from hgs_toolkit.datasets.eg3d import open_dataset
from hgs_toolkit.datasets.measured_poses import measure_poses
from hgs_toolkit.files import sha256, write_json
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.model_files import NETWORKS_KEY, PRETRAINED, ModelHeader, find_model, read_header, read_metadata
from hgs_toolkit.training.networks import load_into
from hgs_toolkit.training.stages.warm_start import read_networks

LICENCE_TEXTS = {"CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/legalcode"}
"""Where the texts of licences are that a model with credits may have."""


def licence_notice(file: str, licence: str, works: Sequence[Credit]) -> str:
    """The licence file of a model: its own licence, and the works that it learned from, with their authors."""
    lines = [f"{credit.work}, by {credit.author} ({credit.source}): {credit.licence}" for credit in sorted(works)]
    text = (
        f"{file} is made available under {licence}:\n{LICENCE_TEXTS[licence]}\n\n"
        "It learned from images rendered from the works below, varied in colour, light and proportions.\n"
        "Whoever passes on the model, or what it generates, names hgs_toolkit and these authors, for example by a link "
        "to this file.\n\n"
    )
    return text + "\n".join(lines) + "\n"


def trained(run: str) -> tuple[ModelHeader, Generator]:
    """Configuration and facts of a run, and its average network."""
    file = Path(run)
    if not (file.is_file() and NETWORKS_KEY in read_metadata(file)):
        return read_header(find_model(run)), load_model(run, "cpu")
    header = read_header(file, NETWORKS_KEY)
    generator = Generator(header.config.generator)
    load_into(generator, read_networks(file).ema, "generator")
    return header, generator


def _fact(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not (name and found):
        raise argparse.ArgumentTypeError(f"{text!r}; expected NAME=TEXT")
    return name, value


def _figure(text: str) -> tuple[str, float]:
    name, value = _fact(text)
    try:
        return name, float(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}; expected NAME=NUMBER") from error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="run folder, model file or packed networks")
    parser.add_argument("--name", default=PRETRAINED.stem, help="of the model: of its file and its configuration")
    parser.add_argument("--description", help="of the configuration, in place of the training's")
    parser.add_argument(
        "--figure", action="append", type=_figure, default=[], metavar="NAME=NUMBER", help="a measured figure"
    )
    parser.add_argument(
        "--fact", action="append", type=_fact, default=[], metavar="NAME=TEXT", help="more for the manifest"
    )
    parser.add_argument(
        "--licence", choices=LICENCE_TEXTS, help="of the model; CC0-1.0 where its data carry no licences of others"
    )
    parser.add_argument(
        "--bits", type=int, choices=OF_BITS, default=16, help="of a weight; 8 where half precision takes more than 8 MB"
    )
    parser.add_argument("--poses", type=Path, help="set whose cameras become the model's, if it saw more of some sides")
    arguments = parser.parse_args()
    more, figures = dict(arguments.fact), dict(arguments.figure)
    header, generator = trained(arguments.run)
    config = replace(header.config, name=arguments.name, description=arguments.description or header.config.description)
    if arguments.poses:
        poses = measure_poses(open_dataset(arguments.poses).labels)
        config = replace(config, generator=replace(config.generator, poses=poses))
    works = credits_in(header.facts)
    if works and arguments.licence is None:
        parser.error(f"the model learned from {summarise(works)}; name its own licence: --licence")
    facts = header.facts | more
    facts |= {LICENCE: arguments.licence or "CC0-1.0"}
    file = PRETRAINED.with_name(f"{arguments.name}.safetensors")
    save_model(file, generator, config, facts, dtype=OF_BITS[arguments.bits])
    manifest = {
        "file": file.name, "sha256": sha256(file), "bytes": file.stat().st_size,
        "config": config.name, "resolution": config.generator.resolution, **facts,
    }  # fmt: skip
    if works:
        manifest[ATTRIBUTION] = credits_to_json(works)
        notice = licence_notice(file.name, str(arguments.licence), works)
        PRETRAINED.with_name(f"LICENSE-{arguments.name}").write_text(notice, encoding="utf-8")
    if figures:
        manifest["figures"] = figures
    write_json(file.with_suffix(".json"), manifest)
    print(json.dumps(manifest, indent=2))


if __name__ == "__main__":
    main()
