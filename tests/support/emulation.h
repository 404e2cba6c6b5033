// CUDA's words for a C++ compiler: a block's threads run one after the other, each up to the next __syncthreads.
// For testing kernels where there is no GPU: the same source, the same arithmetic, and no races to be seen.
#include <csetjmp>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
#define __shared__ static
#define DYNAMIC_SHARED(type, name) type* name = (type*)emulated_shared

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct Index { unsigned x, y, z; };
static Index threadIdx, blockIdx, blockDim, gridDim;
alignas(16) static char emulated_shared[256 * 1024];

using std::max;
using std::min;
static inline int min(unsigned a, int b) { return (int)a < b ? (int)a : b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline unsigned __float_as_uint(float value) { unsigned bits; memcpy(&bits, &value, 4); return bits; }
static inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
static inline int __ffs(int bits) { return __builtin_ffs(bits); }
static inline int atomicAdd(int* at, int value) { int old = *at; *at += value; return old; }
static inline unsigned atomicOr(unsigned* at, unsigned bits) { unsigned old = *at; *at |= bits; return old; }
static inline unsigned atomicAnd(unsigned* at, unsigned bits) { unsigned old = *at; *at &= bits; return old; }

// A thread is a coroutine with a stack of its own, made once; it runs one block after the other. Switches are _setjmp and
// _longjmp, which unlike swapcontext save no signal mask: that takes two system calls each time.
static const unsigned MOST_THREADS = 1024;
static const size_t STACK_BYTES = 64 * 1024;
static jmp_buf scheduler, coroutines[MOST_THREADS];
static ucontext_t main_context, first_contexts[MOST_THREADS];
static char* stacks;
static unsigned made;
static bool ended[MOST_THREADS];
static unsigned running;
static void (*body)(const char*);
static const char* body_arguments;

static void __syncthreads() {
    if (!_setjmp(coroutines[running])) _longjmp(scheduler, 1);
}

static void coroutine() {
    for (;;) {
        body(body_arguments);
        ended[running] = true;
        __syncthreads();
    }
}

static void make(unsigned thread) {
    if (!stacks) stacks = (char*)malloc(MOST_THREADS * STACK_BYTES);
    ucontext_t* first = &first_contexts[thread];
    getcontext(first);
    first->uc_stack.ss_sp = stacks + thread * STACK_BYTES;
    first->uc_stack.ss_size = STACK_BYTES;
    first->uc_link = 0;
    makecontext(first, coroutine, 0);
}

static void run_to_next_barrier(unsigned thread) {
    running = threadIdx.x = thread;
    if (_setjmp(scheduler)) return;
    if (thread < made) _longjmp(coroutines[thread], 1);
    make(made++);
    swapcontext(&main_context, &first_contexts[thread]);
}

static void run_block(unsigned threads) {
    if (threads > MOST_THREADS) abort();
    for (unsigned thread = 0; thread < threads; thread++) ended[thread] = false;
    for (unsigned left = threads; left;) {
        left = 0;
        for (unsigned thread = 0; thread < threads; thread++) {
            if (ended[thread]) continue;
            run_to_next_barrier(thread);
            left += !ended[thread];
        }
    }
}

static void run_grid(void (*kernel)(const char*), unsigned x, unsigned y, unsigned threads, const char* arguments) {
    body = kernel, body_arguments = arguments;
    gridDim.x = x, gridDim.y = y, blockDim.x = threads;
    for (blockIdx.y = 0; blockIdx.y < y; blockIdx.y++)
        for (blockIdx.x = 0; blockIdx.x < x; blockIdx.x++) run_block(threads);
}
