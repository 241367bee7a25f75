# make                 build/sigmascope and build/libsigmascope.a
# make check           all tests; ends with a line "N passed, N failed, N skipped"
# make check-python    tests of the recorder for PyTorch; `make deps-python` installs what they need
# make check SAN=address,undefined      the same under sanitizers, in a tree of its own
# make fuzz TIME=60    every parser on hostile input, TIME seconds each; TARGET=png: that one alone
# make check-sanitize  all tests with ASan and UBSan, some with TSan, some in valgrind: half an hour
# make check-parsers   what reads files, with ASan and UBSan
# make check-allocations  every allocation of a model, a run file, a probe and a training fails once
# make check-kill N=200, make check-full-disk N=50      train and probe, cut off and gone on with
# make CUDA=0          without CUDA, which is on where nvcc and NVIDIA's headers are; CUDA_ARCH="80 90"
#                      compiles kernels for these cards only
# make cuda-report     registers, spills and forbidden instructions of the CUDA kernels
# make cuda-plans      how cuDNN would run networks' convolutions on seven cards: no card is needed
# make check-cuda      the engine's tests on the emulated device (tests/cuda), in five orders of threads;
#                      SAN= as above; make check-cuda-bugs plants faults that it must notice
# make lint            format, include directions, circles, banned calls; headers compile alone, and so do
#                      the examples in comments and documents
# make bench           speed beside PyTorch's and the machine's; ROWS='forward train' selects
# make demo            install what is missing, build, probe the bundled checkpoint
# make story           train two divergences and each remedy, judge findings: 50 minutes;
#                      STORY=short: 10
# make story-video     train text-to-video networks that diverge, and each remedy: 25 minutes
# make install         program, manual, completion, library and headers into PREFIX (/usr/local),
#                      below DESTDIR if that is set; make uninstall
# make dist deb        into dist/: the source, an archive of the program with its libraries, Debian
#                      packages, all from the last commit; make check-dist tries them
# V=1                  show the commands
MAKEFLAGS += -rR
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all check check-python deps-python check-sanitize check-parsers check-allocations check-kill check-full-disk cuda-report cuda-plans emulated-device check-cuda check-cuda-bugs fuzz bench story story-video check-headers lint \
    format demo deps install uninstall stage dist deb check-dist clean FORCE
Q := $(if $(V),,@)
say = @$(if $(V),:,printf '  %-3s %s\n' $1 $2)

DEBIAN := gcc make pkg-config libdnnl-dev libfftw3-dev libhdf5-dev libpng-dev libjansson-dev \
    zlib1g-dev libssl-dev libpcre2-dev libsentencepiece-dev libcmocka-dev g++ hdf5-tools clang-format gnuplot-nox \
    mandoc dataset-fashion-mnist python3-jsonschema
DEBIAN_PYTHON := python3-torch python3-h5py

# `make deps` must run before anything can be asked of pkg-config.
ifneq ($(filter-out deps deps-python demo story story-video clean,$(or $(MAKECMDGOALS),all)),)
PKGS := hdf5 fftw3f libpng jansson zlib libcrypto libpcre2-8 sentencepiece
MISSING := $(strip $(foreach p,$(PKGS) cmocka,$(shell pkg-config --exists $p || echo $p)))
$(if $(MISSING),$(error pkg-config cannot find: $(MISSING). `make deps` installs it on Debian))
endif

PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(filter-out -lsentencepiece_train,$(shell pkg-config --libs $(PKGS) 2>/dev/null))

# Each sanitizer set builds in its own tree, so objects never mix.
comma := ,
B := build$(if $(SAN),-$(subst $(comma),-,$(SAN)))

CC     := gcc
CXX    := g++
AR     := ar
CFLAGS ?= -O2 -g
# Contraction is off so that a multiply-add is fused only where the source says fmaf():
# results then do not depend on the compiler's mood.
ALL_CFLAGS = -std=c17 -D_GNU_SOURCE -I. -DSS_CUDA=$(CUDA) $(CUDA_INCLUDE:%=-isystem %) -fopenmp -ffp-contract=off -fno-math-errno \
    -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wfloat-conversion -Wswitch-enum \
    -Werror $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer) \
    $(PKG_CFLAGS) $(CFLAGS)
# models/text/spiece_library.cpp alone: libsentencepiece is C++.
CXX_CFLAGS = -std=c++17 -I. -Wall -Wextra -Wshadow -Werror \
    $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer) $(PKG_CFLAGS) $(CFLAGS)
LDLIBS = $(PKG_LIBS) -lhdf5_hl -ldnnl -lstdc++ -lm -ldl # Debian's dnnl has no .pc

# The CPU kernels are compiled once for each instruction set; kernels/cpu/cpu.c picks.
ISAS := base v3 v4
ISA_CFLAGS_base :=
ISA_CFLAGS_v3   := -march=x86-64-v3
ISA_CFLAGS_v4   := -march=x86-64-v4 -mprefer-vector-width=512
ISA_SRC := $(wildcard kernels/cpu/isa_*.c)

# CUDA, where its compiler and NVIDIA's headers are; CUDA=0 does without. CUDA_ARCH="80 90" narrows
# the cards that kernels are compiled for; others compile them when the program starts.
CUDA_HOME ?= /usr/local/cuda
NVCC := $(firstword $(wildcard $(CUDA_HOME)/bin/nvcc) $(shell command -v nvcc))
CUDA_INCLUDE := $(firstword $(foreach d,$(CUDA_HOME)/include /usr/local/include /usr/include,\
    $(if $(and $(wildcard $d/cuda.h),$(wildcard $d/cublas_v2.h),$(wildcard $d/cudnn.h)),$d)))
CUDA ?= $(if $(and $(NVCC),$(CUDA_INCLUDE)),1,0)
ifeq ($(CUDA),1)
$(if $(and $(NVCC),$(CUDA_INCLUDE)),,$(error CUDA=1 needs nvcc, cuda.h, cublas_v2.h and cudnn.h; CUDA_HOME says where they are))
CUDA_CODE := $(patsubst sm_%,%,$(shell $(NVCC) --list-gpu-code))
CUDA_ARCH ?= $(filter $(CUDA_CODE),75 80 86 89 90 100 120)
CUDA_CU := $(wildcard kernels/cuda/*.cu)
# The emulated device of tests/cuda: libraries that the program opens instead of NVIDIA's.
version_in = $(shell sed -n 's/^\#define $2 *\([0-9]*\).*/\1/p' $$(readlink -f $(CUDA_INCLUDE)/$1) | head -1)
# -fmad=false and IEEE division and roots: kernels give the bits that their text says.
# CUDA_LINES=1 lets profilers and compute-sanitizer name lines, and doubles the size. Drivers read
# smaller fatbins since CUDA 12.4.
NVCC_FLAGS := -std=c++17 -O3 -I. -fmad=false -prec-div=true -prec-sqrt=true -ftz=false \
    $(if $(CUDA_LINES),-lineinfo) -Werror all-warnings -Xcompiler -Wall,-Wextra,-Wno-unused-function \
    $(if $(filter-out 11% 12%,$(call version_in,cuda.h,CUDA_VERSION)),--compress-mode=size)
EMULATED := $(addprefix $(B)/cuda-emulated/,libcuda.so.1 \
    libcublas.so.$(call version_in,cublas_api.h,CUBLAS_VER_MAJOR) \
    libcudnn.so.$(call version_in,cudnn_version.h,CUDNN_MAJOR))
CUDA_TESTS := $(patsubst tests/cuda/%.c,$(B)/tests/%,$(wildcard tests/cuda/test_*.c)) $(B)/tests/test_emulator
endif

LAYERS := base kernels fft attn runfile models probe train analyze reports selftest
LIB_SRC := $(filter-out $(ISA_SRC) $(if $(filter 0,$(CUDA)),kernels/cuda/%),$(wildcard $(foreach d,$(LAYERS),$d/*.c $d/*/*.c)))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o) $(B)/models/text/spiece_library.o $(foreach i,$(ISAS),$(ISA_SRC:%.c=$(B)/%.$i.o))
FATBINS := $(CUDA_CU:%.cu=$(B)/%.fatbin.o)
CLI_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard cli/*.c))
TESTS := $(wildcard tests/test_*.c)
BENCH_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/bench/*.c))
HDRS  := $(filter-out $(if $(filter 0,$(CUDA)),kernels/cuda/% tests/cuda/%),$(wildcard */*.h */*/*.h))
C_FILES := $(wildcard */*.c */*/*.c */*.h */*/*.h kernels/cuda/*.cu kernels/cuda/*.cuh models/text/*.cpp tests/cuda/*.cpp tests/cuda/*.cuh)

# Printed by the program itself, from its tables of options.
PAGES := $(addprefix $(B)/,sigmascope.1 sigmascope.bash sigmascope.zsh sigmascope.fish)

all: $(B)/sigmascope $(PAGES)

$(B)/sigmascope.1: $(B)/sigmascope
	$(Q)$< --man >$@
$(B)/sigmascope.bash $(B)/sigmascope.zsh $(B)/sigmascope.fish: $(B)/sigmascope
	$(Q)$< --completion $(patsubst .%,%,$(suffix $@)) >$@
$(B)/libsigmascope.a: $(LIB_OBJ) $(FATBINS)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $^
$(B)/sigmascope: $(CLI_OBJ) $(B)/libsigmascope.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDLIBS)
$(B)/tests/%: $(B)/tests/%.o $(B)/libsigmascope.a | $(EMULATED)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

$(B)/tests/%: $(B)/tests/cuda/%.o $(B)/libsigmascope.a | $(EMULATED)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

$(B)/tests/bench/bench: $(BENCH_OBJ) $(B)/libsigmascope.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDLIBS)

FUZZ_OBJ := $(patsubst %.c,$(B)/%.o,$(filter-out tests/fuzz/main.c,$(wildcard tests/fuzz/*.c)))
$(B)/tests/test_corpus: $(B)/tests/test_corpus.o $(FUZZ_OBJ) $(B)/libsigmascope.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

# Networks whose weights are never filled in.
$(B)/tests/test_plans $(B)/tests/time_plans: $(B)/tests/%: $(B)/tests/cuda/%.o $(B)/libsigmascope.a | $(EMULATED)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -Wl,--wrap=ss_init_fill -o $@ $^ $(LDLIBS) -lcmocka

# The project's own calls that can fail for want of a disk, for that test to refuse.
WRAPPED := pwrite fsync fdatasync fflush fclose close rename renameat2 mkdir
$(B)/tests/test_io_failure: $(B)/tests/test_io_failure.o $(B)/libsigmascope.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(WRAPPED:%=-Wl,--wrap=%) -o $@ $^ $(LDLIBS) -lcmocka

# Clang's libFuzzer over the targets of tests/fuzz/fuzz.h, in a tree of its own. The folders that
# read files are built for it, with sanitizers; the others, which see numbers only, are the usual
# ones.
CLANG ?= clang
FUZZ := build-fuzz
TIME ?= 60
TARGET ?= $(shell sed -n 's/^    X(\([a-z]*\)).*/\1/p' tests/fuzz/fuzz.h)
FUZZ_SRC := $(wildcard tests/fuzz/*.c base/*.c runfile/*.c models/*.c models/*/*.c probe/*.c train/*.c) \
    $(wildcard analyze/judging/*.c analyze/math/*.c analyze/search/expression*.c analyze/one/not_finite*.c analyze/training/training_log.c analyze/training/training_windows.c)
FUZZ_CFLAGS := $(filter-out -fopenmp,$(ALL_CFLAGS)) -Wno-source-uses-openmp -Wno-unused-function -O1 -g \
    -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
fuzz: $(TARGET:%=$(FUZZ)/fuzz/%)
	@tests/fuzz/run $(FUZZ) $(TIME) $(TARGET)
$(FUZZ)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<
$(FUZZ)/fuzz/%: $(FUZZ_SRC:%.c=$(FUZZ)/%.o) $(B)/libsigmascope.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CLANG) -fsanitize=fuzzer,address,undefined -Wl,--wrap=fork -o $@ $^ $(LDLIBS) -lgomp
-include $(shell find $(FUZZ) -name '*.d' 2>/dev/null)

each = $(foreach t,$2,$1/tests/$t)
check: $(TESTS:%.c=$(B)/%) $(CUDA_TESTS) $(B)/tests/bench/bench all
	@tests/run-all $(B) $(TESTS:%.c=$(B)/%) $(if $(CUDA_TESTS),$(CUDA_SHORT))

# The recorder (python/), by the first Python that has PyTorch and h5py; PYTHON= names another.
check-python: all
	@for p in $(PYTHON) python3 /usr/bin/python3; do \
	    $$p -c 'import h5py, torch' 2>/dev/null && \
	    SIGMASCOPE=$(CURDIR)/$(B)/sigmascope exec $$p python/tests/run $(TESTS_PYTHON); \
	done; \
	echo 'no Python here has torch and h5py: `make deps-python` installs them on Debian' >&2; exit 1

# The emulated device in five orders of blocks, warps and lanes, with few and many multiprocessors,
# with and without exact memory. `make check` has the kernels' own tests in all of them and other
# suites in one; check-cuda has everything. ORDERS="0 3": these.
ORDERS ?= 0 1 2 3 4
MULTIPROCESSORS := 3 1 3 40 7
EXACT := 2 4
KERNEL_TESTS := test_cuda_values $(filter-out test_program test_failing_calls test_plans,$(patsubst tests/cuda/%.c,%,$(wildcard tests/cuda/test_*.c)))
CUDA_SUITES := $(addprefix test_,ops encoder_ops stats gradients format engine optimizer)
CUDA_LONG := $(addprefix test_,tape conv attention gradients_unet unet remedies train_gradients trainer video \
    watch train program failing_calls)
# order, tests
in_order = SIGMASCOPE_CUDA_SEED=$1 SIGMASCOPE_EXACT_MEMORY=$(filter $1,$(EXACT)) \
    SIGMASCOPE_CUDA_MULTIPROCESSORS=$(word $(words x $(wordlist 1,$1,$(MULTIPROCESSORS))),$(MULTIPROCESSORS)) \
    $(call each,$(B),$2)
CUDA_SHORT = $(B)/tests/test_emulator SIGMASCOPE_DEVICE=cuda-emulated \
    $(foreach o,$(ORDERS),$(call in_order,$o,$(KERNEL_TESTS))) \
    $(call in_order,2,$(CUDA_SUITES) test_program test_failing_calls) $(B)/tests/test_plans
CUDA_ALL = $(B)/tests/test_emulator SIGMASCOPE_DEVICE=cuda-emulated \
    $(foreach o,$(ORDERS),$(call in_order,$o,$(KERNEL_TESTS) $(CUDA_SUITES))) \
    PLACES=all $(call in_order,3,$(CUDA_LONG)) EVERY_PLAN=1 $(B)/tests/test_plans
check-cuda: $(call each,$(B),$(KERNEL_TESTS) $(CUDA_SUITES) $(CUDA_LONG)) $(CUDA_TESTS) all
	@$(if $(filter thread,$(SAN)),OMP_NUM_THREADS=1 TSAN_OPTIONS="history_size=7 suppressions=$(CURDIR)/tests/tsan.supp") \
	    $(if $(filter address%,$(SAN)),$(SANITIZED)) \
	    tests/run-all $(B) $(CUDA_ALL)

# TSan where threads of our own are at work, valgrind where no kernel runs: it has no AVX-512.
THREADED := test_run_file test_log test_train
PLAIN := test_base test_file test_json_table test_expression
# HDF5 asks for what a damaged file says, and takes no for an answer.
SANITIZED = LSAN_OPTIONS="suppressions=$(CURDIR)/tests/lsan.supp" ASAN_OPTIONS=allocator_may_return_null=1
check-sanitize:
	$(Q)$(SANITIZED) \
	    $(MAKE) --no-print-directory check SAN=address,undefined
	$(Q)$(MAKE) --no-print-directory SAN=thread all $(call each,build-thread,$(THREADED))
	$(Q)OMP_NUM_THREADS=1 TSAN_OPTIONS="history_size=7 suppressions=$(CURDIR)/tests/tsan.supp" \
	    tests/run-all build-thread $(call each,build-thread,$(THREADED))
	$(Q)$(MAKE) --no-print-directory all $(call each,build,$(PLAIN))
	$(Q)RUNNER="valgrind -q --error-exitcode=9 --leak-check=full" \
	    tests/run-all build $(call each,build,$(PLAIN))
# What reads files of others, with ASan and UBSan.
PARSERS := $(PLAIN) $(addprefix test_,adam_state chain config corpus data dcp deforum folders foreign fp8 frames growing_files hostile input \
    input_files judging lora motion motion_adapter pickle pickle_weights pipelines png run_reader safetensors single tokenizer train_config \
    training_run trainings video_files)
check-parsers:
	$(Q)$(MAKE) --no-print-directory SAN=address,undefined all \
	    $(call each,build-address-undefined,$(PARSERS))
	$(Q)$(SANITIZED) \
	    tests/run-all build-address-undefined $(call each,build-address-undefined,$(PARSERS))
check-allocations: $(B)/tests/test_allocation all
	$(Q)EVERY_ALLOCATION=1 $<
check-kill: $(B)/sigmascope # N=200 kills of each command
	@SIGMASCOPE=$< tests/kill $(or $(N),200)
check-full-disk: $(B)/sigmascope # N=50 sizes of the disk
	@SIGMASCOPE=$< tests/full-disk $(or $(N),50)

bench: $(B)/tests/bench/bench $(B)/sigmascope # PYTHON=... names one with torch and diffusers
	@$< $(BENCH) $(ROWS)

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/models/text/%.o: models/text/%.cpp $(B)/flags
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)$(CXX) $(CXX_CFLAGS) -MMD -MP -c -o $@ $<

# The kernels of a .cu file for all cards, as an array of the program; one for all sanitizers.
build/%.fatbin: %.cu build/cuda-flags
	@mkdir -p $(@D)
	$(call say,CU,$@)
	$(Q)$(NVCC) $(NVCC_FLAGS) $(foreach a,$(CUDA_ARCH),-gencode arch=compute_$a,code=sm_$a) \
	    -gencode arch=compute_$(lastword $(CUDA_ARCH)),code=compute_$(lastword $(CUDA_ARCH)) \
	    -MD -MF $(@:%=%.d) -MT $@ -fatbin -o $@ $<
$(B)/%.fatbin.o: build/%.fatbin
	@mkdir -p $(@D)
	$(Q)printf '.section .rodata\n.balign 64\n.globl ss_fatbin_$(*F)\nss_fatbin_$(*F): .incbin "$<"\n.section .note.GNU-stack,"",%%progbits\n' | \
	    $(CC) -c -x assembler -o $@ -

# The emulated device: the text of the kernels as C++, on fibers (tests/cuda/emulator.h), under fakes
# of the driver and the libraries (tests/cuda/fake.h). Misaligned vectors and indices outside of
# shared arrays are reported without SAN as well.
EMULATED_CXX = -std=c++17 -I. -fPIC -ffp-contract=off -fno-math-errno -Wall -Wextra -Wno-unused-function -Wno-unknown-pragmas -Werror $(CFLAGS)
EMULATED_SAN := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer) -fsanitize=alignment,bounds -fno-sanitize-recover=all
FAKE_DRIVER := $(addprefix $(B)/cuda-emulated/,emulator.o fake_driver.o fake_memory.o fake_queue.o \
    $(notdir $(CUDA_CU:.cu=.cu.o)))
$(B)/cuda-emulated/%.cu.o: kernels/cuda/%.cu tests/cuda/emulator.cuh $(B)/flags
	@mkdir -p $(@D)
	$(call say,EMU,$@)
	$(Q)$(CXX) $(EMULATED_CXX) $(EMULATED_SAN) -include tests/cuda/emulator.cuh -MMD -MP -c -o $@ -x c++ $<
# without sanitizers: they would follow its switches between stacks
$(B)/cuda-emulated/emulator.o: tests/cuda/emulator.cpp $(B)/flags
	@mkdir -p $(@D)
	$(call say,EMU,$@)
	$(Q)$(CXX) $(EMULATED_CXX) $(if $(filter thread,$(SAN)),-DSS_TSAN) -MMD -MP -c -o $@ $<
$(B)/cuda-emulated/%.o: tests/cuda/%.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -Wno-missing-prototypes -fPIC -MMD -MP -c -o $@ $<
$(B)/cuda-emulated/libcuda.so.1: $(FAKE_DRIVER)
	$(call say,LD,$@)
	$(Q)$(CXX) $(EMULATED_SAN) -shared -Wl,-z,defs -Wl,-soname,$(@F) -o $@ $^ -lpthread -lm
emulated_library = $(filter $(B)/cuda-emulated/$1.%,$(EMULATED))
$(call emulated_library,libcublas): $(B)/cuda-emulated/fake_cublas.o
$(call emulated_library,libcudnn): $(addprefix $(B)/cuda-emulated/,fake_cudnn.o fake_cudnn_graph.o fake_cudnn_run.o)
$(call emulated_library,libcublas) $(call emulated_library,libcudnn): $(B)/cuda-emulated/libcuda.so.1
	$(call say,LD,$@)
	$(Q)$(CC) $(EMULATED_SAN) -shared -Wl,-z,defs -Wl,-soname,$(@F) -Wl,-rpath,'$$ORIGIN' -o $@ $^ -lm
$(B)/tests/test_emulator: tests/cuda/test_emulator.cpp tests/cuda/emulator.cuh tests/cuda/emulator.h $(B)/cuda-emulated/emulator.o
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CXX) $(EMULATED_CXX) $(EMULATED_SAN) -o $@ $(filter %.cpp %.o,$^) -lcmocka
emulated-device: $(EMULATED)
# Faults in scratch copies of kernels and host code, each with the test that must notice it.
BUG_TESTS := $(addprefix $(B)/tests/test_,cuda_values device norms stats)
check-cuda-bugs: $(EMULATED) $(BUG_TESTS) # ONLY=PATTERN: these
	$(Q)$(MAKE) --no-print-directory SAN=thread emulated-device
	$(Q)$(MAKE) --no-print-directory SAN=address,undefined emulated-device
	@CC="$(CC)" CXX="$(CXX)" ALL_CFLAGS="$(ALL_CFLAGS)" EMULATED_CXX="$(EMULATED_CXX)" \
	    LDLIBS="$(LDLIBS)" tests/cuda/bugs $(B)

cuda-plans: $(B)/tests/test_plans # how cuDNN would run networks' convolutions on seven cards
	@EVERY_PLAN=1 $<
cuda-report: # ARCHES="75 90": registers, spills and forbidden instructions of each kernel
	@CC="$(CC)" tests/cuda/report $(B) $(NVCC) "$(filter-out --compress-mode=size,$(NVCC_FLAGS))" $(or $(ARCHES),75 90)
build/cuda-flags: FORCE
	@mkdir -p $(@D)
	@echo '$(NVCC) $(NVCC_FLAGS) $(CUDA_ARCH)' | cmp -s - $@ || echo '$(NVCC) $(NVCC_FLAGS) $(CUDA_ARCH)' > $@
$(B)/reports/page/assets.o: $(wildcard reports/page/*.css reports/page/*.js)
$(B)/base/offline_page.o: base/offline_page.css
$(B)/probe/bundle_scripts.o: probe/bundle_replay.py
$(B)/probe/player.o: probe/clips.js probe/player.js probe/player.html
$(B)/analyze/judging/side_by_side.o: analyze/judging/sbs.html analyze/judging/sbs.js
define isa_rule
$(B)/%.$1.o: %.c $(B)/flags
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$$(Q)$$(CC) $$(ALL_CFLAGS) -O3 $$(ISA_CFLAGS_$1) -DSS_ISA=$1 -MMD -MP -c -o $$@ $$<
endef
$(foreach i,$(ISAS),$(eval $(call isa_rule,$i)))

# Rewritten only when the flags change; every object depends on it.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(ALL_CFLAGS)' | cmp -s - $@ || echo '$(CC) $(ALL_CFLAGS)' > $@

lint: check-headers $(B)/libsigmascope.a
	$(Q)clang-format --dry-run --Werror $(C_FILES)
	tests/lint
	@echo tests/circles
	@tests/circles $(B) $(LIB_OBJ)
	$(Q)tests/examples $(CC) $(ALL_CFLAGS)
	tests/links
check-headers: $(HDRS:%=$(B)/%.ok) # each header must compile alone
$(B)/%.h.ok: %.h $(B)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -DSS_ISA=base -fsyntax-only -x c $< && touch $@
format:
	$(Q)clang-format -i $(C_FILES)

# What is only for the library's own files; every other header can be included by programs.
PRIVATE_HDRS := $(wildcard kernels/cpu/*.h kernels/cuda/*.h cli/*.h tests/*.h tests/*/*.h */*_state.h */*_parts.h \
    */*/*_parts.h) \
    $(addprefix kernels/,act_cases.h backend.h call.h inner_stats.h internal.h merge_axes.h node.h operand.h pool.h) \
    $(filter-out $(addprefix models/,file/% net/% sampling/%),$(wildcard models/*/*.h)) \
    $(filter-out selftest/selftest.h,$(wildcard selftest/*.h)) \
    $(addprefix runfile/,gather_copy.h gather_part.h h5.h h5_trial.h run_cache.h run_layout.h run_writer.h) \
    $(addprefix probe/,input_source.h prompt_cache.h recorder.h subject.h trajectory_record.h) \
    $(addprefix train/,board.h config_fields.h config_network.h config_reader.h data_source.h journal.h \
        statistics.h train_folder.h watch.h) \
    $(wildcard analyze/training/mechanism_*.h) analyze/training/training_windows.h \
    $(filter-out reports/analysis.h reports/report.h,$(wildcard reports/*.h reports/*/*.h))
PREFIX ?= /usr/local
# from:to below PREFIX
INSTALLED = $(B)/libsigmascope.a:lib/libsigmascope.a $(B)/sigmascope.pc:lib/pkgconfig/sigmascope.pc \
    $(B)/sigmascope.1:share/man/man1/sigmascope.1 \
    $(B)/sigmascope.bash:share/bash-completion/completions/sigmascope \
    $(B)/sigmascope.zsh:share/zsh/site-functions/_sigmascope \
    $(B)/sigmascope.fish:share/fish/vendor_completions.d/sigmascope.fish \
    $(foreach h,$(filter-out $(PRIVATE_HDRS),$(HDRS)),$h:include/sigmascope/$h)
to = $(DESTDIR)$(PREFIX)/$(lastword $(subst :, ,$1))

$(B)/sigmascope.pc: sigmascope.pc.in base/version.h FORCE
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' \
	    -e "s|@VERSION@|$$(sed -n 's/^.*SS_VERSION "\(.*\)"/\1/p' base/version.h)|" $< >$@
install: all $(B)/sigmascope.pc
	$(Q)install -D -m 755 $(B)/sigmascope "$(DESTDIR)$(PREFIX)/bin/sigmascope"
	$(Q)$(foreach f,$(INSTALLED),install -D -m 644 $(firstword $(subst :, ,$f)) "$(call to,$f)" &&) :
uninstall:
	$(Q)rm -f "$(DESTDIR)$(PREFIX)/bin/sigmascope" $(foreach f,$(INSTALLED),"$(call to,$f)")
	$(Q)test ! -d "$(DESTDIR)$(PREFIX)/include/sigmascope" || \
	    find "$(DESTDIR)$(PREFIX)/include/sigmascope" -type d -empty -delete

# Packages (packaging/), without CUDA; check-dist as root tries them in a fresh Debian, too.
stage:
	@+packaging/stage
dist deb: stage
	@DEV="$(filter-out libcmocka-dev,$(filter %-dev,$(DEBIAN)))" packaging/$@
check-dist: dist deb
	@packaging/check-dist

demo: deps
	@$(MAKE) --no-print-directory all
	@demo/run

story story-video: deps
	@$(MAKE) --no-print-directory all
	@demo/$@

deps-python: DEBIAN := $(DEBIAN_PYTHON)
deps deps-python:
	@missing=; for p in $(DEBIAN); do \
	    dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q '^install ok' || missing="$$missing $$p"; \
	done; \
	test -z "$$missing" && exit 0; \
	echo "missing Debian packages:$$missing"; \
	test "$$(id -u)" = 0 || { echo "install them as root: apt-get install$$missing" >&2; exit 1; }; \
	apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$missing

clean:
	rm -rf build build-* dist
-include $(shell find $(B) -name '*.d' 2>/dev/null) $(if $(SAN),$(wildcard build/kernels/cuda/*.fatbin.d))
