# make demo: teacher, five students, table and report page from nothing but Python and
# make.
# make experiments: the four papers' studies on those images; RESULTS.md says what held.
# make test: the tests. make parity: PyTorch's code beside ours. make lint: ruff.
# make docs: the pages as a site, docs/_build/html; a warning is an error.
# make test-long: what takes long, such as every method under every rule; make test has
# a spread of it.
# make chaos: kills a run in 42 ways and lets it go on; minutes. make test has a few.
# make preflight: ResNets compiled for TPU slices and GPUs that are not there; minutes
# each. preflight-tpu and preflight-gpu (a download of 5 GB) are its halves.
# make bench: images/s of kdjax and of PyTorch by turns; leave the machine alone meanwhile.
# make accelerator: what is most worth knowing of a GPU or TPU, in 15 minutes, and one
# table of it; installs nothing, and PYTHON has jax for it.

PYTHON ?= python3
VENV ?= .venv
RUNS ?= runs/demo
EXPERIMENTS ?= runs/experiments
BENCH ?= bench.json
PREFLIGHT ?= .venv-preflight
PREFLIGHT_GPU ?= .venv-preflight-gpu
BIN := $(VENV)/bin
# A file's tests share what they trained, so files are what the cores divide.
TOGETHER := -n auto --dist loadfile
# Modules are compiled when they are first imported: most of what is installed never is.
PIP := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check

.PHONY: demo experiments test test-long chaos parity bench accelerator preflight \
  preflight-tpu preflight-gpu lint docs clean

demo: $(VENV)/.train
	$(BIN)/python -m kdjax train --config=configs/fashion_mnist/teacher.py \
	  --workdir=$(RUNS)/teacher
	$(BIN)/python -m kdjax train --config=configs/fashion_mnist/students.py \
	  --config.teacher.workdir=$(RUNS)/teacher --workdir=$(RUNS)/students
	$(BIN)/python -m kdjax report $(RUNS)/teacher $(RUNS)/students \
	  --output=$(RUNS)/report --title="Five ways to teach a small network"

experiments: $(VENV)/.train
	$(BIN)/python -m kdjax reproduce fashion_mnist --runs=$(EXPERIMENTS) \
	  --config.total_epochs=4

test: $(VENV)/.test
	$(BIN)/python -m pytest $(TOGETHER) -m "not parity and not long" \
	  --ignore=tests/losses --ignore=tests/supervision
	$(BIN)/python -m pytest $(TOGETHER) -m "not errors and not parity and not long" \
	  --jaxtyping-packages=kdjax.losses,kdjax.supervision,beartype.beartype \
	  tests/losses tests/supervision
	$(BIN)/python -m pytest $(TOGETHER) -m errors tests/losses tests/supervision
	$(BIN)/python -m pytest $(TOGETHER) --doctest-modules kdjax

test-long: $(VENV)/.test
	$(BIN)/python -m pytest $(TOGETHER) -m long

chaos: $(VENV)/.test
	$(BIN)/python -m tests.chaos

parity: $(VENV)/.parity
	$(BIN)/python -m pytest $(TOGETHER) -m parity tests/parity tests/weights tests/bench \
	  tests/benchmarks tests/faults

bench: $(VENV)/.parity
	$(BIN)/python -m benchmarks.run --json=$(BENCH)

accelerator:
	PYTHON=$(PYTHON) launch/accelerator.sh

# A step that does not fit is an answer too: exit code 2, and the next one follows.
COMPILING := -m kdjax compile --image_size=224 --classes=1000 --dtype=bfloat16 --probes=0
COMPILE := $(PREFLIGHT)/bin/python $(COMPILING)
COMPILE_GPU := $(PREFLIGHT_GPU)/bin/python $(COMPILING)

preflight: preflight-tpu preflight-gpu

preflight-tpu: $(PREFLIGHT)/.ready
	-$(COMPILE) --pair=resnet34:resnet18 --topology=v5e:4x4 --batch_size=4096
	-$(COMPILE) --pair=resnet34:resnet18 --topology=v5e:4x4 --batch_size=16384
	-$(COMPILE) --pair=resnet34:resnet18 --topology=v5e:16x16 --batch_size=4096
	-$(COMPILE) --pair=resnet34:resnet18 --topology=v5e:16x16 --batch_size=16384
	-$(COMPILE) --pair=resnet152:resnet50 --topology=v5p:2x2x4 --batch_size=4096
	-$(COMPILE) --pair=resnet50:mobilenet_v1 --topology=v5e:2x2 --batch_size=512
	$(PREFLIGHT)/bin/python -m pytest tests/preflight/test_topology.py

preflight-gpu: $(PREFLIGHT_GPU)/.ready
	-$(COMPILE_GPU) --pair=resnet34:resnet18 --topology=h200:1 --batch_size=256
	-$(COMPILE_GPU) --pair=resnet34:resnet18 --topology=h200:8 --batch_size=2048
	-$(COMPILE_GPU) --pair=resnet34:resnet18 --topology=h100:8 --batch_size=2048
	$(PREFLIGHT_GPU)/bin/python -m pytest tests/preflight/test_gpus.py

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q -b html -c docs . docs/_build/html

clean:
	rm -rf docs/_build $(VENV) $(PREFLIGHT) $(PREFLIGHT_GPU) $(RUNS) build dist *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.train: requirements.txt | $(VENV)/bin/python
	$(PIP) -r requirements.txt
	touch $@

$(PREFLIGHT)/.ready: requirements.txt requirements-preflight.txt requirements-test.txt
	$(PYTHON) -m venv $(PREFLIGHT)
	$(PREFLIGHT)/bin/python -m pip install --quiet --disable-pip-version-check \
	  -r requirements.txt -r requirements-preflight.txt -r requirements-test.txt
	touch $@

$(PREFLIGHT_GPU)/.ready: requirements.txt requirements-preflight-gpu.txt requirements-test.txt
	$(PYTHON) -m venv $(PREFLIGHT_GPU)
	$(PREFLIGHT_GPU)/bin/python -m pip install --quiet --disable-pip-version-check \
	  -r requirements.txt -r requirements-preflight-gpu.txt -r requirements-test.txt
	touch $@

$(VENV)/.test: requirements-test.txt $(VENV)/.train
	$(PIP) -r requirements-test.txt
	touch $@

$(VENV)/.docs: requirements-docs.txt $(VENV)/.train
	$(PIP) -r requirements-docs.txt
	touch $@

$(VENV)/.parity: requirements-parity.txt $(VENV)/.test
	$(PIP) -r requirements-parity.txt
	$(PIP) --no-deps "timm>=1.0.31,<2" "torchdistill>=1.1.5,<2" \
	  "jax2onnx>=0.17,<0.18"
	touch $@
