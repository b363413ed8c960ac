"""The formats of a dataset: one file each, and the table that names them.

A format says what it stores, writes the files of a shard into a container, and may join finished shards to one product.
"""

from hgs_toolkit.synthesis.formats import coco, eg3d, samples, transforms
from hgs_toolkit.synthesis.formats.base import DatasetFormat

FORMATS: dict[str, DatasetFormat] = {
    "folder": samples.FOLDER,
    "wds": samples.WEBDATASET,
    "eg3d": eg3d.FORMAT,
    "transforms": transforms.FORMAT,
    "coco": coco.FORMAT,
}
"""Formats by the name that ``--format`` takes."""

__all__ = ["FORMATS", "DatasetFormat"]
