"""All measurements of one model, one after the other."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hgs_toolkit.checkpoint import load_model
from hgs_toolkit.config import Config
from hgs_toolkit.datasets.critters.prior import CritterPrior
from hgs_toolkit.datasets.eg3d import PosedImages, open_dataset
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.evaluation import timing
from hgs_toolkit.evaluation.consistency import TOLERANCE, YAWS, measure_consistency
from hgs_toolkit.evaluation.distances import FeatureSpace
from hgs_toolkit.evaluation.figures import Figure, Report
from hgs_toolkit.evaluation.geometry import SIZE as MAP_SIZE
from hgs_toolkit.evaluation.geometry import TAUGHT, Estimator, critter_shapes, scene_shapes
from hgs_toolkit.evaluation.pose import pose_error
from hgs_toolkit.evaluation.samples import ImageSet, ImageSets, OnDone
from hgs_toolkit.evaluation.sectors import compare_sectors, is_behind
from hgs_toolkit.evaluation.settings import MIN_COUNT, MIN_RESOLUTION, NEED_DATA, EvalSettings
from hgs_toolkit.evaluation.shapes import SIZE, critter_shooters, generated_scenes, shooters
from hgs_toolkit.metrics.extractors import Extractor, make_extractor
from hgs_toolkit.metrics.inception import make_inception
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.model_files import find_model, read_header
from hgs_toolkit.training.grids import shown_background
from hgs_toolkit.training.randomness import Purpose, keyed_generator

logger = logging.getLogger(__name__)

OnStage = Callable[[str, int], OnDone]
"""Called with a stage's name and number of steps; returns the function that is called as steps are done."""


def evaluate(
    model: str | Path | None, data: str | Path | None, settings: EvalSettings, *, device: str = "auto",
    watch: OnStage = lambda _text, _steps: lambda _done: None,
) -> Report:  # fmt: skip
    """Measure a model.

    Args:
        model: a model file or run folder; None for the one that ships.
        data: EG3D folder or zip of real images; None measures what needs none.

    Raises:
        HgsError: if model or data cannot be used, an extractor is not installed, or settings contradict each other.
    """
    metrics = settings.chosen(has_data=data is not None)
    compares = any(name in NEED_DATA for name in metrics)
    _check_use(settings, compares)
    file = find_model(model)
    header, generator = read_header(file), load_model(file, device)
    config = header.config
    facts = {"name": config.name, "file": file.name, "sha256": generator.fingerprint} | header.facts
    evaluation = _Evaluation(generator, config, settings, metrics, watch)
    figures: list[Figure] = []
    data_facts = None
    if data is not None and compares:
        extractors = [make_extractor(name) for name in settings.extractors]
        extractors += [make_inception(settings.inception)] if settings.inception else []
        images = _open(data, settings.resolution, config)
        _check_classes(settings, config, images)
        settings = settings.of_dataset(Path(data).name, len(images))
        evaluation = dataclasses.replace(evaluation, settings=settings)
        data_facts = {
            "path": Path(data).name, "images": len(images), "stored_resolution": images.stored_resolution,
            "sha256": images.digest,
        }  # fmt: skip
        figures += evaluation.against(ImageSets(generator, config, images, settings, extractors, lambda _: None))
    figures += evaluation.alone()
    if not figures:
        raise ConfigError(
            f"nothing of {', '.join(metrics)} could be measured: too few images or solid scenes; raise --count or "
            "--scenes, or choose others of --metrics"
        )
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in _values(settings).items()}
    return Report(facts, data_facts, plain | {"metrics": metrics}, figures)


def _check_use(settings: EvalSettings, compares: bool) -> None:
    """Raise a ConfigError for settings of a comparison with real images that is not made, or one without features."""
    given = {name: getattr(settings, name) for name in ("count", "resolution", "inception")}
    unused = [f"{name} is {value}" for name, value in given.items() if value is not None]
    if unused and not compares:
        raise ConfigError(
            f"{', '.join(unused)}, and nothing is compared with real images; expected --data with a metric that needs "
            "it, or none of these settings"
        )
    if compares and not settings.extractors and settings.inception is None:
        raise ConfigError("no feature extractor is named to compare images by; expected one at least")


def _open(data: str | Path, resolution: int | None, config: Config) -> PosedImages:
    """The set at ``resolution``, or at the model's; a set that does not have those says how it can be compared."""
    size = config.generator.resolution
    if resolution is None:
        probe = open_dataset(data, cache_bytes=0)
        probe.close()
        stored = probe.stored_resolution
        if stored % size:
            way_out = f", or --resolution {stored}, since splats are drawn at any size"
            raise ConfigError(
                f"{data} holds images of {stored} pixels, and the model was trained at {size}; expected images of "
                f"{size} or a multiple{way_out if stored >= MIN_RESOLUTION else ''}"
            )
    return open_dataset(data, resolution or size)


def _check_classes(settings: EvalSettings, config: Config, data: PosedImages) -> None:
    """Raise a ConfigError if ``classes`` is to be measured and model and dataset have not the same."""
    names = config.generator.classes.names
    if "classes" not in settings.metrics or (names and data.classes is not None and data.classes.names == names):
        return
    there = "no classes" if data.classes is None else f"the classes {', '.join(data.classes.names)}"
    own = f"the classes {', '.join(names)}" if names else "no classes"
    raise ConfigError(f"the metric classes: the model has {own}, {data.path.name} has {there}; expected the same")


@dataclass(frozen=True, eq=False)
class _Evaluation:
    model: Generator
    config: Config
    settings: EvalSettings
    metrics: tuple[str, ...]
    watch: OnStage

    def against(self, drawer: ImageSets) -> Iterator[Figure]:
        """Figures that compare with real images."""
        wanted_3d = "kid_3d" in self.metrics or "fid_3d" in self.metrics
        steps = drawer.count * (2 + drawer.has_second_set + wanted_3d)
        drawer = dataclasses.replace(drawer, advance=self.watch("looking at images", steps))
        real, generated = drawer.real(0), drawer.generated(0, told=True)
        other = drawer.real(1) if drawer.has_second_set else None
        generated_3d = drawer.generated(1, told=False) if wanted_3d else None
        for extractor in drawer.extractors:
            yield from self._compare(extractor, drawer.data, real, other, generated, generated_3d)

    def _compare(
        self,
        extractor: Extractor,
        data: PosedImages,
        real: ImageSet,
        other: ImageSet | None,
        generated: ImageSet,
        generated_3d: ImageSet | None,
    ) -> Iterator[Figure]:
        name, seed = extractor.name, self.settings.seed
        space = FeatureSpace.of(extractor, real.features[name])
        conditions = self._conditions(data.resolution) | {
            "data_sha256": data.digest,
            "background": "grey" if shown_background(self.config) else "black",
            "extractor": name, "extractor_sha256": extractor.sha256, "resize": extractor.resize,
            "standardised": extractor.standardise, "real_count": real.count, "count": generated.count,
            "cameras": "the real pictures'",
        }  # fmt: skip
        floor_features = other.features[name] if other else None
        for suffix, sample in (("", generated), ("_3d", generated_3d)):
            if sample is None:
                continue
            told = {"camera_told_to_model": "frontal" if suffix else "the picture's"}
            if f"kid{suffix}" in self.metrics:
                found = space.kid(sample.features[name], seed)
                floor = space.kid(floor_features, seed).value if floor_features is not None else None
                yield Figure(f"kid{suffix}_{name}", found.value, "x 1000", found.std, floor, conditions | told)
            if f"fid{suffix}" in self.metrics:
                floor = space.fid(floor_features) if floor_features is not None else None
                value = space.fid(sample.features[name])
                yield Figure(f"fid{suffix}_{name}", value, "", None, floor, conditions | told)
        features = generated.features[name]
        if "diversity" in self.metrics:
            for kind, measure, unit in (
                ("spread", space.spread, "x real"),
                ("coverage", space.coverage, "share of real"),
            ):
                floor = measure(floor_features) if floor_features is not None else None
                yield Figure(f"{kind}_{name}", measure(features), unit, None, floor, conditions)
        if "classes" in self.metrics and real.kinds is not None:
            yield from self._compare_classes(space, real, generated, conditions)
        asked = "sectors" in self.settings.metrics
        if "sectors" in self.metrics and (asked or is_behind(real.cameras).any()):
            yield from compare_sectors(space, real, generated, seed, conditions)
        if "pose" in self.metrics:
            known = real.features[name], real.cameras
            floor = pose_error(*known, other.features[name], other.cameras) if other else None
            value = pose_error(*known, features, generated.cameras)
            yield Figure(f"pose_error_{name}", value, "degrees", None, floor, conditions)

    def _compare_classes(
        self, space: FeatureSpace, real: ImageSet, generated: ImageSet, conditions: dict[str, Any]
    ) -> Iterator[Figure]:
        """KID of each class that enough images show, and of all other classes' images to the same real ones."""
        name, prior = space.extractor.name, self.config.generator.classes
        assert real.kinds is not None
        for kind, text in enumerate(prior.texts):
            own = real.kinds == kind  # generated images have the classes of the real ones
            if own.sum() < MIN_COUNT or (~own).sum() < MIN_COUNT:
                logger.info("class %s: %d of %d images are too few for a distance", text, own.sum(), len(own))
                continue
            of_class = dataclasses.replace(space, real=space.real[own])
            found = of_class.kid(generated.features[name][own], self.settings.seed)
            others = of_class.kid(generated.features[name][~own], self.settings.seed).value
            counts = {"class": text, "real_count": int(own.sum()), "count": int(own.sum())}
            yield Figure(f"kid_{name}[{text}]", found.value, "x 1000", found.std, None, conditions | counts)
            counts |= {"count": int((~own).sum())}
            yield Figure(f"kid_{name}_others[{text}]", others, "x 1000", None, None, conditions | counts)

    def alone(self) -> Iterator[Figure]:
        """Figures that need no dataset."""
        if "consistency" in self.metrics:
            yield from self._consistency()
        if "geometry" in self.metrics:
            yield from self._geometry()
        if "timing" in self.metrics:
            conditions = timing.machine(self.model)
            for size in timing.SIZES:
                found = timing.measure_timing(self.model, self.config, size, self.settings.seed)
                for name, value in found._asdict().items():
                    yield Figure(f"ms_{name}_{size}", value, "ms", None, None, self._conditions(size) | conditions)

    @property
    def _prior(self) -> CritterPrior:
        """True critters as the model knows them: under its own poses, with backs where those show them."""
        return CritterPrior(poses=self.config.generator.poses)

    def _consistency(self) -> Iterator[Figure]:
        """Depth and colour of views from the sides against the front and, where backs are seen, against the back."""
        yield from self._consistency_around(0.0, "consistency")
        if self._prior.has_back:
            yield from self._consistency_around(math.pi, "consistency_behind")

    def _consistency_around(self, yaw: float, title: str) -> Iterator[Figure]:
        s, poses = self.settings, self.config.generator.poses
        focal = self.config.generator.focal
        advance = self.watch("comparing views", s.scenes * (1 + (s.truth is not None)))
        scenes = shooters(generated_scenes(self.model, self.config, s, SIZE, advance))
        found = measure_consistency(scenes, focal, poses.radius, yaw)
        if found is None:
            logger.warning("no scene is solid from yaw %.0f° and from its sides; it is left out", math.degrees(yaw))
            return
        true = critter_shooters(s.scenes, advance, self._prior) if s.truth else None
        truth = None if true is None else measure_consistency(true, focal, poses.radius, yaw)
        floors = truth or (None, None, None)
        yaws = [yaw + side for side in YAWS]
        conditions = self._conditions(SIZE) | {"scenes": s.scenes, "yaws": yaws, "tolerance": TOLERANCE}
        names = (("depth", "world units"), ("seen_through", "share"), ("psnr", "dB"))
        for (name, unit), value, floor in zip(names, found, floors, strict=True):
            yield Figure(f"{title}_{name}", value, unit, None, floor, conditions)

    def _geometry(self) -> Iterator[Figure]:
        s = self.settings
        advance = self.watch("comparing shapes", TAUGHT // 10 + s.scenes // 10 + s.scenes)
        cameras = self._prior.poses.sample(TAUGHT + s.scenes, keyed_generator(s.seed, 0, Purpose.EVALUATION))
        taught, seen = cameras[:TAUGHT], cameras[TAUGHT:]
        estimator = Estimator.learn(critter_shapes(0, taught, advance, self._prior), taught)
        floors = estimator.compare(critter_shapes(TAUGHT, seen, advance, self._prior), seen)
        scenes = generated_scenes(self.model, self.config, s, MAP_SIZE, advance)
        found = estimator.compare(scene_shapes(scenes, seen), seen)
        if found is None or floors is None:
            logger.warning("no scene is solid; geometry is left out")
            return
        conditions = self._conditions(MAP_SIZE) | {"scenes": s.scenes, "taught": TAUGHT}
        yield Figure("depth_error", found.depth, "world units", None, floors.depth, conditions)
        yield Figure("normal_error", found.normal, "degrees", None, floors.normal, conditions)

    def _conditions(self, size: int) -> dict[str, Any]:
        s = self.settings
        return {"model_sha256": self.model.fingerprint, "seed": s.seed, "psi": s.psi, "size": size}


def _values(settings: EvalSettings) -> dict[str, Any]:
    return {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
