// Stands before a file of CUDA C, so that a C compiler makes it run on the processor: each thread of a block is a fiber, blocks follow
// one another. Fibers run until a barrier or their end, in turns that go forwards and backwards, so that a missing barrier shows.

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

typedef struct {
    unsigned x, y, z;
} shim_index;

static shim_index threadIdx, blockIdx, blockDim, gridDim;

static inline int atomicAdd(int *at, int value) {
    int before = *at;
    *at += value;
    return before;
}

static inline unsigned __float_as_uint(float value) {
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float __uint_as_float(unsigned bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#define FN static
#define SHARED static
#define KERNEL(name, type)                                                \
    static void name##_body(const type p);                                \
    const unsigned long name##_bytes = sizeof(type);                      \
    void name(const void *raw) { name##_body(*(const type *)raw); }       \
    static void name##_body(const type p)

enum { SHIM_STACK = 64 * 1024, SHIM_THREADS = 1024 };
enum { SHIM_READY, SHIM_WAITS, SHIM_ENDED };

static ucontext_t shim_main, shim_fibers[SHIM_THREADS];
static char *shim_stacks;
static int shim_states[SHIM_THREADS];
static unsigned shim_now;
static void (*shim_kernel)(const void *);
static const void *shim_parameters;

static void __syncthreads(void) {
    shim_states[shim_now] = SHIM_WAITS;
    swapcontext(&shim_fibers[shim_now], &shim_main);
}

static void shim_run(void) {
    shim_kernel(shim_parameters);
    shim_states[shim_now] = SHIM_ENDED;
    swapcontext(&shim_fibers[shim_now], &shim_main);
}

static int shim_block(unsigned threads) {
    int turn = 0;
    unsigned i;
    for (i = 0; i < threads; i++) {
        getcontext(&shim_fibers[i]);
        shim_fibers[i].uc_stack.ss_sp = shim_stacks + (size_t)i * SHIM_STACK;
        shim_fibers[i].uc_stack.ss_size = SHIM_STACK;
        shim_fibers[i].uc_link = &shim_main;
        makecontext(&shim_fibers[i], shim_run, 0);
        shim_states[i] = SHIM_READY;
    }
    for (;; turn ^= 1) {
        unsigned waiting = 0, ended = 0;
        for (i = 0; i < threads; i++) {
            shim_now = turn ? threads - 1 - i : i;
            if (shim_states[shim_now] != SHIM_ENDED) {
                threadIdx.x = shim_now;
                swapcontext(&shim_main, &shim_fibers[shim_now]);
            }
        }
        for (i = 0; i < threads; i++) {
            waiting += shim_states[i] == SHIM_WAITS;
            ended += shim_states[i] == SHIM_ENDED;
        }
        if (ended == threads) return 0;
        // A barrier that not all threads reach hangs or worse on a GPU.
        if (waiting != threads) return 1;
    }
}

// 0, or 1 where threads of a block part at a barrier, 2 where there are too many of them.
int shim_launch(void (*kernel)(const void *), const void *parameters, const unsigned *grid, unsigned threads) {
    if (threads == 0 || threads > SHIM_THREADS) return 2;
    if (!shim_stacks) shim_stacks = malloc((size_t)SHIM_THREADS * SHIM_STACK);
    if (!shim_stacks) return 2;
    shim_kernel = kernel;
    shim_parameters = parameters;
    gridDim.x = grid[0];
    gridDim.y = grid[1];
    gridDim.z = grid[2];
    blockDim.x = threads;
    blockDim.y = blockDim.z = 1;
    for (blockIdx.z = 0; blockIdx.z < grid[2]; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid[1]; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid[0]; blockIdx.x++)
                if (shim_block(threads)) return 1;
    return 0;
}
