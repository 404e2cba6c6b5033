// CUDA's words for a C++ compiler: a block's threads run one after the other, each up to the next __syncthreads.
// For testing kernels where there is no GPU: the same source, the same arithmetic, and no races to be seen.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
#include <vector>

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

static const size_t STACK_BYTES = 64 * 1024;
static ucontext_t scheduler;
static std::vector<ucontext_t> fibers;
static std::vector<char> stacks;
static std::vector<char> ended;
static unsigned running;
static void (*body)(const char*);
static const char* body_arguments;

static void __syncthreads() { swapcontext(&fibers[running], &scheduler); }

static void fiber() {
    body(body_arguments);
    ended[running] = 1;
}

static void run_block(unsigned threads) {
    for (unsigned thread = 0; thread < threads; thread++) {
        getcontext(&fibers[thread]);
        fibers[thread].uc_stack.ss_sp = &stacks[thread * STACK_BYTES];
        fibers[thread].uc_stack.ss_size = STACK_BYTES;
        fibers[thread].uc_link = &scheduler;
        makecontext(&fibers[thread], fiber, 0);
        ended[thread] = 0;
    }
    for (unsigned left = threads; left;) {
        left = 0;
        for (running = 0; running < threads; running++) {
            if (ended[running]) continue;
            threadIdx.x = running;
            swapcontext(&scheduler, &fibers[running]);
            left += !ended[running];
        }
    }
}

static void run_grid(void (*kernel)(const char*), unsigned x, unsigned y, unsigned threads, const char* arguments) {
    body = kernel, body_arguments = arguments;
    if (fibers.size() < threads) fibers.resize(threads), ended.resize(threads), stacks.resize(threads * STACK_BYTES);
    gridDim.x = x, gridDim.y = y, blockDim.x = threads;
    for (blockIdx.y = 0; blockIdx.y < y; blockIdx.y++)
        for (blockIdx.x = 0; blockIdx.x < x; blockIdx.x++) run_block(threads);
}
