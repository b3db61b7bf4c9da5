# Every action of the project; `make help` lists them. Each that needs the virtual environment makes it first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
# What systemd-python compiles against.
SYSTEMD_PACKAGES := gcc pkg-config python3-dev libsystemd-dev
# Foreign RTSP clients that the tests run against the simulator, a browser for the live page, Prometheus with promtool,
# an MQTT broker.
CLIENT_PACKAGES := ffmpeg gstreamer1.0-tools gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav \
	chromium prometheus mosquitto

# What the unit and the installer are checked with; their tests boot a systemd.
DEPLOY_PACKAGES := systemd shellcheck iproute2 procps

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench screenshots lock clients deploytools install trial uninstall clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/installed ## Make .venv with everything in it

$(VENV)/installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c requirements.lock -e '.[dev]'
	@pkg-config --exists libsystemd 2>/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		$(SYSTEMD_PACKAGES) >/dev/null; } || true
	@$(PIP) install -c requirements.lock -e '.[systemd]' 2>/dev/null || echo "left out: systemd-python, which \
	gives log lines in the journal their fields; it needs $(SYSTEMD_PACKAGES)"
	@touch $@

demo: setup ## 32 simulated cameras and the daemon; SECONDS=60, VIDEO=FILE[:COUNT], MODEL=FILE.cfg
	@$(BIN)/mosaicd demo $(if $(SECONDS),--seconds $(SECONDS)) $(foreach file,$(VIDEO),--video $(file)) \
		$(if $(MODEL),--model $(MODEL))

test: setup ## Run the tests; T="-k name" chooses
ifdef T
	$(BIN)/python -m pytest $(T)
else
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal --ignore=tests/system
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not alone" tests/system
	$(BIN)/python -m pytest -m alone tests/system
endif

check: setup ## Format, lint and types, as CI checks them
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy

format: setup ## Format the code
	$(BIN)/ruff format --quiet .
	$(BIN)/ruff check --quiet --fix .

bench: setup ## Measure engines, a worker's start and recovery, capture, tracks, the main job, being watched and the simulator here
	$(BIN)/python bench/infer.py
	$(BIN)/python bench/worker_start.py
	$(BIN)/python bench/recovery.py
	$(BIN)/python bench/simulator.py
	$(BIN)/python bench/capture.py
	$(BIN)/python bench/tracking.py
	$(BIN)/python bench/recording.py
	$(BIN)/python bench/main_job.py
	$(BIN)/python bench/main_job.py --scenario hd
	$(BIN)/python bench/watching.py

screenshots: setup ## Make the README's pictures of the live page, the console and the status anew, and the manual's of rules
	$(BIN)/python docs/screenshots.py
	$(BIN)/python docs/rules.py

lock: setup ## Write requirements.lock from what is installed
	$(BIN)/pip freeze --exclude-editable | sort -f > requirements.lock

# Debian starts a service that it installs. The tests start servers of their own, so where Prometheus or Mosquitto was
# not there before, its service is stopped again; where it was, it is left as it is.
clients: ## Install the RTSP clients, the browser, the Prometheus and the MQTT broker that some tests use (root, apt)
	apt-get update -qq
	@new=$$(for each in prometheus mosquitto; do PATH=$$PATH:/usr/sbin command -v $$each >/dev/null || echo $$each; done); \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(CLIENT_PACKAGES) >/dev/null && \
	{ test -z "$$new" || ! test -d /run/systemd/system || systemctl disable --quiet --now $$new; }

deploytools: ## Install what the tests of the service use (root, apt)
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(DEPLOY_PACKAGES) >/dev/null

install: ## Install as a systemd service, or upgrade it (root); EXTRAS=cuda
	@deploy/install.sh $(if $(EXTRAS),--extras $(EXTRAS))

trial: setup ## Try the README's installation, word for word, in a box; downloads 0.8 GB, takes minutes (root)
	$(PIP) download -c requirements.lock -d $(VENV)/wheels . setuptools
	$(PIP) download -c requirements.lock -d $(VENV)/wheels --no-deps systemd-python
	MOSAICD_WHEELS=$(CURDIR)/$(VENV)/wheels $(BIN)/python -m pytest -s tests/system/test_trial.py

uninstall: ## Remove the service (root); PURGE=1 also its settings, secrets and state
	@deploy/install.sh --uninstall $(if $(PURGE),--purge)

clean: ## Remove what was made here
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
