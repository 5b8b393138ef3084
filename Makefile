# FedClamp. `make` alone prints the targets.
#   SCALE=smoke|quick|study|paper     of `make reproduce`
#   FEDCLAMP_CIFAR=DIR                folder with CIFAR-10's binary files: `make test` and `make bench` then read them too
#   FEDCLAMP_FM=FILE.h5               FM images of their shape, for `make bench`
#   TORCH_PYTHON=python               an interpreter with torch, for `make golden` (tools/requirements.txt)

SCALE ?= smoke
TORCH_PYTHON ?= python3
FASHION_MNIST := /usr/share/datasets/fashion-mnist

.PHONY: help deps build arm64 test xctest swift-testing units test-cluster torture fuzz sanitize bench reproduce data golden lint format rooms docs man completions wheel dist clean
.DEFAULT_GOAL := help

help:                ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

deps:                ## check for Swift and the Debian packages; install what is missing where rights allow
	@tools/deps.sh

# Check sums over debug information, which names the folder of the build; nothing reads them at run time.
FOLDER_DEPENDENT := --remove-section=.swift_modhash --remove-section=.note.gnu.build-id

build: deps          ## the static, stripped executable build/fedclamp
	LINK_MAP="$(CURDIR)/.build/fedclamp.map" swift build -c release --product fedclamp
	@mkdir -p build
	strip $(FOLDER_DEPENDENT) -o build/fedclamp .build/release/fedclamp

arm64: build .venv/ready ## cross-build build/fedclamp-arm64, and test it under qemu (fetches 1.2 GB, takes 4 GB and minutes)
	tools/arm64/build.sh
	.venv/bin/pytest -q Tests/arm64

data: build          ## Fashion-MNIST as data/fashion-mnist.h5
	@mkdir -p data
	test -f data/fashion-mnist.h5 || \
	    build/fedclamp import fashion-mnist --from $(FASHION_MNIST) --out data/fashion-mnist.h5

reproduce: data      ## the main table at SCALE (default smoke: minutes) into results/SCALE
	build/fedclamp reproduce main --scale $(SCALE) --out results/$(SCALE)

UNITS := -c release --scratch-path .build-test -Xswiftc -enable-testing

# All tests are Swift Testing but those that count allocations: they need a process in which nothing else runs.
test:                ## lint, unit tests (optimised), then black-box tests of build/fedclamp
	@$(MAKE) --no-print-directory -j3 lint units .venv/ready
	@$(MAKE) --no-print-directory -j2 xctest swift-testing
	.venv/bin/pytest -q -n auto --maxprocesses 4 --dist loadfile Tests/blackbox

xctest:
	swift test --skip-build --disable-swift-testing $(UNITS)

swift-testing:
	swift test --skip-build --disable-xctest --ignore-lock $(UNITS)

units: deps          ## build the unit tests, without the executable
	swift build $(UNITS) --product fedclampPackageTests

test-cluster: build .venv-cluster/ready ## Flower and Slurm on the loopback interface; installs both, needs root for Slurm
	@tools/slurm/install.sh
	.venv-cluster/bin/pytest -q Tests/cluster

KILLS ?= 200
CASES ?= 10000

FUZZ_SECONDS ?= 120

torture: build .venv/ready fuzz ## KILLS=200 random kills, CASES=10000 damaged files for every reader, FUZZ_SECONDS=120 of libFuzzer
	.venv/bin/python Tests/torture/kills.py --kills $(KILLS)
	.venv/bin/python Tests/torture/fuzz.py --cases $(CASES)

fuzz:                ## the text readers and gzip under libFuzzer for FUZZ_SECONDS=120: inputs that reach new code are kept and changed on
	FUZZ=1 SANITIZE=1 swift build --scratch-path .build-fuzz --sanitize=fuzzer --product fuzz
	@mkdir -p .build-fuzz/corpus
	.build-fuzz/debug/fuzz -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=5 -rss_limit_mb=1024 -close_fd_mask=1 \
	    -artifact_prefix=.build-fuzz/ -dict=Tests/fuzz/words.dict .build-fuzz/corpus Tests/fuzz/seeds

sanitize:            ## the rooms at the C border, tested with the address sanitizer
	SANITIZE=1 ASAN_OPTIONS=detect_leaks=0 swift test --scratch-path .build-sanitize --sanitize=address --filter 'HDF5Tests|DatasetsTests'

BENCH ?=
TORCH ?= torch==2.13.0+cpu

bench: build .venv-bench/ready ## FedClamp against PyTorch on this CPU, in turns (BENCH=--quick: a tenth of it); installs PyTorch
	.venv-bench/bin/python tools/bench.py $(BENCH)

golden:              ## write the golden files of the network tests anew (needs PyTorch)
	$(TORCH_PYTHON) tools/oracle.py Tests/NetworkTests/Golden

FORMATTED := --configuration .swift-format Package.swift Sources Tests

lint: build          ## order of imports, file lengths, format, forbidden calls, links of pages, stray vector instructions
	python3 tools/lint.py
	swift format lint --strict --recursive $(FORMATTED)
	tools/check-isa.sh

format:              ## Swift as .swift-format says: lines of at most 140 columns
	swift format --in-place --recursive $(FORMATTED)

rooms:               ## the picture of the rooms, Sources/rooms.svg, drawn from the imports
	python3 tools/rooms.py > Sources/rooms.svg

DOCUMENTED := HDF5 Options Tensor KernelTable Network Datasets OwnMethods Attacks Numerics DefenseInterface Rules Detection Bounds ModelDefenses \
    Defenses Federation Experiments

docs:                ## pages of the doc comments, build/docs (python3 -m http.server -d build/docs, then /documentation); fetches swift-docc-plugin
	@mkdir -p build/docs
	DOCS=1 swift package --scratch-path .build-docs --allow-writing-to-directory build/docs generate-documentation \
	    --enable-experimental-combined-documentation $(DOCUMENTED:%=--target %) --transform-for-static-hosting --output-path build/docs

man: build           ## the man page build/fedclamp.1, made from the commands' own definitions
	build/fedclamp manual > build/fedclamp.1

completions: build   ## completions for bash, zsh and fish in build/completions, made from the same
	@mkdir -p build/completions
	build/fedclamp --generate-completion-script bash > build/completions/fedclamp.bash
	build/fedclamp --generate-completion-script zsh > build/completions/_fedclamp
	build/fedclamp --generate-completion-script fish > build/completions/fedclamp.fish

WHEEL := .venv-wheel/bin/python -m build --wheel --no-isolation --outdir build/wheels tools/python

wheel: build .venv-wheel/ready ## the Python package with the executable: build/wheels, for x86-64 and, after make arm64, aarch64
	python3 tools/dist/licences.py .build/fedclamp.map build/licences
	cp /usr/share/doc/dataset-fashion-mnist/copyright build/licences/fashion-mnist.txt
	FEDCLAMP_BINARY="$(CURDIR)/build/fedclamp" FEDCLAMP_MACHINE=$$(uname -m) FEDCLAMP_LICENCES="$(CURDIR)/build/licences" $(WHEEL)
	test ! -x build/fedclamp-arm64 || { \
	    python3 tools/dist/licences.py .build-arm64/scratch/fedclamp.map build/licences-arm64 --machine aarch64 && \
	    cp build/licences/fashion-mnist.txt build/licences-arm64 && \
	    FEDCLAMP_BINARY="$(CURDIR)/build/fedclamp-arm64" FEDCLAMP_MACHINE=aarch64 FEDCLAMP_LICENCES="$(CURDIR)/build/licences-arm64" $(WHEEL); }

dist: build          ## the release: build/dist has a tarball for this machine and, after make arm64, aarch64, and SHA256SUMS
	tools/dist/pack.sh

clean:               ## remove everything that was built; data/ and results/ stay
	rm -rf .build .build-test .build-sanitize .build-fuzz .build-arm64 .build-docs build .venv .venv-cluster .venv-bench .venv-wheel

.venv/ready: Tests/requirements.txt
	python3 -m venv .venv || { echo "make: the tests need Python 3 with venv (Debian: python3-venv)" >&2; exit 2; }
	.venv/bin/pip install --quiet --disable-pip-version-check -r Tests/requirements.txt
	@touch $@

.venv-wheel/ready:
	python3 -m venv .venv-wheel || { echo "make: wheel needs Python 3 with venv (Debian: python3-venv)" >&2; exit 2; }
	.venv-wheel/bin/pip install --quiet --disable-pip-version-check build hatchling
	@touch $@

.venv-bench/ready:
	python3 -m venv .venv-bench || { echo "make: bench needs Python 3 with venv (Debian: python3-venv)" >&2; exit 2; }
	.venv-bench/bin/pip install --quiet --disable-pip-version-check "$(TORCH)" h5py numpy || { echo "make: no $(TORCH) here; PyTorch's own index has it:" \
	    "make bench PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu" >&2; exit 2; }
	@touch $@

.venv-cluster/ready: Tests/cluster/requirements.txt
	python3 -m venv .venv-cluster || { echo "make: the tests need Python 3.11 or newer with venv (Debian: python3-venv)" >&2; exit 2; }
	.venv-cluster/bin/pip install --quiet --disable-pip-version-check -r Tests/cluster/requirements.txt
	@touch $@
