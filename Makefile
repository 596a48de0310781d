# Every target installs what it needs from the pinned requirements first; nothing needs root.
# The commands behind the targets are those of `sqhw`, which `make venv` installs into .venv/bin.

PYTHON ?= python3
VENV ?= .venv
PRESET ?=
BOARD ?=
SIM ?= verilator
WAVES ?=
QUICK ?=
OUTPUT ?=
PROMPT ?= Paris is the capital of France, Rome is the capital of Italy and Madrid is the capital of Spain. \
          What is the capital of Italy?
export PROMPT

PY := $(VENV)/bin/python
SQHW := $(PY) -m sqhw
PIP := $(PY) -m pip --disable-pip-version-check
READY := $(VENV)/.ready
# The scripts in .venv/bin name their folder: where that was moved, it is made anew.
MOVED := $(shell test ! -s $(READY) || test "$$(cat $(READY))" = '$(abspath $(VENV))' || echo moved)
set = $(filter-out 0,$(1))
PRESET_OPTION := $(addprefix --preset ,$(PRESET))
SIM_OPTIONS := --simulator $(SIM) $(if $(call set,$(WAVES)),--waves)
QUICK_OPTION := $(if $(call set,$(QUICK)),--quick)
OUTPUT_OPTION := $(if $(OUTPUT),--output $(OUTPUT))
# Files with slow tests, each with a report of its own, and what makes a report old.
SLOW := $(shell grep -rl 'pytest\.mark\.slow' tests --include='test_*.py' 2>/dev/null)
SOURCES := $(shell find sqhw sim sw_reference tests -type f -not -name '*.pyc' 2>/dev/null)
REQUIRE := $(PYTHON) -c 'import sys; from sqhw.tools.tools import require; sys.exit(require(sys.argv[1:]))'
COMPILER := $(if $(filter icarus,$(SIM)),iverilog,g++ make perl)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv moved host compiler clean distclean lock

help:  ## list the targets
	@awk -F ':.*## ' '/^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z -]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo 'Variables: PRESET=name, BOARD=name, SIM=verilator|icarus, WAVES=1 (with sim), QUICK=1 (accuracy, verify),'
	@echo '  OUTPUT=folder or file of the report, PROMPT=question (generate), PYTHON=python3.11, VENV=.venv'

##@ Use
.PHONY: verilog array engine sim generate bitstream torch
venv: $(READY)  ## .venv with the pinned tools and sqhw (the other targets make it when needed)

verilog: $(READY)  ## Verilog and a manifest of each processing element, under build/verilog
	@$(SQHW) verilog $(PRESET_OPTION) $(OUTPUT_OPTION)

array: $(READY)  ## the same of each array
	@$(SQHW) verilog array $(PRESET_OPTION) $(OUTPUT_OPTION)

engine: $(READY)  ## the same of each matrix engine
	@$(SQHW) verilog engine $(PRESET_OPTION) $(OUTPUT_OPTION)

sim: | compiler $(READY)  ## emitted Verilog against the golden model, on activations of a real LLM
	@$(SQHW) sim $(PRESET_OPTION) $(SIM_OPTIONS) $(OUTPUT_OPTION)

generate: | compiler $(READY) $(VENV)/.llm  ## a language model answers through an engine's Verilog (fetches 93 MB)
	@$(SQHW) generate "$$PROMPT" --backend rtl $(OUTPUT_OPTION)

bitstream: $(READY) $(VENV)/.boards  ## bitstreams of the boards, or of BOARD
	@$(SQHW) bitstream $(BOARD) $(OUTPUT_OPTION)

torch: $(READY) $(VENV)/.llm $(VENV)/.torch  ## PyTorch and what docs/researchers.md needs, in .venv (6 GB)

##@ Measure
.PHONY: synth area ppa fpga energy explore clock accuracy bench-reference bench-engine layer bench-runtime pages
synth: $(READY)  ## gates, and resources of FPGAs, of each processing element
	@$(SQHW) measure resources $(PRESET_OPTION) $(OUTPUT_OPTION)

ppa: $(READY) $(VENV)/.ppa  ## all of area, energy and explore that is not measured yet, and its pages
	@$(SQHW) measure area --output docs/results/area.json
	@$(SQHW) measure energy --output docs/results/energy.json
	@$(SQHW) measure explore --output docs/results/explore.json
	@$(SQHW) measure pages

area: $(READY) $(VENV)/.ppa  ## area against clock, beside every rival: what the committed report lacks
	@$(SQHW) measure area $(OUTPUT_OPTION)

fpga: $(READY) $(VENV)/.ppa  ## resources and clock on FPGAs, beside rivals (half an hour; then seconds)
	@$(SQHW) measure fpga $(OUTPUT_OPTION)

compare: $(READY)  ## one point beside every rival: area, clock, energy, bits, perplexity (PRESET=name)
	@$(SQHW) compare $(PRESET_OPTION)

energy: $(READY)  ## switching energy on real activations (five minutes)
	@$(SQHW) measure energy $(OUTPUT_OPTION)

explore: $(READY) $(VENV)/.ppa  ## gates, utilization and error of design points (ten minutes)
	@$(SQHW) measure explore $(OUTPUT_OPTION)

clock: $(READY) $(VENV)/.ppa  ## the clock of a small engine after place and route (half an hour; then seconds)
	@$(SQHW) measure clock $(OUTPUT_OPTION)

accuracy: $(READY) $(VENV)/.llm  ## perplexity of each format on a real LLM (an hour; QUICK=1: five minutes)
	@$(SQHW) measure accuracy $(QUICK_OPTION) $(OUTPUT_OPTION)

bench-reference: $(READY)  ## speed of the golden model against plain NumPy
	@$(SQHW) measure reference $(OUTPUT_OPTION)

bench-engine: | compiler $(READY)  ## how close the 8x8 engine comes to its peak rate (compiles for a minute, once)
	@$(SQHW) measure speed product $(OUTPUT_OPTION)
	@$(SQHW) measure speed stream $(OUTPUT_OPTION)

layer: | compiler $(READY) $(VENV)/.llm  ## all linear layers of a real block through the 8x8 engine's Verilog
	@$(SQHW) measure speed layer $(OUTPUT_OPTION)

bench-runtime: sim-engine  ## cycles per second: the driver's simulation against cocotb
	@$(SQHW) measure speed simulation $(OUTPUT_OPTION)

pages: $(READY) $(VENV)/.ppa $(VENV)/.notebook  ## pages, tables and figures of README and docs from the committed reports
	@$(SQHW) measure pages && $(SQHW) measure notebooks && $(SQHW) verify pages

##@ Verify
.PHONY: verify sim-array sim-encoder sim-engine formal exhaustive mutation coverage netlist softfloat fuzz plan test test-slow test-serial
verify: build/tests/quick.xml $(if $(call set,$(QUICK)),,test-slow) | compiler $(READY) $(VENV)/.llm $(VENV)/.torch $(VENV)/.notebook  ## all tests, every part below and make sim, and a page of figures to sign off by (QUICK=1: slices)
	@$(SQHW) verify $(QUICK_OPTION) $(OUTPUT_OPTION)

sim-array: | compiler $(READY)  ## emitted arrays on activations of a real LLM, with their utilization
	@$(SQHW) sim array --simulator $(SIM) $(OUTPUT_OPTION)

sim-encoder: | compiler $(READY)  ## emitted encoders on activations of a real LLM, against the golden model
	@$(SQHW) sim encoder --simulator $(SIM) $(OUTPUT_OPTION)

sim-engine: | compiler $(READY)  ## the smallest engine's Verilog against the golden model, through AXI models
	@$(SQHW) sim engine --simulator $(SIM) $(OUTPUT_OPTION)

formal: $(READY)  ## proofs of properties of the blocks, for all inputs
	@$(SQHW) verify formal $(OUTPUT_OPTION)

exhaustive: | compiler $(READY)  ## every input of small spaces
	@$(SQHW) verify exhaustive $(OUTPUT_OPTION)

mutation: | compiler $(READY)  ## hundreds of planted faults: killed, or proven equivalent
	@$(SQHW) verify mutation $(OUTPUT_OPTION)

coverage: | compiler $(READY)  ## lines, branches, toggles and named bins that the benches cover
	@$(SQHW) verify coverage $(OUTPUT_OPTION)

netlist: | compiler $(READY)  ## netlists against the golden model; each simulator against Amaranth
	@$(SQHW) verify netlist $(OUTPUT_OPTION)

softfloat: | compiler $(READY)  ## every float step, in hardware and golden model, against Berkeley SoftFloat
	@$(SQHW) verify softfloat $(OUTPUT_OPTION)

fuzz: | compiler $(READY)  ## random bits, and damaged files: no hang, nothing wrong afterwards
	@$(SQHW) verify fuzz $(OUTPUT_OPTION)

plan: $(READY)  ## whether each test that docs/verification.md names ran and passed
	@$(SQHW) verify plan $(OUTPUT_OPTION)

##@ Develop
.PHONY: test test-slow test-torch test-architects test-serial lint docs notebook capture
test: | compiler $(READY) $(VENV)/.cluster $(VENV)/.notebook  ## the quick tests, type checker and linter included; CI runs this
	@$(PY) -m ruff check . && $(PY) -m mypy && $(PY) -m pytest -q -n auto --dist worksteal --junitxml=build/tests/quick.xml

build/tests/quick.xml: $(SOURCES) | $(READY) $(VENV)/.cluster $(VENV)/.notebook
	@$(MAKE) test

test-slow: $(SLOW:%.py=build/%.xml)  ## the tests that are too long for make test (goes on where it was stopped)

build/tests/%.xml: tests/%.py $(SOURCES) | compiler $(READY)
	@$(PY) -m pytest -q -m slow --junitxml=$@ $<

test-torch: torch $(VENV)/.notebook  ## layers for PyTorch, plug-ins for Transformers and compressed-tensors (two minutes)
	@$(SQHW) verify torch $(OUTPUT_OPTION)

test-architects: $(READY) $(VENV)/.architects  ## ZigZag, HWComponents and AccelForge (Python 3.12) on exports of ours, FuseSoC's targets, IP-XACT's schema
	@$(PY) -m pytest -q -m 'slow or not slow' tests/measure/test_zigzag.py tests/measure/test_hwcomponents.py tests/tools/test_ipxact.py tests/docs/test_fusesoc.py

test-serial: $(READY)  ## whole products over the pins of a simulated serial line (two minutes)
	@$(PY) -m pytest -q -m slow tests/driver/test_serial_engine.py

lint: $(READY)  ## ruff, mypy, and Verilator -Wall on the emitted Verilog
	@$(PY) -m ruff check . && $(PY) -m mypy && $(SQHW) verilog --lint $(PRESET_OPTION)

docs: $(READY) $(VENV)/.docs  ## the pages and a reference of the Python packages as HTML, under build/docs
	@$(PY) -m sphinx -q -W --keep-going -d build/docs/trees docs build/docs/html

notebook: $(READY) $(VENV)/.notebook  ## run docs/notebooks/start.ipynb anew, its outputs in place (half a minute)
	@$(SQHW) measure notebooks

capture: $(READY) $(VENV)/.llm  ## redo the embedded activations from the model's weights (fetches 93 MB)
	@$(SQHW) data capture $(OUTPUT_OPTION)

lock:  ## resolve pyproject.toml anew into requirements.txt
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install '.[sim,test]' setuptools
	{ sed -n '/^#/p' requirements.txt; build/lock/bin/python -m pip freeze --all --exclude sqhw --exclude pip; } > build/lock/new.txt
	mv build/lock/new.txt requirements.txt

clean:  ## remove what was built
	rm -rf build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

distclean: clean  ## remove .venv too
	rm -rf $(VENV)

# A folder without its stamp is a half-made one: it starts over. With a stamp, pip brings it up to date.
$(READY): requirements.txt pyproject.toml $(MOVED) | host
	@test -e $@ && test -z '$(MOVED)' || { rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); }
	@rm -f $@
	@echo 'Installing the pinned tools into $(VENV) (once; about half a minute)'
	@$(PIP) install --no-deps -r requirements.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@echo 'Compiling Yosys from WebAssembly (once per user; about a minute)'
	@$(PY) -c 'import subprocess; from sqhw.tools.tools import yosys; subprocess.run([yosys().path, "-V"], check=True)'
	@echo '$(abspath $(VENV))' > $@

$(VENV)/.%: requirements-%.txt $(READY)
	@$(PIP) install --no-deps -r $<
	@touch $@

host:
	@command -v $(PYTHON) >/dev/null || { echo 'Python 3.11, 3.12 or 3.13 is needed, but $(PYTHON) is not on PATH: run `sudo apt-get install python3 python3-venv`' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed, but $(PYTHON) is `$(PYTHON) -V`: try make PYTHON=python3.11" >&2; exit 1; }
	@$(REQUIRE) venv

compiler: | host
	@$(REQUIRE) $(COMPILER)
