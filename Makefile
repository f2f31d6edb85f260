# The commands of this project; `make help` lists them. GNU make 3.81 and a POSIX shell are enough (Linux, macOS, WSL).
#
# $(VENV)/requirements*.txt are copies of what was installed last. While pip works they are gone, so an environment
# without them is half made and starts afresh.

VENV = .venv
PORT ?= 8501
PYTHON =
TORCH_INDEX ?=
PINNED = requirements.txt requirements-login.txt requirements-ray.txt
KERNELS = $(wildcard tfbind/nn/kernels/*.py)

PYTHONS = $(if $(PYTHON),$(PYTHON),python3 python3.13 python3.12 python3.11)
# pybigtools has no build for 3.14 yet.
FITS = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run free-port lint test audit stress lock

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' Makefile | awk -F'|' '{ printf "%-12s%s\n", $$1, $$2 }'

setup: ## the environment in .venv; TORCH_INDEX=https://download.pytorch.org/whl/cpu takes a CPU-only torch
	@$(call install,requirements.txt)
	@$(warm_up)

setup-dev:
	@$(call install,requirements.txt requirements-dev.txt)
	@$(warm_up)

$(VENV)/kernels: $(KERNELS)
	@echo "Compiling what training and searches for motifs need: about a minute"
	@$(VENV)/bin/python -m tfbind.nn.kernels.compile
	@touch $@

run: free-port setup ## the app on http://localhost:8501; PORT=8502 takes another port
	@$(VENV)/bin/python -m tfbind data build builtin
	@exec $(VENV)/bin/python -m streamlit run app.py --server.port $(PORT) --browser.serverAddress localhost

lint: setup-dev ## ruff, mypy, bandit and import-linter
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/bandit --quiet --configfile pyproject.toml --recursive tfbind ui pages app.py
	$(VENV)/bin/lint-imports

# Many tests wait for processes, clients and pages: with a third worker two cores have work meanwhile.
test: setup-dev ## lint, and the tests that do not take long, side by side
	@$(MAKE) --no-print-directory lint > $(VENV)/lint.log 2>&1 & lint=$$!; \
	$(VENV)/bin/python -m pytest -n 3 --dist worksteal -m "not slow"; tests=$$?; \
	wait $$lint; linted=$$?; cat $(VENV)/lint.log; [ $$tests -eq 0 ] && [ $$linted -eq 0 ]

audit: setup ## known vulnerabilities of what is pinned, for login and Ray too; asks PyPI
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	$(VENV)/bin/pip-audit --strict --no-deps --disable-pip $(addprefix --requirement ,$(PINNED))

# Two sessions, since browsers of tests/stress are their own, and Playwright has one of tests/browser's for a session.
stress: setup-dev ## kills, crowds, full disks, thousands of hostile files, and whatever else takes long
	$(VENV)/bin/python -m pytest -n 3 --dist worksteal -m slow --ignore tests/stress
	$(VENV)/bin/python -m pytest -n 3 --dist worksteal tests/stress

# Pins everything that pyproject.toml leads to, for every platform and Python that it allows; what is pinned already
# stays (UPGRADE=--upgrade renews all, UPGRADE="--upgrade-package NAME" one). No file pins what CUDA builds of torch
# need: torch names exact versions itself, and its build for CPUs alone needs none.
lock: setup-dev
	$(lock) pyproject.toml $(addprefix --no-emit-package ,$(OF_CUDA)) --output-file requirements.txt
	for extra in login ray dev; do $(VENV)/bin/python -c "$$LIST_EXTRA" $$extra \
	    | $(lock) --constraint requirements.txt --output-file requirements-$$extra.txt - || exit; done

free-port:
	@python=$(VENV)/bin/python; [ -x $$python ] || { $(find_python); }; "$$python" -c "$$CHECK_PORT" '$(PORT)'

# Ends the recipe's shell unless $python can be set to an interpreter that fits.
define find_python
for python in $(PYTHONS) ""; do "$$python" -c '$(FITS)' 2>/dev/null && break; done; \
[ -n "$$python" ] || { echo "Python 3.11, 3.12 or 3.13 is needed; none among: $(PYTHONS). make PYTHON=/path/to/python3 names one." >&2; exit 1; }
endef

# Bring $(VENV) level with the requirement files in $(1). torch comes from TORCH_INDEX, and from the same place when
# a later call names none; the other packages always come from pip's own index.
define install
set -e; \
was=$$(cat $(VENV)/torch-index 2>/dev/null || true); \
index='$(TORCH_INDEX)'; index=$${index:-$$was}; \
[ "$$index" = "$$was" ] || rm -f $(VENV)/requirements*.txt; \
changed=; for file in $(1); do cmp -s $$file $(VENV)/$$file || changed=yes; done; \
[ -n "$$changed" ] || exit 0; \
if [ ! -f $(VENV)/requirements.txt ]; then \
    $(find_python); \
    echo "Making $(VENV) with $$("$$python" --version)"; \
    "$$python" -m venv --clear $(VENV); \
    echo "$$index" > $(VENV)/torch-index; \
fi; \
rm -f $(VENV)/requirements*.txt; \
echo "Installing $(1): minutes the first time, seconds when little changed"; \
{ [ -z "$$index" ] || $(pip) --no-deps --index-url "$$index" $$(sed -n 's/^\(torch==[^ ]*\).*/\1/p' requirements.txt); } \
    > $(VENV)/pip.log 2>&1 && $(pip) $(addprefix -r ,$(1)) >> $(VENV)/pip.log 2>&1 \
    || { cat $(VENV)/pip.log >&2; exit 1; }; \
cp $(1) $(VENV)/
endef

# Once the environment is there, and when the kernels have changed since.
warm_up = $(if $(KERNELS),$(MAKE) --no-print-directory --silent $(VENV)/kernels)

pip = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check

lock = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --annotation-style line \
    --custom-compile-command "make lock" $(UPGRADE)
UPGRADE =
OF_CUDA = triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc \
    nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse \
    nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx

define LIST_EXTRA
import sys, tomllib
with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["project"]["optional-dependencies"][sys.argv[1]], sep="\n")
endef
export LIST_EXTRA

define CHECK_PORT
import socket, sys
port = sys.argv[1]
def taken(number):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", number)) == 0
if not (port.isdecimal() and 1024 <= int(port) <= 65535):
    sys.exit(f"PORT={port}: expected a number from 1024 to 65535, such as make run PORT=8502")
if taken(int(port)):
    free = next(number for number in [*range(int(port) + 1, 65536), 8501] if not taken(number))
    sys.exit(f"Port {port} is in use, perhaps by this app (http://localhost:{port}); another one: make run PORT={free}")
endef
export CHECK_PORT
