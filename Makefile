# mosq. Every target sets up what it needs: Debian packages where root may install them, .venv, the C core.
#
#   make run       build and start the broker on conf/mosquitto.conf          ARGS: more options of the broker
#   make test      the whole test suite                                       ARGS: options of pytest
#   make lint      ruff, mypy, clang-format, compiler warnings
#   make crash     kill a broker under load again and again: is anything lost? ARGS: --kills N, --seed N
#   make sanitize  the suite against a core with address and undefined-behaviour sanitizers
#   make fuzz      libFuzzer on all that reads from the network or a file SECONDS: for all targets together
#   make bench     mosq beside Mosquitto: docs/bench.md and docs/bench.svg    ARGS: options of bench/run.py
#   make man       the manual pages: build/man
#   make completions  those of the commands for bash and zsh, anew
#   make format    rewrite the sources as make lint wants them
#   make clean     remove everything that make made
#
# How it works: each step leaves a stamp in .venv/stamps or build/, so a second call does nothing but compare times.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

ARGS ?=
SECONDS ?= 600

venv := .venv
bin := $(venv)/bin
stamps := $(venv)/stamps
# Compiling the core and installing into .venv is for one make at a time; others wait for it and then find it done.
alone := flock $(venv)/lock

core := setup.py $(wildcard csrc/*.c csrc/*.h) csrc/build_core.py
c_sources := $(wildcard csrc/*.[ch] bench/*.[ch] tests/fuzz/*.[ch] tests/csrc/*.[ch] tests/system/crash/*.c)
sanitizers := address,undefined

.PHONY: help run test crash man lint lint-ruff lint-mypy lint-clang-format lint-warnings format sanitize fuzz bench deb rpm clean
help:
	@sed -n 's/^#   //p' Makefile

# ---- environment ----------------------------------------------------------------------------------------------------------

$(stamps)/needs-%: packaging/requirements.sh
	@packaging/requirements.sh $*
	@mkdir -p $(@D) && touch $@

# The packages' lower bounds are in setup.py, so a change there installs again.
$(stamps)/venv: packaging/requirements.sh setup.py | $(stamps)/needs-run
	@echo "setting up $(venv)"
	@[ -x $(bin)/pip ] || $$(packaging/requirements.sh python) -m venv $(venv)
	@$(alone) $(bin)/pip install --quiet --disable-pip-version-check 'setuptools>=66' wheel 'cffi>=1.15.1'
	@touch $@

# Installed in place: the console script and the metadata, with the core beside mosq/*.py.
$(stamps)/mosq: $(core) $(stamps)/venv
	@echo "building mosq"
	@$(alone) $(bin)/pip install --quiet --disable-pip-version-check --no-build-isolation --editable . \
		|| { echo "mosq: the build failed; above is why" >&2; exit 1; }
	@touch $@

# Compiled beforehand, also where PYTHONDONTWRITEBYTECODE is set: compiling at each start takes time and a megabyte.
$(stamps)/bytecode: $(shell find mosq -name '*.py') | $(stamps)/mosq
	@$(bin)/python -m compileall -q mosq
	@touch $@

$(stamps)/extra-%: setup.py | $(stamps)/mosq
	@$(alone) $(bin)/pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[$*]'
	@touch $@

# ---- run and test ---------------------------------------------------------------------------------------------------------

run: $(stamps)/mosq $(stamps)/bytecode
	@exec $(bin)/mosquitto -c conf/mosquitto.conf $(ARGS)

test: $(stamps)/mosq $(stamps)/extra-test $(stamps)/needs-test
	@exec $(bin)/pytest --numprocesses=auto $(ARGS)

crash: $(stamps)/mosq $(stamps)/extra-test $(stamps)/needs-test
	@exec $(bin)/python -m tests.system.crash $(ARGS)

# A copy of the tree with a core of its own, so that the normal build stays as it is. Leaks are not looked for here, where
# Python's own objects at exit would drown them, but in the fuzz targets, which have no Python around them. An allocation that
# is too large fails, as it does without sanitizers, instead of ending the process: some tests ask for one.
sanitize: $(stamps)/mosq $(stamps)/extra-test $(stamps)/needs-test
	@rm -rf build/sanitize && mkdir -p build/sanitize
	@cp -a csrc mosq tests conf docs bench packaging setup.py pyproject.toml README.md build/sanitize/ && rm -f build/sanitize/mosq/_core*.so
	@cd build/sanitize && MOSQ_SANITIZE=1 ../../$(bin)/python setup.py --quiet build_ext --inplace
	@cd build/sanitize && env \
		LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
		PYTHONPATH="$$PWD" MOSQ_TEST_MEMORY=0 \
		../../$(bin)/pytest --numprocesses=auto -p no:cacheprovider $(ARGS)

# ---- fuzzing --------------------------------------------------------------------------------------------------------------

# tests/fuzz/NAME.c is one target, tests/fuzz/corpus/NAME its seeds. What a run finds new stays in build/fuzz/corpus/NAME.
fuzz_targets := $(basename $(notdir $(wildcard tests/fuzz/fuzz_*.c)))

build/fuzz/%: tests/fuzz/%.c $(wildcard csrc/*.[ch] tests/fuzz/*.[ch]) | $(stamps)/needs-fuzz
	@mkdir -p $(@D)
	clang -std=c11 -D_GNU_SOURCE -g -O1 -fno-omit-frame-pointer -fsanitize=fuzzer,$(sanitizers) \
		-fno-sanitize-recover=undefined -Icsrc -Itests/fuzz -o $@ $< $(wildcard csrc/*.c)

fuzz: $(addprefix build/fuzz/,$(fuzz_targets))
	@each=$$(( $(SECONDS) / $(words $(fuzz_targets)) )); \
	for target in $(fuzz_targets); do \
		echo "$$target: $$each seconds"; \
		mkdir -p build/fuzz/corpus/$$target; \
		build/fuzz/$$target -max_total_time=$$each -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
			-artifact_prefix=build/fuzz/ build/fuzz/corpus/$$target tests/fuzz/corpus/$$target \
			>build/fuzz/$$target.log 2>&1 || { tail -n 60 build/fuzz/$$target.log; exit 1; }; \
		grep -E 'stat::(number|average|new|peak)' build/fuzz/$$target.log; \
	done

# ---- the look of the sources ----------------------------------------------------------------------------------------------

clang_format = $$(command -v clang-format || command -v clang-format-14)

lint: lint-ruff lint-mypy lint-clang-format lint-warnings
lint-ruff: $(stamps)/extra-lint
	$(bin)/ruff check
	$(bin)/ruff format --check
lint-mypy: $(stamps)/extra-lint $(stamps)/extra-test
	$(bin)/mypy
lint-clang-format: $(stamps)/needs-lint
	@echo 'clang-format --dry-run -Werror'; $(clang_format) --dry-run -Werror $(c_sources)
lint-warnings: $(stamps)/needs-run
	cc -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -Wno-unused-parameter -fsyntax-only $(wildcard csrc/*.c)
	cc -std=c11 -O2 -Wall -Wextra -Werror -fsyntax-only bench/load.c bench/client.c

format: $(stamps)/extra-lint $(stamps)/needs-lint
	$(bin)/ruff check --fix-only
	$(bin)/ruff format
	$(clang_format) -i $(c_sources)

# ---- how fast -------------------------------------------------------------------------------------------------------------

build/load: bench/load.c bench/client.c bench/client.h bench/stream.h
	@mkdir -p $(@D)
	cc -std=c11 -O2 -Wall -Wextra -flto -o $@ bench/load.c bench/client.c

# The same for TLS; wants libssl-dev.
build/load-tls: bench/load.c bench/client.c bench/client.h bench/stream.h
	@mkdir -p $(@D)
	cc -std=c11 -O2 -Wall -Wextra -flto -DLOAD_TLS -o $@ bench/load.c bench/client.c -lssl -lcrypto

bench: $(stamps)/mosq $(stamps)/bytecode $(stamps)/needs-bench build/load
	@exec $(bin)/python bench/run.py $(ARGS)

# ---- manual pages ---------------------------------------------------------------------------------------------------------

# docs/man/NAME.SECTION.rst is one page; that of mosquitto.conf is made from the explanations in conf/mosquitto.conf.
pages := $(patsubst docs/man/%.rst,build/man/%,$(wildcard docs/man/*.rst)) build/man/mosquitto.conf.5
rst2man := $(bin)/python -m docutils --writer=manpage --strict

man: $(pages)

build/man/mosquitto.conf.5: conf/mosquitto.conf docs/man/configuration.py | $(stamps)/extra-man
	@mkdir -p $(@D)
	@$(bin)/python docs/man/configuration.py $< | $(rst2man) - $@

build/man/%: docs/man/%.rst $(wildcard docs/man/common/*.rst) | $(stamps)/extra-man
	@mkdir -p $(@D)
	@$(rst2man) $< $@

# ---- completions ----------------------------------------------------------------------------------------------------------

# They are kept, so that packages need not run anything; a test says when they are behind.
completions: $(stamps)/mosq
	@$(bin)/python packaging/completions/generate.py

# ---- packages -------------------------------------------------------------------------------------------------------------

deb rpm:
	@echo "make $@: there is no $@ package yet; use make run, or pip install ." >&2; exit 1

clean:
	rm -rf build dist $(venv) *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis mosq/_core*.so mosq/_core.c
	find mosq tests bench csrc -name __pycache__ -type d -prune -exec rm -rf {} +
