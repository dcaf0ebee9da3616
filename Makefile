# Everything that is done with this tree. `make` alone lists it.
#
# Needs git, make and Python 3.11 or newer; what else is missing is installed (as root, or with a sudo that asks
# nothing) or named.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test check lint format bench clean programs

WORKERS ?= 2
PIP := install --quiet --disable-pip-version-check --no-input

help: ## list what can be made
	@echo "Tagline: a home server for photos and the words that go with them."
	@echo
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 18
	@echo
	@echo "  PHOTOS=…  the folder of photos          (photos/ in the data directory)"
	@echo "  PORT=…    where to listen               (8000)"
	@echo "  HOST=…    on which address              (every one of this machine)"
	@echo "  DATA=…    where Tagline keeps its own   (./data)"
	@echo
	@echo "  For example:  make run PHOTOS=~/Pictures PORT=8000"

# What is given on make's command line is in the recipe's environment: PORT and HOST pass through by themselves.
run: .venv/.installed ## start Tagline here: PHOTOS=~/Pictures PORT=8000
	@home() { case "$$1" in "~" | "~/"*) printf %s "$$HOME$${1#?}" ;; *) printf %s "$$1" ;; esac; }; \
	if [ -n "$${PHOTOS-}" ]; then PHOTO_STORAGE_PATH=$$(home "$$PHOTOS"); export PHOTO_STORAGE_PATH; fi; \
	TAGLINE_DATA_DIR=$$(home "$${DATA:-$${TAGLINE_DATA_DIR:-$(CURDIR)/data}}"); export TAGLINE_DATA_DIR; \
	exec .venv/bin/tagline serve

test: .venv/.developing .venv-schemathesis/.installed programs build/npm/.installed ## run all tests, with their coverage shown
	@.venv/bin/python -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report=term

check: lint .venv/.developing ## format, lint, types and the fast tests: under two minutes
	@.venv/bin/python -m pytest -n $(WORKERS) --dist worksteal -q -m "not slow"

lint: .venv/.developing ## format, lint and types alone
	@.venv/bin/ruff format --check --quiet || { echo "Run make format."; exit 1; }
	@.venv/bin/ruff check --quiet
	@.venv/bin/mypy

format: .venv/.developing ## lay the code out, and mend what can be mended by itself
	@.venv/bin/ruff format
	@.venv/bin/ruff check --fix

bench: .venv/.developing ## print speed and size, as ratios within one run
	@.venv/bin/python -m tests.benchmarks

clean: ## remove what was made here; never the data directory
	rm -rf .venv .venv-schemathesis build dist *.egg-info .coverage .coverage.* htmlcov
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './data/*' -prune -exec rm -rf {} +

# Environments. The stamp inside is as new as the last installation that succeeded.

.venv/.made .venv-schemathesis/.made:
	@$(FIND_PYTHON); "$$python" -m venv --clear $(@D)
	@touch $@

.venv/.installed: setup.py pyproject.toml | .venv/.made
	@echo "Setting up .venv (once, about a minute) …"
	@.venv/bin/pip $(PIP) -e '.[heif]'
	@touch $@

# After .installed, never beside it: two pips must not work on one environment.
.venv/.developing: setup.py pyproject.toml .venv/.installed
	@echo "Adding the tools for tests to .venv (once, about a minute) …"
	@.venv/bin/pip $(PIP) -e '.[heif,test,dev]'
	@touch $@

# Apart, since it pulls in much that Tagline must not come to depend on by accident.
.venv-schemathesis/.installed: Makefile | .venv-schemathesis/.made .venv/.developing
	@echo "Setting up .venv-schemathesis (once, about a minute) …"
	@.venv-schemathesis/bin/pip $(PIP) 'schemathesis>=4.32,<5'
	@touch $@

# Clients of other people for the tests of uploads and realtime; the browser and the rest come as programs.
build/npm/.installed: Makefile | programs
	@echo "Setting up build/npm (once, a few seconds) …"
	@npm install --prefix build/npm --silent --no-audit --no-fund tus-js-client@4.3 socket.io-client@4.8
	@touch $@

programs:
	@$(INSTALL_PROGRAMS)

# Shell: apt NAME… installs Debian packages, or says what to run.
define APT
apt() { \
  if [ "$$(id -u)" = 0 ]; then root=env; \
  elif sudo -n true 2>/dev/null; then root='sudo -n env'; \
  else echo "Please run: sudo apt install $$*" >&2; return 1; fi; \
  echo "Installing $$* (apt-get) …"; \
  $$root apt-get update -qq || echo "The package lists could not be refreshed; trying with those at hand." >&2; \
  $$root DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "$$@" >/dev/null; }
endef

# Shell: sets $python to one that is new enough and can make environments.
define FIND_PYTHON
$(APT); \
python=; \
for name in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
  "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { python=$$name; break; }; \
done; \
[ -n "$$python" ] || { echo "Tagline needs Python 3.11 or newer: none was found." >&2; exit 1; }; \
"$$python" -c 'import ensurepip, venv' 2>/dev/null || apt python3-venv || exit 1
endef

# Shell: the programs that tests drive. A browser for the web pages, ffmpeg for posters of videos, clients of WebDAV,
# and Node.js for clients written in JavaScript.
define INSTALL_PROGRAMS
$(APT); \
missing=; \
command -v chromium >/dev/null || missing="$$missing chromium"; \
command -v ffmpeg >/dev/null || missing="$$missing ffmpeg"; \
command -v litmus >/dev/null || missing="$$missing litmus"; \
command -v rclone >/dev/null || missing="$$missing rclone"; \
command -v node >/dev/null || missing="$$missing nodejs"; \
command -v npm >/dev/null || missing="$$missing npm"; \
[ -z "$$missing" ] || apt $$missing
endef
