// P-Net in one kernel: from a halving to the cells that may hold a face, with nothing in between in global memory.
//
// A block does TILE x TILE cells of a level at a time: it samples the level's pixels under them, and carries them
// through all layers in shared memory, in float32. The net is tiny (1,800 multiplications a pixel), so that layer by
// layer most of the time goes into launches and memory. Weights stay in shared memory from one tile to the next.

#define TILE JETSTREAM_TILE
#define THREADS (TILE * TILE)
#define AHEAD 4  // neighbouring cells that a thread does at once: each weight it loads is used as often
#define WIDE 8   // channels that a thread does at once

#define IN (2 * TILE + 10)  // px under a tile
#define IN_STRIDE (IN + 2)
#define POOLED (TILE + 4)
#define POOLED_STRIDE (POOLED + 4)
#define SECOND (TILE + 2)
#define SECOND_STRIDE (SECOND + 2)

// floats of the weights, in their order; each layer begins on 16 bytes
#define FIRST_OUT 10
#define FIRST_STEP 28  // 27 weights and one to fill
#define SECOND_OUT 16
#define THIRD_OUT 32
#define HEADS 5
#define AT_FIRST 0
#define AT_FIRST_BIAS (AT_FIRST + FIRST_OUT * FIRST_STEP)
#define AT_FIRST_SLOPE (AT_FIRST_BIAS + FIRST_OUT)
#define AT_SECOND (AT_FIRST_SLOPE + FIRST_OUT)
#define AT_SECOND_BIAS (AT_SECOND + FIRST_OUT * 9 * SECOND_OUT)
#define AT_SECOND_SLOPE (AT_SECOND_BIAS + SECOND_OUT)
#define AT_THIRD (AT_SECOND_SLOPE + SECOND_OUT)
#define AT_THIRD_BIAS (AT_THIRD + SECOND_OUT * 9 * THIRD_OUT)
#define AT_HEADS (AT_THIRD_BIAS + THIRD_OUT)        // for x, (32, 5)
#define AT_HEADS_CUT (AT_HEADS + THIRD_OUT * HEADS)  // for relu(x)
#define AT_HEADS_BIAS (AT_HEADS_CUT + THIRD_OUT * HEADS)
#define PNET_FLOATS (AT_HEADS_BIAS + 8)

#define LARGER(a, b) ((a) > (b) ? (a) : (b))
#define PIXEL_FLOATS LARGER(3 * IN * IN_STRIDE, SECOND_OUT * SECOND * SECOND_STRIDE)
#define POOLED_FLOATS LARGER(FIRST_OUT * POOLED * POOLED_STRIDE, (THIRD_OUT / WIDE) * TILE * TILE * HEADS)

struct Tile {
    int level, top, left;  // its first cell
};

// The level's pixels under a tile, in planes; beyond the level its border, which no answer depends on.
__device__ void load_pixels(const Work& work, Tile tile, float* pixels, Between* rows, Between* columns) {
    const Level& level = work.levels[tile.level];
    const Picture& picture = work.pictures[level.picture];
    for (int i = threadIdx.x; i < IN; i += THREADS) {
        rows[i] = between(min(2 * tile.top + i, level.rows - 1), level.step, picture.rows[level.halving]);
        columns[i] = between(min(2 * tile.left + i, level.columns - 1), level.step, picture.columns[level.halving]);
    }
    __syncthreads();
    const u8* source = (const u8*)picture.pixels[level.halving];
    size_t stride = (size_t)picture.columns[level.halving] * 3;
    for (int i = threadIdx.x; i < IN * IN; i += THREADS) {
        int y = i / IN, x = i % IN;
        const u8 *upper = source + rows[y].at * stride, *lower = source + rows[y].next * stride;
        for (int colour = 0; colour < 3; colour++)
            pixels[(colour * IN + y) * IN_STRIDE + x] = level_value(upper, lower, columns[x], rows[y], colour);
    }
}

// First convolution, PReLU, and the largest of 2 x 2, of which the last row or column may hold only one (ceil mode).
__device__ void first_layer(const Level& level, Tile tile, const float* weights, const float* pixels, float* pooled) {
    for (int i = threadIdx.x; i < POOLED * POOLED; i += THREADS) {
        int y = i / POOLED, x = i % POOLED;
        float patch[3][4][4];
#pragma unroll
        for (int colour = 0; colour < 3; colour++)
#pragma unroll
            for (int row = 0; row < 4; row++) {
                const float2* from = (const float2*)(pixels + (colour * IN + 2 * y + row) * IN_STRIDE + 2 * x);
                float2 left = from[0], right = from[1];
                patch[colour][row][0] = left.x, patch[colour][row][1] = left.y;
                patch[colour][row][2] = right.x, patch[colour][row][3] = right.y;
            }
        bool has_lower = 2 * (tile.top + y) + 1 < level.rows - 2, has_right = 2 * (tile.left + x) + 1 < level.columns - 2;
        for (int out = 0; out < FIRST_OUT; out++) {
            float kernel[FIRST_STEP];
            const float4* from = (const float4*)(weights + AT_FIRST + out * FIRST_STEP);
#pragma unroll
            for (int part = 0; part < FIRST_STEP / 4; part++) {
                float4 four = from[part];
                kernel[4 * part] = four.x, kernel[4 * part + 1] = four.y;
                kernel[4 * part + 2] = four.z, kernel[4 * part + 3] = four.w;
            }
            float slope = weights[AT_FIRST_SLOPE + out], best = 0;
#pragma unroll
            for (int corner = 0; corner < 4; corner++) {
                float sum = weights[AT_FIRST_BIAS + out];
#pragma unroll
                for (int tap = 0; tap < 27; tap++)
                    sum = fmaf(kernel[tap], patch[tap / 9][corner / 2 + tap / 3 % 3][corner % 2 + tap % 3], sum);
                float value = sum > 0 ? sum : slope * sum;
                bool there = (corner / 2 == 0 || has_lower) && (corner % 2 == 0 || has_right);
                if (corner == 0 || (there && value > best)) best = value;
            }
            pooled[(out * POOLED + y) * POOLED_STRIDE + x] = best;
        }
    }
}

// A 3 x 3 convolution at AHEAD neighbouring places and WIDE channels: sums[channel][place].
template <int CHANNELS, int OUT, int ROWS, int STRIDE>
__device__ void convolve(const float* input, const float* kernel, const float* bias, int y, int x, int first_out,
                         float sums[WIDE][AHEAD]) {
#pragma unroll
    for (int out = 0; out < WIDE; out++)
#pragma unroll
        for (int place = 0; place < AHEAD; place++) sums[out][place] = bias[first_out + out];
#pragma unroll 2
    for (int channel = 0; channel < CHANNELS; channel++)
#pragma unroll
        for (int row = 0; row < 3; row++) {
            const float* from = input + (channel * ROWS + y + row) * STRIDE + x;
            float4 four = *(const float4*)from;
            float2 two = *(const float2*)(from + 4);
            float line[AHEAD + 2] = {four.x, four.y, four.z, four.w, two.x, two.y};
#pragma unroll
            for (int column = 0; column < 3; column++) {
                const float4* taps = (const float4*)(kernel + ((channel * 3 + row) * 3 + column) * OUT + first_out);
                float4 low = taps[0], high = taps[1];
                float tap[WIDE] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
                for (int out = 0; out < WIDE; out++)
#pragma unroll
                    for (int place = 0; place < AHEAD; place++)
                        sums[out][place] = fmaf(tap[out], line[column + place], sums[out][place]);
            }
        }
}

__device__ void second_layer(const float* weights, const float* pooled, float* second) {
    const int groups = (SECOND + AHEAD - 1) / AHEAD * SECOND;
    // a warp's threads share their channels, so that weights are read once for all of them
    const int padded = (groups + 31) / 32 * 32;
    for (int i = threadIdx.x; i < padded * (SECOND_OUT / WIDE); i += THREADS) {
        int group = i % padded, first_out = i / padded * WIDE;
        if (group >= groups) continue;
        int y = group % SECOND, x = group / SECOND * AHEAD;
        float sums[WIDE][AHEAD];
        convolve<FIRST_OUT, SECOND_OUT, POOLED, POOLED_STRIDE>(pooled, weights + AT_SECOND, weights + AT_SECOND_BIAS, y, x,
                                                              first_out, sums);
        for (int out = 0; out < WIDE; out++) {
            float slope = weights[AT_SECOND_SLOPE + first_out + out];
            float* to = second + ((first_out + out) * SECOND + y) * SECOND_STRIDE + x;
            for (int place = 0; place < AHEAD; place++)
                if (x + place < SECOND_STRIDE) to[place] = sums[out][place] > 0 ? sums[out][place] : slope * sums[out][place];
        }
    }
}

// Third convolution and the heads: parts[quarter of its channels][cell][head].
__device__ void last_layers(const float* weights, const float* second, float* parts) {
    const int groups = TILE * TILE / AHEAD;
    for (int i = threadIdx.x; i < groups * (THIRD_OUT / WIDE); i += THREADS) {
        int group = i % groups, first_out = i / groups * WIDE;
        int y = group / (TILE / AHEAD), x = group % (TILE / AHEAD) * AHEAD;
        float sums[WIDE][AHEAD];
        convolve<SECOND_OUT, THIRD_OUT, SECOND, SECOND_STRIDE>(second, weights + AT_THIRD, weights + AT_THIRD_BIAS, y, x,
                                                              first_out, sums);
        for (int head = 0; head < HEADS; head++)
            for (int place = 0; place < AHEAD; place++) {
                float sum = 0;
#pragma unroll
                for (int out = 0; out < WIDE; out++) {
                    float value = sums[out][place];
                    sum = fmaf(weights[AT_HEADS + (first_out + out) * HEADS + head], value, sum);
                    sum = fmaf(weights[AT_HEADS_CUT + (first_out + out) * HEADS + head], fmaxf(value, 0.0f), sum);
                }
                parts[(i / groups * TILE * TILE + y * TILE + x + place) * HEADS + head] = sum;
            }
    }
}

// Stores P-Net's output for one cell.
__device__ void note(const Work& work, int index, const Level& level, int row, int column, const float* heads) {
    int cell = row * level.cell_columns + column, entry = -1;
    if (heads[0] >= work.batch->min_logit[0]) {
        entry = atomicAdd(work.level_counts + index, 1);
        Found found;
        found.cell = cell;
        found.logit = heads[0];
        for (int edge = 0; edge < 4; edge++) found.offsets[edge] = heads[1 + edge];
        work.found[level.first_cell + entry] = found;
    }
    work.cell_entries[level.first_cell + cell] = entry;
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) pnet(Work work) {
    DYNAMIC_SHARED(float4, shared);
    __shared__ Between rows[IN], columns[IN];
    float* weights = (float*)shared;
    float* pixels = weights + PNET_FLOATS;  // and, when they are done with, the second layer's answer
    float* pooled = pixels + PIXEL_FLOATS;  // and, likewise, the heads' parts
    for (int i = threadIdx.x; i < PNET_FLOATS; i += THREADS) weights[i] = work.pnet[i];
    const Batch& batch = *work.batch;
    for (int number = blockIdx.x; number < batch.level_tiles; number += gridDim.x) {
        const Level* levels = work.levels;
        Tile tile;
        tile.level = owner_of(number, batch.levels, [=](int i) { return levels[i].first_tile; });
        const Level& level = levels[tile.level];
        int inside = number - level.first_tile;
        tile.top = inside / level.tile_columns * TILE, tile.left = inside % level.tile_columns * TILE;
        __syncthreads();
        load_pixels(work, tile, pixels, rows, columns);
        __syncthreads();
        first_layer(level, tile, weights, pixels, pooled);
        __syncthreads();
        second_layer(weights, pooled, pixels);
        __syncthreads();
        last_layers(weights, pixels, pooled);
        __syncthreads();
        int row = tile.top + threadIdx.x / TILE, column = tile.left + threadIdx.x % TILE;
        if (row < level.cell_rows && column < level.cell_columns) {
            float heads[HEADS];
            for (int head = 0; head < HEADS; head++) {
                heads[head] = weights[AT_HEADS_BIAS + head];
                for (int part = 0; part < THIRD_OUT / WIDE; part++)
                    heads[head] += pooled[(part * TILE * TILE + threadIdx.x) * HEADS + head];
            }
            note(work, tile.level, level, row, column, heads);
        }
    }
}
