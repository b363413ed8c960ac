# Two commands are all that is needed on a machine with Python 3.11+ and make:
#   make demo    the whole chain in a few minutes: data, training, samples, files
#   make test    the ordinary test suite
# Each makes .venv first if it is missing.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
OUT ?= demo_output
NODE := tests/oracles/node
ORACLES := $(NODE)/node_modules/.ready

.PHONY: help install demo evaluation walk test test-slow test-browser test-oracles test-blender test-blender-52 test-blender-53 lint format benchmarks gallery pictures gpu-check gpu-train gpu-pack clean

help:
	@sed -n 's/^#//p' Makefile | head -4
	@echo "  make lint | walk | test-slow | test-browser | test-oracles | test-blender[-52|-53] | benchmarks | gallery | pictures | evaluation | format | clean"

install: $(READY)

# torch first and pinned: what the package asks for is a range, and the newest build may be gigabytes of CUDA.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; set PYTHON=") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing hgs_toolkit into $(VENV), once (a few minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "torch==2.13.0"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,meshes,metrics,ray,texture,usd,viewer]"
	@touch $@

demo: $(READY)
	$(BIN)/hgs demo --out $(OUT) --force

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not oracle and not browser"

test-slow: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "slow and not oracle and not browser"

# The shared page and the live viewer in a real browser without a screen.
test-browser: $(READY)
	@command -v chromium >/dev/null || { echo "Chromium is needed (Debian: apt-get install chromium)"; exit 1; }
	$(BIN)/python -m pytest -m browser

# The extension in the real Blender without a screen, Cycles and EEVEE included. Blender comes as a Python package, for
# one version of Python each. Mesa draws for EEVEE: libegl1 libegl-mesa0 libgl1-mesa-dri and a few libraries of X.
BLENDER_TESTS := -m pytest --confcutdir=tests/blender tests/blender
BLENDER_TOOLS := numpy pytest
# The first that starts: on PATH, of pyenv (whose commands on PATH need not start), of uv.
python_of = $(shell for python in python$(1) $(HOME)/.pyenv/versions/$(1).*/bin/python$(1) \
  $(HOME)/.local/share/uv/python/cpython-$(1).*/bin/python$(1); do \
  "$$python" -c "" 2>/dev/null && echo "$$python" && exit; done; echo python$(1))
PYTHON311 ?= $(call python_of,3.11)
PYTHON313 ?= $(call python_of,3.13)

test-blender: .venv-bpy45/.ready
	PYTHONPATH=$(CURDIR) .venv-bpy45/bin/python $(BLENDER_TESTS)

test-blender-52: .venv-bpy52/.ready
	PYTHONPATH=$(CURDIR) .venv-bpy52/bin/python $(BLENDER_TESTS)

test-blender-53: .venv-bpy53/.ready
	PYTHONPATH=$(CURDIR) .venv-bpy53/bin/python $(BLENDER_TESTS)

# The command of Python, its version, Blender's package.
.venv-bpy45/.ready: BPY := $(PYTHON311) 3.11 bpy==4.5.15
.venv-bpy52/.ready: BPY := $(PYTHON313) 3.13 bpy==5.2.3
.venv-bpy53/.ready: BPY := $(PYTHON313) 3.13 bpy==5.3.0
BPY_READY := .venv-bpy45/.ready .venv-bpy52/.ready .venv-bpy53/.ready
$(BPY_READY): BPY_PYTHON = $(firstword $(BPY))
$(BPY_READY): BPY_VERSION = $(word 2,$(BPY))
$(BPY_READY):
	@$(BPY_PYTHON) -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(BPY_VERSION)")' 2>/dev/null || \
	  { echo "$(lastword $(BPY)) is for Python $(BPY_VERSION), and '$(BPY_PYTHON)' is not that or does not start;" \
	    "install it (uv python install $(BPY_VERSION), or pyenv install $(BPY_VERSION))," \
	    "or name one: make PYTHON$(subst .,,$(BPY_VERSION))=/path/to/python$(BPY_VERSION) ..."; exit 1; }
	@test -x $(@D)/bin/python || $(BPY_PYTHON) -m venv $(@D)
	@echo "installing Blender ($(lastword $(BPY)), 400 MB) into $(@D), once"
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check $(lastword $(BPY)) $(BLENDER_TOOLS)
	@touch $@

# Other people's programs read our files and write some for us; node 20+ and npm are needed. Chromium, for Spark's
# pictures, is installed where that is possible; without it those tests are skipped and say so.
test-oracles: $(READY) $(ORACLES)
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq \
	  && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium; } || echo "no Chromium: Spark is skipped"
	HGS_ORACLES=1 $(BIN)/python -m pytest -m oracle

$(ORACLES): $(NODE)/package.json $(NODE)/package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed (Debian: apt-get install nodejs npm)"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps usd-convert-gsplat==0.1.15
	cd $(NODE) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# Every command of README and docs, in an empty folder, line by line (PAGES= for some of them).
walk: $(READY)
	$(BIN)/python tools/walk.py $(PAGES)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmarks: $(READY)
	for bench in benchmarks/bench_*.py; do $(BIN)/python $$bench || exit 1; done

OF := $(if $(MODEL),--model $(MODEL))
# docs/gallery.md and its pictures, from the model that ships (MODEL= for another one).
gallery: $(READY)
	$(BIN)/python tools/gallery.py $(OF)

# Every picture that shows the model that ships, made anew (MODEL= for another one): overview, gallery, meshes, synthesis,
# viewer and shared page, levels of detail, Blender. Not among them: Blender's window (tools/blender_window.py, which
# needs a Blender with a screen) and the inversion's sheet (benchmarks/bench_inversion.py, an hour).
PICTURES := build/pictures
pictures: gallery $(ORACLES) .venv-bpy45/.ready
	$(BIN)/python tools/plot_overview.py docs/images/overview.jpg --turn docs/images/turn.gif $(OF)
	$(BIN)/python tools/picture_meshes.py docs/images/meshes.png $(OF)
	rm -rf $(PICTURES)
	$(BIN)/hgs synth $(MODEL) --count 12 --views 2 --size 128 --background random --exposure 0.5 --out $(PICTURES)/set
	$(BIN)/python tools/plot_synth.py $(PICTURES)/set/shards/000000 docs/images/synthesis.png --views 0,1,4,8
	$(BIN)/python tools/picture_viewing.py $(OF)
	$(BIN)/python tools/picture_lods.py $(OF)
	$(BIN)/python tools/blender_pictures.py $(OF)

# The numbers of docs/evaluation.md, of the model that ships (MODEL= for another one), on critters it has not seen.
EVAL := build/evaluation
evaluation: $(READY)
	mkdir -p $(EVAL)
	test -f $(EVAL)/held-around128.zip || $(BIN)/hgs dataset demo --kind critters --seed 1 --count 2000 --resolution 128 \
	  --yaw 180 --pitch-min -15 --pitch-max 45 --out $(EVAL)/held-around128.zip
	$(BIN)/hgs eval $(MODEL) --data $(EVAL)/held-around128.zip --count 1000 --scenes 20 --truth critters --force --out $(EVAL)/numbers.json

# The CUDA path on a machine with a GPU (docs/cuda.md); DRY=1 runs the same steps, small, on the CPU.
GPU := PYTHON=$(BIN)/python && . gpu/env.sh && $(BIN)/python gpu/steps.py
GPU_FLAGS := $(if $(DRY),--dry) $(if $(GPU_OUT),--out $(GPU_OUT))

gpu-check: $(READY)
	$(GPU) check $(GPU_FLAGS)

gpu-train: $(READY)
	$(GPU) train $(GPU_FLAGS) $(if $(MINUTES),--minutes $(MINUTES))

# The wheels for a machine with a GPU and without a network.
gpu-pack: $(READY)
	PYTHON=$(BIN)/python $(if $(DRY),DRY=1) gpu/pack.sh $(GPU_OUT)

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache $(OUT)
