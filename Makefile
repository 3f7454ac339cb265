# SPDX-License-Identifier: ISC
#
# Understudy: `make help` lists what there is to make.
#
# Everything made lands in build/ (a build with SANITIZE= in a folder of its own below it).
# Sources are found by wildcard: a new module or test needs no line here.

ifeq ($(origin CC),default)
CC = gcc
endif
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
JOBS ?= $(shell nproc 2>/dev/null || echo 1)
SANITIZE ?=
WERROR ?=

comma := ,
ifeq ($(SANITIZE),)
BUILD ?= build
else
BUILD ?= build/$(subst $(comma),-,$(SANITIZE))
endif

# ---- Flags ----

WARN = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wswitch-enum -Wstrict-prototypes \
	-Wmissing-prototypes $(if $(WERROR),-Werror)
MACHINE := $(shell uname -m)

ifeq ($(SANITIZE),)
HARDEN = -D_FORTIFY_SOURCE=2 -fstack-protector-strong \
	$(if $(filter x86_64,$(MACHINE)),-fstack-clash-protection -fcf-protection)
else
HARDEN = -fsanitize=$(SANITIZE) -fno-omit-frame-pointer \
	$(if $(findstring undefined,$(SANITIZE)),-fno-sanitize-recover=undefined)
endif
# GCC 12.2, which Debian 12 has, miscompiles correct code: after ivopts has rewritten a loop, modref
# believes that a function leaves alone what it writes through its argument, and callers read what
# was there before. At -O2 it cost answers their compression (find_suffixes() in cache/response.c).
CODEGEN := $(shell $(CC) -fno-ipa-modref -Werror -x c -E /dev/null >/dev/null 2>&1 && echo -fno-ipa-modref)

# What a query goes through is optimised as one whole when the program is linked: 2 % of an answer for
# three seconds. Of all modules it would take fifteen, each time; tests link the same objects one by one.
# Clang 14 has no objects that can do both.
WHOLE := $(if $(SANITIZE),,$(shell echo | $(CC) -flto -ffat-lto-objects -Werror -x c -c -o /dev/null - \
	>/dev/null 2>&1 && echo -flto=auto))
QUERY_PATH = $(wildcard $(addprefix cache/,answer*.c cookie.c denial.c edns.c message.c name.c node.c \
	nsec3.c random.c rcu.c rdata.c response.c tree.c tree_order.c) $(addprefix proxy/,balance*.c \
	dispatch*.c inflight.c limit.c plan.c udp.c upstream.c upstream_udp.c wheel.c worker.c xdp.c \
	xdp_frame.c))

HARDEN_LINK = -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed

# AF_XDP is there where libxdp, libbpf and a clang for BPF are; XDP= leaves it out.
XDP := $(shell pkg-config --exists libxdp libbpf && command -v clang llvm-strip >/dev/null && echo yes)

LIBRARIES = hiredis libconfuse liburcu-memb libssl libcrypto jansson libxxhash ldns $(if $(XDP),libxdp libbpf)
PKG_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(LIBRARIES) 2>/dev/null))
PKG_LIBS := $(shell pkg-config --libs $(LIBRARIES) 2>/dev/null)
LIBS = $(PKG_LIBS) -lev -pthread -lm
CHECK_LIBS = $(shell pkg-config --libs check 2>/dev/null)

COMPILE = $(CC) -std=c17 -D_GNU_SOURCE -I. -fPIE $(CODEGEN) $(WARN) $(HARDEN) $(PKG_CFLAGS) $(CPPFLAGS) $(CFLAGS)
JOIN = $(if $(WHOLE),-fno-lto)
LINK = $(CC) $(HARDEN) $(CFLAGS) $(JOIN) $(HARDEN_LINK) $(LDFLAGS)

# Of tests there are two hundred programs: gold, where there is one, links them in half to a third of the time.
GOLD := $(shell echo 'int main(void) { return 0; }' | $(CC) -fuse-ld=gold -x c -o /dev/null - \
	>/dev/null 2>&1 && echo -fuse-ld=gold)
LINK_TEST = $(LINK) $(GOLD)

# ---- Files ----

MAINS = proxy/main.c proxy/understudyctl.c
KERNEL_SOURCES = proxy/xdp_steer.c
NO_SOURCES = $(if $(XDP),proxy/xdp_absent.c,proxy/xdp.c proxy/xdp_asked.c proxy/xdp_interface.c)
LIB_SOURCES = $(filter-out $(MAINS) $(KERNEL_SOURCES) $(NO_SOURCES),$(sort $(wildcard cache/*.c proxy/*.c)))
LIB = $(BUILD)/libunderstudy.a
OBJ = $(BUILD)/obj

UNIT_TESTS = $(sort $(wildcard tests/unit/test_*.c tests/scenario/test_*.c))
UNIT_HELPERS = $(filter-out $(UNIT_TESTS),$(wildcard tests/unit/*.c))
# The simulator puts its own clocks, timers and probes under the product: no other program has them.
SIM_PARTS = $(sort $(wildcard tests/scenario/sim_*.c))
FUZZERS = $(sort $(wildcard tests/fuzz/fuzz_*.c))
SYSTEM_TOOLS = $(sort $(wildcard tests/system/*.c))
DIFFER_SOURCES = $(sort $(wildcard tests/system/differ/*.c))
BENCHES = $(sort $(wildcard tests/bench/*.c))

objects = $(patsubst %.c,$(OBJ)/%.o,$(1))
UNIT_PROGRAMS = $(UNIT_TESTS:tests/%.c=$(BUILD)/tests/%)
FUZZ_PROGRAMS = $(FUZZERS:tests/%.c=$(BUILD)/tests/%)
TOOL_PROGRAMS = $(SYSTEM_TOOLS:tests/system/%.c=$(BUILD)/tests/%) $(BUILD)/tests/differ
BENCH_PROGRAMS = $(BENCHES:tests/%.c=$(BUILD)/tests/%)

.PHONY: all help run check check-long cover faults unit scenario fuzz-replay fuzz fuzz-build fuzz-run system bench tests lint sizes \
	install uninstall clean deps deps-check FORCE
.DELETE_ON_ERROR:
# Make may not throw away objects of tests as intermediate files.
.SECONDARY:

all: $(BUILD)/understudy $(BUILD)/understudyctl

help:
	@echo 'make               builds build/understudy and build/understudyctl'
	@echo 'sudo make run      installs what is missing, builds, and runs the whole thing here;'
	@echo '                   PORT=5300; PRIMARY=192.0.2.53 ZONES="example.com": your own server'
	@echo 'sudo make check    installs what the tests need, and runs them all'
	@echo 'make unit          unit tests and scenarios alone'
	@echo 'make scenario      scenarios alone: queries in simulated time, and the simulator (SIM_HOURS=1000)'
	@echo 'make fuzz-replay   feeds the corpus of each fuzzer once'
	@echo 'make system        tests with real servers (UNDERSTUDY_BUILD=, PYTEST=options)'
	@echo 'make fuzz          each fuzzer with clang for FUZZ_SECONDS=60 (FUZZ=name: one)'
	@echo 'make check-long    a million simulated hours; the soak, and each fuzzer, for half an hour'
	@echo 'make cover         branch coverage of what decides about answers'
	@echo 'sudo make bench    measures against the limits and the peers (ROWS="forward latency": some)'
	@echo 'sudo make faults   each way to fail, side by side with dnsdist (FAULTS=pattern: some)'
	@echo 'make lint          second opinions: clang, cppcheck, banned functions, man pages'
	@echo 'make sizes         files, functions and lines that grew too long'
	@echo 'make install       DESTDIR= PREFIX=/usr/local; uninstall takes it away again'
	@echo 'make deps          installs what building and running needs (deps-check: tests too)'
	@echo 'make clean         removes build/'
	@echo
	@echo 'Variables: CC CFLAGS CPPFLAGS LDFLAGS V=1 JOBS WERROR=1 SANITIZE=address,undefined|thread BUILD='

# ---- Building ----

# One short line for each command; V=1 shows them whole.
V ?=
brief = $(if $(V),,@echo '  $(1) $@';)

# Rewritten only when the flags differ from the last time, and then everything is rebuilt.
$(BUILD)/flags: FORCE
	@test -n '$(PKG_LIBS)' || { echo 'make: libraries are missing; "sudo make deps" installs them' >&2; exit 1; }
	@mkdir -p $(BUILD)
	@printf '%s\n' '$(COMPILE)' '$(LINK_TEST)' '$(LIBS)' '$(WHOLE) $(QUERY_PATH)' | cmp -s - $@ || \
		printf '%s\n' '$(COMPILE)' '$(LINK_TEST)' '$(LIBS)' '$(WHOLE) $(QUERY_PATH)' > $@

$(call objects,$(QUERY_PATH)): private BOTH = $(WHOLE:%=% -ffat-lto-objects)
$(OBJ)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call brief,CC  )$(COMPILE) $(BOTH) -MMD -MP -c -o $@ $<

# What runs in the kernel is compiled for it, and becomes part of the object that loads it.
$(BUILD)/xdp_steer.o: proxy/xdp_steer.c proxy/xdp_maps.h $(BUILD)/flags
	$(call brief,BPF )clang -O2 -g -Wall -Werror -target bpf -I. \
		-I/usr/include/$(shell $(CC) -print-multiarch) -c -o $@ $<
	@llvm-strip -g $@

$(OBJ)/proxy/xdp_interface.o: override CPPFLAGS += -DXDP_STEER='"$(BUILD)/xdp_steer.o"'
$(OBJ)/proxy/xdp_interface.o: $(BUILD)/xdp_steer.o

# A list of members, so that a module which was removed leaves the library too.
$(BUILD)/members: FORCE
	@mkdir -p $(BUILD)
	@echo '$(LIB_SOURCES)' | cmp -s - $@ || echo '$(LIB_SOURCES)' > $@

$(LIB): $(call objects,$(LIB_SOURCES)) $(BUILD)/members
	@rm -f $@
	$(call brief,AR  )ar rcs $@ $(call objects,$(LIB_SOURCES))

# What is counted is what the program does.
$(BUILD)/understudy $(BUILD)/tests/bench/instructions: private JOIN = $(CODEGEN) $(WHOLE)

$(BUILD)/understudy: $(OBJ)/proxy/main.o $(LIB)
	$(call brief,LINK)$(LINK) -o $@ $^ $(LIBS)

$(BUILD)/understudyctl: $(OBJ)/proxy/understudyctl.o $(LIB)
	$(call brief,LINK)$(LINK) -o $@ $^ $(LIBS)

$(BUILD)/tests/unit/%: $(OBJ)/tests/unit/%.o $(call objects,$(UNIT_HELPERS)) $(LIB)
	@mkdir -p $(@D)
	$(call brief,LINK)$(LINK_TEST) -o $@ $^ $(CHECK_LIBS) $(LIBS)

$(BUILD)/tests/scenario/%: $(OBJ)/tests/scenario/%.o $(LIB)
	@mkdir -p $(@D)
	$(call brief,LINK)$(LINK_TEST) -o $@ $^ $(CHECK_LIBS) $(LIBS)

SIM_PROGRAMS = $(addprefix $(BUILD)/tests/scenario/,sim test_sim)
$(SIM_PROGRAMS): $(BUILD)/tests/scenario/%: $(OBJ)/tests/scenario/%.o $(call objects,$(SIM_PARTS)) $(LIB)
	@mkdir -p $(@D)
	$(call brief,LINK)$(LINK_TEST) -o $@ $^ $(CHECK_LIBS) $(LIBS)

# With REPLAY=tests/fuzz/replay.c the corpus is fed by a plain main(); `make fuzz` leaves
# it out, since libFuzzer brings its own.
REPLAY ?= tests/fuzz/replay.c
$(BUILD)/tests/fuzz/%: $(OBJ)/tests/fuzz/%.o $(call objects,$(REPLAY)) $(LIB)
	@mkdir -p $(@D)
	$(call brief,LINK)$(LINK_TEST) $(FUZZ_LINK) -o $@ $^ $(LIBS)

$(BUILD)/tests/bench/%: $(OBJ)/tests/bench/%.o $(LIB)
	@mkdir -p $(@D)
	$(call brief,LINK)$(LINK) -o $@ $^ $(LIBS)

# Without the library: what compares shares no code with what is compared.
$(BUILD)/tests/differ: $(call objects,$(DIFFER_SOURCES))
	@mkdir -p $(@D)
	$(call brief,LINK)$(LINK_TEST) -o $@ $^ $(LIBS)

$(BUILD)/tests/%: $(OBJ)/tests/system/%.o $(LIB)
	@mkdir -p $(@D)
	$(call brief,LINK)$(LINK_TEST) -o $@ $^ $(LIBS)

tests: $(UNIT_PROGRAMS) $(SIM_PROGRAMS) $(FUZZ_PROGRAMS) $(TOOL_PROGRAMS) $(BENCH_PROGRAMS)

# ---- Running and testing ----

deps:
	@contrib/install-deps build run

deps-check:
	@contrib/install-deps build run check

# A make that began without the libraries knows no flags for them: hence a new one.
run: deps
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@exec env PORT='$(PORT)' LISTEN='$(LISTEN)' PRIMARY='$(PRIMARY)' ZONES='$(ZONES)' BUILD='$(BUILD)' contrib/demo

check: deps-check
	@MAKE='$(MAKE)' JOBS='$(JOBS)' tests/check

check-long: deps-check
	@MAKE='$(MAKE)' JOBS='$(JOBS)' tests/check --long

SCENARIO_PROGRAMS = $(filter $(BUILD)/tests/scenario/%,$(UNIT_PROGRAMS))
scenario: $(SCENARIO_PROGRAMS)
	@tests/check --scenario $(BUILD)

unit: $(UNIT_PROGRAMS)
	@tests/check --unit $(BUILD)

fuzz-replay: $(FUZZ_PROGRAMS)
	@tests/check --replay $(BUILD)

system: all $(TOOL_PROGRAMS) $(BENCH_PROGRAMS)
	UNDERSTUDY_BUILD='$(or $(UNDERSTUDY_BUILD),$(BUILD))' /usr/bin/python3 -m pytest -q tests/system $(PYTEST)

FUZZ_SECONDS ?= 60
FUZZ ?= $(FUZZERS:tests/fuzz/fuzz_%.c=%)
fuzz: fuzz-build fuzz-run

fuzz-build: deps-check
	@$(MAKE) --no-print-directory -j$(JOBS) CC=clang SANITIZE=fuzzer-no-link,address,undefined \
		BUILD=build/fuzz REPLAY= FUZZ_LINK=-fsanitize=fuzzer \
		$(FUZZERS:tests/%.c=build/fuzz/tests/%)

fuzz-run:
	@set -e; for f in $(FUZZ); do \
		mkdir -p build/fuzz/corpus/$$f build/fuzz/found tests/fuzz/corpus/$$f; \
		echo "fuzz_$$f: $(FUZZ_SECONDS) s"; \
		build/fuzz/tests/fuzz/fuzz_$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -verbosity=0 \
			-print_final_stats=1 -artifact_prefix=build/fuzz/found/$$f- \
			build/fuzz/corpus/$$f tests/fuzz/corpus/$$f; \
	done

cover: deps-check
	@MAKE='$(MAKE)' JOBS='$(JOBS)' tests/check --cover

ROWS ?=
bench:
	@contrib/install-deps build run check bench
	@$(MAKE) --no-print-directory -j$(JOBS) all $(BENCH_PROGRAMS) $(TOOL_PROGRAMS)
	@UNDERSTUDY_BUILD='$(BUILD)' UNDERSTUDY_TOOLS='$(BUILD)' tests/bench/bench.py $(ROWS)

FAULTS ?=
faults:
	@contrib/install-deps build run check faults
	@$(MAKE) --no-print-directory -j$(JOBS) all $(TOOL_PROGRAMS)
	@UNDERSTUDY_BUILD='$(BUILD)' UNDERSTUDY_TOOLS='$(BUILD)' tests/bench/faults.py '$(FAULTS)'

# Of objects that can be optimised as a whole nm does not show all that they call: hence clang's.
# cppcheck takes what a function is to fill in for an argument that should have been filled.
lint:
	@contrib/install-deps build run check lint
	$(MAKE) -j$(JOBS) WERROR=1 CC=clang BUILD=build/clang all tests
	$(MAKE) -j$(JOBS) WERROR=1 all
	! nm -uA build/clang/libunderstudy.a | grep -wE '(__)?(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|gets)(_chk)?'
	cppcheck --quiet -i proxy/xdp_steer.c --std=c11 --enable=warning,performance,portability --inline-suppr \
		--suppress=missingIncludeSystem --suppress=ctuuninitvar --suppress=ctuPointerArith \
		--suppress=unknownMacro:proxy/ctl_render.c --error-exitcode=1 -I. cache proxy
	mandoc -T lint -W warning $(sort $(wildcard contrib/*.[1-8]))

sizes:
	@wc -l cache/*.[ch] proxy/*.[ch] | awk '$$2 != "total" && $$1 > 500 { print $$2 ": " $$1 " lines" }'
	@awk 'length($$0) > 100 { print FILENAME ":" FNR ": over 100 columns" }' cache/*.[ch] proxy/*.[ch]
	@awk '/^\{/ { start = FNR } /^\}/ && start { print FNR - start - 1, FILENAME ":" start; start = 0 }' \
		cache/*.[ch] proxy/*.[ch] | sort -n | awk '{ n[NR] = $$1; if ($$1 > 50) \
		print $$2 ": function of " $$1 " lines" } END { print NR " functions: median " \
		n[int((NR + 1) / 2)] ", p95 " n[int(NR * 0.95)] ", longest " n[NR] " lines" }'
	@cat cache/*.[ch] proxy/*.[ch] | wc -l | xargs echo 'lines in all:'

# ---- Installing ----

MAN8 = $(wildcard contrib/*.8)
MAN5 = $(wildcard contrib/*.5)
UNITS = $(wildcard contrib/systemd/*.service)
root = $(DESTDIR)$(PREFIX)

install: all
	install -D -m 755 $(BUILD)/understudy $(root)/sbin/understudy
	install -D -m 755 $(BUILD)/understudyctl $(root)/sbin/understudyctl
	$(foreach f,$(MAN8),install -D -m 644 $(f) $(root)/share/man/man8/$(notdir $(f)) &&) true
	$(foreach f,$(MAN5),install -D -m 644 $(f) $(root)/share/man/man5/$(notdir $(f)) &&) true
	$(foreach f,$(wildcard conf/*.conf),install -D -m 644 $(f) $(root)/share/doc/understudy/examples/$(notdir $(f)) &&) true
	$(foreach f,$(UNITS),install -D -m 644 $(f) $(root)/lib/systemd/system/$(notdir $(f)) &&) true

uninstall:
	rm -f $(root)/sbin/understudy $(root)/sbin/understudyctl
	rm -f $(MAN8:contrib/%=$(root)/share/man/man8/%) $(MAN5:contrib/%=$(root)/share/man/man5/%)
	rm -f $(UNITS:contrib/systemd/%=$(root)/lib/systemd/system/%)
	rm -rf $(root)/share/doc/understudy

clean:
	rm -rf build

-include $(patsubst %.c,$(OBJ)/%.d,$(MAINS) $(LIB_SOURCES) $(wildcard tests/*/*.c) $(DIFFER_SOURCES))
