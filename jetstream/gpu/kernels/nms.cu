// Greedy non-maximum suppression as on the CPU, in parallel.
//
// A box is kept exactly when no better box that it overlaps (a rival) is kept. So all boxes are decided in rounds: one
// with a kept rival is dropped, one whose rivals are all dropped is kept. The result is that of the sequential
// algorithm, after as many rounds as the longest chain of rivals, mostly under ten.

#define CLOSE 2  // cells away that a box of the same level can overlap by more than half
#define AROUND (2 * CLOSE + 1)
#define NEAR 4096  // cells of a level whose states fit into shared memory
#define MINE 16    // words of a row of rivals that a thread keeps in registers

// One edge of a cell's box in picture pixels; `first` and `last` pixel count from 1 in the published code.
__device__ double first_px(int cell, double scale) {
    return floor((double)(2 * cell + 1) / scale) - 1.0;
}

__device__ double end_px(int cell, double scale) {
    return floor((double)(2 * cell + 12) / scale);
}

// Within each level: which cells are better than all kept ones around. Survivors of a picture make one list of keys.
// One block a level.
extern "C" __global__ void within_levels(Work work) {
    __shared__ int undecided;
    __shared__ u8 near_states[NEAR];
    const Batch& batch = *work.batch;
    for (int index = blockIdx.x; index < batch.levels; index += gridDim.x) {
        const Level& level = work.levels[index];
        int count = work.level_counts[index];
        const Found* found = work.found + level.first_cell;
        const int* entries = work.cell_entries + level.first_cell;
        u32* rivals = work.rivals + level.first_cell;
        volatile u8* states = count <= NEAR ? near_states : work.states + level.first_cell;
        for (int i = threadIdx.x; i < count; i += blockDim.x) {
            int row = found[i].cell / level.cell_columns, column = found[i].cell % level.cell_columns;
            u64 key = key_of(found[i].logit, found[i].cell);
            u32 bits = 0;
            double left = first_px(column, level.scale), right = end_px(column, level.scale);
            double top = first_px(row, level.scale), bottom = end_px(row, level.scale);
            for (int bit = 0; bit < AROUND * AROUND; bit++) {
                int y = row + bit / AROUND - CLOSE, x = column + bit % AROUND - CLOSE;
                if (y < 0 || x < 0 || y >= level.cell_rows || x >= level.cell_columns) continue;
                int entry = entries[y * level.cell_columns + x];
                if (entry < 0 || key_of(found[entry].logit, found[entry].cell) <= key) continue;
                double other_left = first_px(x, level.scale), other_right = end_px(x, level.scale);
                double other_top = first_px(y, level.scale), other_bottom = end_px(y, level.scale);
                double shared_px = fmax(fmin(right, other_right) - fmax(left, other_left), 0.0) *
                                   fmax(fmin(bottom, other_bottom) - fmax(top, other_top), 0.0);
                double all_px = (right - left) * (bottom - top) + (other_right - other_left) * (other_bottom - other_top);
                if (2.0 * shared_px > all_px - shared_px) bits |= 1u << bit;
            }
            rivals[i] = bits;
            states[i] = bits ? 0 : 1;
        }
        do {
            __syncthreads();
            if (threadIdx.x == 0) undecided = 0;
            __syncthreads();
            bool open_one = false;
            for (int start = 0; start < count; start += 32 * blockDim.x) {
                // each thread decides from the states before this round, then writes its own
                u32 keeps = 0, falls = 0;
                int end = min(start + 32 * (int)blockDim.x, count);
                for (int i = start + threadIdx.x, turn = 0; i < end; i += blockDim.x, turn++) {
                    if (states[i]) continue;
                    int row = found[i].cell / level.cell_columns, column = found[i].cell % level.cell_columns;
                    bool by_open = false, by_kept = false;
                    for (u32 bits = rivals[i]; bits; bits &= bits - 1) {
                        int bit = __ffs((int)bits) - 1;
                        int y = row + bit / AROUND - CLOSE, x = column + bit % AROUND - CLOSE;
                        int state = states[entries[y * level.cell_columns + x]];
                        by_open |= state == 0;
                        by_kept |= state == 1;
                    }
                    if (by_kept) falls |= 1u << turn;
                    else if (!by_open) keeps |= 1u << turn;
                    else open_one = true;
                }
                __syncthreads();
                for (int i = start + threadIdx.x, turn = 0; i < end; i += blockDim.x, turn++)
                    if ((keeps | falls) >> turn & 1) states[i] = keeps >> turn & 1 ? 1 : 2;
                __syncthreads();
            }
            if (open_one) undecided = 1;
            __syncthreads();
        } while (undecided);
        int first = work.pictures[level.picture].first_cell;
        for (int i = threadIdx.x; i < count; i += blockDim.x) {
            if (states[i] != 1) continue;
            int place = atomicAdd(work.survivor_counts + level.picture, 1);
            work.survivors[first + place] = key_of(found[i].logit, level.first_cell + found[i].cell);
        }
        __syncthreads();
    }
}

__device__ double area(float4 b) {
    return ((double)b.z - (double)b.x) * ((double)b.w - (double)b.y);
}

// Bit j of row i, for each picture: box j comes before i and overlaps it by more than `share` of their union, or with
// `smaller` of the smaller box. Eight bits a thread. Grid: (pictures, any).
__device__ void mask(const List& list, u32* masks, float share, bool smaller) {
    int count = list.counts[blockIdx.x], eighths = (count + 31) / 32 * 4;
    const float4* boxes = list.boxes + blockIdx.x * BUDGET;
    u8* rows = (u8*)(masks + (size_t)blockIdx.x * BUDGET * WORDS);
    for (int at = blockIdx.y * blockDim.x + threadIdx.x; at < count * eighths; at += gridDim.y * blockDim.x) {
        int i = at / eighths, eighth = at % eighths;
        if (eighth / 4 * 32 >= i) continue;  // a word that is never read
        float4 mine = boxes[i];
        double my_px = area(mine);
        u32 bits = 0;
        for (int j = eighth * 8; j < min(i, eighth * 8 + 8); j++) {
            float4 other = boxes[j];
            double width = (double)fminf(mine.z, other.z) - (double)fmaxf(mine.x, other.x);
            double height = (double)fminf(mine.w, other.w) - (double)fmaxf(mine.y, other.y);
            if (width <= 0 || height <= 0) continue;
            double shared_px = width * height;
            double other_px = area(other);
            double whole_px = smaller ? fmin(my_px, other_px) : my_px + other_px - shared_px;
            if (shared_px > (double)share * whole_px) bits |= 1u << (j % 8);
        }
        rows[(size_t)i * WORDS * 4 + eighth] = bits;
    }
}

// The boxes kept: places[i] is the place of box i among them, or -1. Returns how many. One block of 32 * MINE threads a
// picture.
__device__ int resolve(int count, const u32* masks, int* places) {
    __shared__ u32 kept[WORDS], open[WORDS];
    __shared__ int before[WORDS + 1], undecided;
    masks += (size_t)blockIdx.x * BUDGET * WORDS;
    places += blockIdx.x * BUDGET;
    int words = (count + 31) / 32;
    for (int word = threadIdx.x; word < WORDS; word += blockDim.x) {
        kept[word] = 0;
        open[word] = count >= word * 32 + 32 ? ~0u : word < words ? (1u << count % 32) - 1 : 0;
    }
    __syncthreads();
    u32 mine[MINE];  // of the first box of each thread: mostly there is no second
#pragma unroll
    for (int word = 0; word < MINE; word++)
        mine[word] = threadIdx.x < count && word * 32 < threadIdx.x ? masks[(size_t)threadIdx.x * WORDS + word] : 0;
    do {
        // each thread decides its boxes from the states before this round
        u32 keeps = 0, falls = 0;
        for (int i = threadIdx.x, turn = 0; i < count; i += blockDim.x, turn++) {
            if (!(open[i / 32] >> i % 32 & 1)) continue;
            u32 by_kept = 0, by_open = 0;
            if (turn == 0) {
#pragma unroll
                for (int word = 0; word < MINE; word++) {
                    by_kept |= mine[word] & kept[word];
                    by_open |= mine[word] & open[word];
                }
            } else {
                for (int word = 0; word * 32 < i; word++) {
                    u32 bits = masks[(size_t)i * WORDS + word];
                    by_kept |= bits & kept[word];
                    by_open |= bits & open[word];
                }
            }
            if (by_kept) falls |= 1u << turn;
            else if (!by_open) keeps |= 1u << turn;
        }
        __syncthreads();
        if (threadIdx.x == 0) undecided = 0;
        for (int i = threadIdx.x, turn = 0; i < count; i += blockDim.x, turn++) {
            u32 bit = 1u << i % 32;
            if (keeps >> turn & 1) atomicOr(kept + i / 32, bit);
            if ((keeps | falls) >> turn & 1) atomicAnd(open + i / 32, ~bit);
        }
        __syncthreads();
        for (int word = threadIdx.x; word < words; word += blockDim.x)
            if (open[word]) undecided = 1;
        __syncthreads();
    } while (undecided);
    if (threadIdx.x == 0) {
        before[0] = 0;
        for (int word = 0; word < words; word++) before[word + 1] = before[word] + __popc(kept[word]);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        u32 bit = 1u << i % 32;
        places[i] = kept[i / 32] & bit ? before[i / 32] + __popc(kept[i / 32] & (bit - 1)) : -1;
    }
    __syncthreads();
    return words ? before[words] : 0;
}
