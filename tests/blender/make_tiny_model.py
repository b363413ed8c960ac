"""Run with a Python that has hgs_toolkit: writes an untrained generator of three small levels to the path given."""

import sys

import torch

from hgs_toolkit.checkpoint import save_model
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.settings_io import config_from_dict

generator = {
    "resolution": 16, "z_dim": 8, "w_dim": 16, "pose_conditioned": False, "view_dependent_color": False, "points": 8,
    "channels": [16, 16, 8], "level_blocks": ["adain", "adain"], "transformer_blocks": 1, "heads": 2,
    "background": "generator", "background_points": 4, "background_channels": 8, "poses": {"focal": 1.5},
}  # fmt: skip
discriminator = {"kind": "residual", "resolution": 16, "channels": [8, 8, 8], "pose": "projection"}
config = config_from_dict({"name": "tiny", "generator": generator, "discriminator": discriminator})
torch.manual_seed(0)
save_model(sys.argv[1], Generator(config.generator).eval(), config, {})
