"""The last step: when all shards are done, join them to the format's product and write the manifest."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from hgs_toolkit.files import write_json
from hgs_toolkit.synthesis.containers import measure, remove_unfinished
from hgs_toolkit.synthesis.layout import Layout, ProductRecord

logger = logging.getLogger(__name__)


def merge(folder: str | Path) -> Path:
    """Finish the dataset in ``folder`` once all of its shards are there, wherever they were made.

    Returns:
        The dataset: the product of a format that has one, else the folder of the shards.

    Raises:
        DataError: if the folder has no plan, or shards are missing (the message names them).
    """
    layout = Layout.open(Path(folder))
    form, product = layout.format, layout.product
    result = product or layout.shard_folder
    if layout.finished():
        logger.info("%s is finished already", folder)
        return result
    records = layout.records()
    remove_unfinished(layout.folder)  # of a join that was killed
    facts = None
    if form.product is not None and product is not None:
        form.product.join(layout.plan, [layout.shard(record.shard) for record in records], product)
        size, digest = measure(product)
        facts = ProductRecord(product.name, size, digest)
    write_json(layout.manifest, layout.manifest_values(records, facts))
    remove_shards_if_replaced(layout)
    if layout.shard_folder.exists():
        remove_unfinished(layout.shard_folder)
    return result


def remove_shards_if_replaced(layout: Layout) -> None:
    """Remove the shards of a finished dataset whose product holds all of them; other files beside them stay."""
    if layout.format.product is None or not layout.format.product.replaces_shards:
        return
    remove_unfinished(layout.shard_folder)
    for shard in range(layout.plan.shards):
        for path in (layout.record_path(shard), layout.shard(shard)):
            with suppress(OSError):
                path.unlink()
    with suppress(OSError):  # it is gone, or holds something of others
        layout.shard_folder.rmdir()
