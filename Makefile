# The ways in: `make quickstart` shows the program at work, `make test` proves it, `make help` lists the rest.
SHELL := /bin/bash
CARGO ?= cargo
PYTHON ?= python3
PROFILE ?= release
PREFIX ?= /usr/local
# Where cargo puts the programs of this profile.
BUILT = $(or $(CARGO_TARGET_DIR),target)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))

# The date in manual pages: that of the last commit, or what packagers set.
DATE = $(or $(and $(SOURCE_DATE_EPOCH),$(shell date -u -d @$(SOURCE_DATE_EPOCH) +%F)),$(shell git log -1 --format=%cs 2>/dev/null))
SHARE = $(DESTDIR)$(PREFIX)/share

.PHONY: help build man install quickstart test model stress lint fmt bench bench-link

help: ## This list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## Build the daemon and the client (PROFILE=release or dev)
	@scripts/needs.sh cc
	$(CARGO) build --locked --profile $(PROFILE) -p cloudsticd -p cloudsticctl

# Stops where nothing was built.
built = [ -x $(BUILT)/cloudsticd ] && [ -x $(BUILT)/cloudsticctl ] || { echo "no programs in $(BUILT): make build first" >&2; exit 1; }

man: ## Write the manual pages of what was built to target/man
	@$(built)
	@mkdir -p target/man && rm -f target/man/cloudstic*
	$(BUILT)/cloudsticctl man --to target/man --date "$(DATE)"
	$(BUILT)/cloudsticd --man "$(DATE)" >target/man/cloudsticd.8

install: ## Install programs, manual pages and completions to PREFIX (/usr/local); DESTDIR is put before it
	@$(built)
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(SHARE)"/man/man{1,8}
	install -d "$(SHARE)"/{bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}
	install -m 755 $(BUILT)/cloudsticd $(BUILT)/cloudsticctl "$(DESTDIR)$(PREFIX)/bin/"
	umask 022; $(BUILT)/cloudsticctl man --to "$(SHARE)/man/man1" --date "$(DATE)"
	umask 022; $(BUILT)/cloudsticd --man "$(DATE)" >"$(SHARE)/man/man8/cloudsticd.8"
	umask 022; $(BUILT)/cloudsticctl completions bash >"$(SHARE)/bash-completion/completions/cloudsticctl"
	umask 022; $(BUILT)/cloudsticctl completions zsh >"$(SHARE)/zsh/site-functions/_cloudsticctl"
	umask 022; $(BUILT)/cloudsticctl completions fish >"$(SHARE)/fish/vendor_completions.d/cloudsticctl.fish"

quickstart: ## Build, back up a folder (SRC=…), restore it, compare every file
	@scripts/needs.sh cc
	@CARGO="$(CARGO)" PROFILE="$(PROFILE)" scripts/quickstart.sh $(if $(SRC),"$(SRC)")

test: .venv/ready ## Install what the tests need, and run them all
	@scripts/needs.sh cc servers
	$(CARGO) test --locked --workspace

model: ## Check the lock protocol's larger state spaces, which take minutes
	@scripts/needs.sh cc
	$(CARGO) test --locked -p cloudstic-engine --lib lock::model -- --ignored --nocapture --test-threads 1

stress: .venv/ready ## Torment 16 processes on one repository, a minute on each of two kinds of store, kill 200 prunes, prune a million files and find and compare them (STRESS=options)
	@scripts/needs.sh cc
	$(CARGO) build --locked -p cloudstic-stress
	$(or $(CARGO_TARGET_DIR),target)/debug/stress --store local $(STRESS)
	$(or $(CARGO_TARGET_DIR),target)/debug/stress --store plain $(STRESS)
	$(or $(CARGO_TARGET_DIR),target)/debug/stress --kill-prunes 100 --store local $(STRESS)
	$(or $(CARGO_TARGET_DIR),target)/debug/stress --kill-prunes 100 --store plain $(STRESS)
	@CARGO="$(CARGO)" scripts/measure-prune.sh
	@# A process that has made the repository has memory to reuse: the second run counts.
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && for run in make measure; do \
		CLOUDSTIC_MEASURE="$$folder/repository" $(CARGO) test --locked -p cloudstic-engine --lib find::tests::memory -- --ignored --nocapture || exit 1; \
	done
	@# Without locks its judge must find something: neither nothing nor a crash will do.
	$(or $(CARGO_TARGET_DIR),target)/debug/stress --without-locks --seconds 10 >/dev/null; [ $$? = 1 ]

lint: ## Formatting, clippy, and licences where cargo-deny is installed
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		echo "$(CARGO) deny check licenses bans sources"; \
		$(CARGO) deny --locked check licenses bans sources; \
	else \
		echo "cargo-deny is not installed: licences and banned crates are not checked"; \
	fi

fmt: ## Format the code
	$(CARGO) fmt --all

bench: ## Measure against restic, borg and other peers that are installed (BENCH=options; docs/benchmarks.md)
	@scripts/needs.sh cc python
	$(CARGO) build --locked --release -p cloudsticd -p cloudsticctl
	$(PYTHON) bench/bench.py $(BENCH)

bench-link: ## Measure backup and restore over a long line to S3 and SFTP servers, 10 GB each (LINK=options)
	@scripts/needs.sh cc servers
	$(CARGO) bench --locked -p cloudstic-cloud --bench link -- $(LINK)

# The Python environment of the oracle, and of what stands in for cloud services.
.PHONY: .venv
.venv: .venv/ready

.venv/ready: tests/oracle/requirements.txt tests/services.txt
	@scripts/needs.sh python venv
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check $(addprefix --requirement ,$^)
	@touch $@
