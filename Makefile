# A menu over meson and the test scripts. `make` builds, `make help` lists.
#   B        build folder (build)              PREFIX, DESTDIR   for install
#   ARGS     what pytest, bench, ... get       T, S              fuzz target, seconds
B ?= build
PREFIX ?= /usr/local
DESTDIR ?=
ARGS ?=
T ?=
S ?= 60
PYTEST = /usr/bin/python3 -m pytest -q -p no:cacheprovider
# TSan of older compilers does not know where newer kernels put things when they randomise.
UNRANDOM = setarch $(shell uname -m) -R

export PYTHONDONTWRITEBYTECODE = 1

# What makes each build folder special: build-NAME is configured with FLAGS_NAME.
FLAGS_asan = -Dfaults=true -Db_sanitize=address,undefined
FLAGS_clang = -Dwerror=true
FLAGS_cover = -Db_coverage=true --buildtype=debug
FLAGS_faults = -Dfaults=true
FLAGS_release = --buildtype=release
FLAGS_tsan = -Db_sanitize=thread
ENV_clang = CC=clang

.PHONY: all check e2e crash asan tsan clang lint format fuzz cover bench install demo vm-check clean help

all: $(B)/build.ninja  ## build into build/
	@meson compile -C $(B)

# A folder that is configured stays as it is: options set by hand are not changed.
build-%/build.ninja:
	@$(ENV_$*) meson setup build-$* $(FLAGS_$*)

$(B)/build.ninja:
	@meson setup $(B)

check: all  ## unit and API tests (no root, under 20 s)
	@meson test -C $(B) --no-rebuild --print-errorlogs

e2e: all  ## end-to-end tests with real criu (root); ARGS="-k name"
	@STASIS_BUILD=$(abspath $(B)) $(PYTEST) tests/e2e $(ARGS)

crash: build-faults/build.ninja  ## kill -9 at every fault point (root); ARGS="-k name"
	@meson compile -C build-faults
	@STASIS_BUILD=$(abspath build-faults) $(PYTEST) tests/crash $(ARGS)

asan tsan clang: %: build-%/build.ninja  ## unit tests under ASan+UBSan, under TSan, built by clang with -Werror
	@meson compile -C build-$@
	@$(UNRANDOM) meson test -C build-$@ --no-rebuild --print-errorlogs

lint: all  ## clang-format, clang-tidy, shellcheck, layers; ARGS="tidy"
	@BUILD=$(B) tests/lint.sh $(ARGS)

format:  ## let clang-format (version 14) have its way
	@tests/lint.sh reformat

fuzz:  ## fuzz one target for a while; T=ws S=60
	@tests/fuzz.sh "$(T)" "$(S)"

cover: build-cover/build.ninja  ## line coverage of the unit tests
	@meson compile -C build-cover
	@meson test -C build-cover --no-rebuild --print-errorlogs
	@gcovr --root . --object-directory build-cover --filter src/

bench: build-release/build.ninja  ## figures against plain crun and criu (root)
	@meson compile -C build-release
	@STASIS_BUILD=$(abspath build-release) bench/run $(ARGS)

install: build-release/build.ninja  ## PREFIX=/usr/local DESTDIR=
	@meson configure build-release --prefix=$(PREFIX)
	@meson compile -C build-release
	@DESTDIR=$(DESTDIR) meson install -C build-release --no-rebuild --quiet

demo:  ## stop with state, start where it was (root)
	@./demo

vm-check:  ## install, reboot and power cut in a Debian 13 virtual machine (root)
	@tests/vm/check.sh $(ARGS)

clean:  ## remove all build folders
	@rm -rf build build-*/

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9 -]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
