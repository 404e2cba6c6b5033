// Pictures at every size: halvings, thumbnails, samples of levels and crops. vision/detection/pyramid.py defines them;
// the bits are the same.

#define TILE_PX 32

// Both ways between the picture and a square of it in shared memory: 32-bit words where they fit.
__device__ bool by_words(const Picture& picture, int k, int top, int left) {
    return picture.columns[k] * 3 % 4 == 0 && picture.pixels[k] % 4 == 0 && top + TILE_PX <= picture.rows[k] &&
           left + TILE_PX <= picture.columns[k];
}

// Pixels of a picture that is NV12 to shared memory, and as BGR to its halving 0. A block of 256 threads.
__device__ void load_nv12(const Picture& picture, int top, int left, u32 (*loaded)[TILE_PX * 3 / 4]) {
    u8* bytes = (u8*)loaded;
    for (int i = threadIdx.x; i < TILE_PX * TILE_PX / 4; i += blockDim.x) {
        int y = i / (TILE_PX / 2) * 2, x = i % (TILE_PX / 2) * 2;
        square_to_bgr(picture.planes, top + y, left + x, picture.rows[0], picture.columns[0],
                      bytes + (y * TILE_PX + x) * 3, TILE_PX * 3, false);
    }
    __syncthreads();
    size_t stride = (size_t)picture.columns[0] * 3;
    u8* corner = (u8*)picture.pixels[0] + top * stride + left * 3;
    if (by_words(picture, 0, top, left)) {
        int word = threadIdx.x % 32;
        for (int y = threadIdx.x / 32; y < TILE_PX; y += blockDim.x / 32)
            if (word < TILE_PX * 3 / 4) ((u32*)(corner + y * stride))[word] = loaded[y][word];
    } else {
        for (int i = threadIdx.x; i < TILE_PX * TILE_PX * 3; i += blockDim.x) {
            int y = i / (TILE_PX * 3), x = i % (TILE_PX * 3);
            if (top + y < picture.rows[0] && left + x / 3 < picture.columns[0]) corner[y * stride + x] = bytes[i];
        }
    }
}

// One square of halving `first`, five times halved; at first = 0 also its share of the thumbnail. A block of 256 threads.
__device__ void halve_square(const Picture& picture, int first, int top, int left) {
    __shared__ u32 loaded[TILE_PX][TILE_PX * 3 / 4];
    __shared__ u8 square[2][TILE_PX / 2][TILE_PX / 2][3];
    size_t stride = (size_t)picture.columns[first] * 3;
    const u8* corner = (const u8*)picture.pixels[first] + top * stride + left * 3;
    u8* bytes = (u8*)loaded;
    if (first == 0 && picture.planes.luma) {
        load_nv12(picture, top, left, loaded);
    } else if (by_words(picture, first, top, left)) {
        int word = threadIdx.x % 32;
        for (int y = threadIdx.x / 32; y < TILE_PX; y += blockDim.x / 32)
            if (word < TILE_PX * 3 / 4) loaded[y][word] = ((const u32*)(corner + y * stride))[word];
    } else {
        for (int i = threadIdx.x; i < TILE_PX * TILE_PX * 3; i += blockDim.x) {
            int y = i / (TILE_PX * 3), x = i % (TILE_PX * 3);
            bool inside = top + y < picture.rows[first] && left + x / 3 < picture.columns[first];
            bytes[i] = inside ? corner[y * stride + x] : 0;
        }
    }
    __syncthreads();
    if (first == 0 && threadIdx.x < 16) {
        int y = threadIdx.x / 4 * 8, x = threadIdx.x % 4 * 8;
        if (top + y < picture.rows[0] && left + x < picture.columns[0])
            ((u8*)picture.thumbnail)[(top + y) / 8 * ((picture.columns[0] + 7) / 8) + (left + x) / 8] =
                bytes[(y * TILE_PX + x) * 3 + 1];
    }
    if (picture.most_halving <= first) __syncthreads();  // else a halving's is the last before the next square is loaded
    for (int step = 1; step <= 5 && first + step <= picture.most_halving; step++) {
        int k = first + step, bits = 5 - step;  // 2 ^ bits pixels a side, each of one thread
        int x = threadIdx.x & ((1 << bits) - 1), y = threadIdx.x >> bits;
        top /= 2, left /= 2;
        bool inside = y < 1 << bits && top + y < picture.rows[k] && left + x < picture.columns[k];
        if (inside) {
            u8* target = (u8*)picture.pixels[k] + ((size_t)(top + y) * picture.columns[k] + left + x) * 3;
            const u8* from = step == 1 ? bytes : &square[step % 2][0][0][0];
            int from_stride = (step == 1 ? TILE_PX : TILE_PX / 2) * 3;
            const u8* four = from + 2 * y * from_stride + 6 * x;
            for (int colour = 0; colour < 3; colour++) {
                u8 mean = (four[colour] + four[colour + 3] + four[colour + from_stride] + four[colour + from_stride + 3] + 2) >> 2;
                square[(step + 1) % 2][y][x][colour] = mean;
                target[colour] = mean;
            }
        }
        __syncthreads();
    }
}

// The first five halvings and the thumbnail of every picture, and the batch's counters begin at 0. One block a square of
// 32 x 32 pixels.
extern "C" __global__ void halve(Work work) {
    const Batch& batch = *work.batch;
    if (blockIdx.x == 0) {
        for (int i = threadIdx.x; i < batch.levels; i += blockDim.x) work.level_counts[i] = 0;
        for (int i = threadIdx.x; i < batch.pictures; i += blockDim.x) work.survivor_counts[i] = 0;
    }
    const Picture* pictures = work.pictures;
    for (int tile = blockIdx.x; tile < batch.picture_tiles; tile += gridDim.x) {
        const Picture& picture = pictures[owner_of(tile, batch.pictures, [=](int i) { return pictures[i].first_tile; })];
        int inside = tile - picture.first_tile;
        halve_square(picture, 0, inside / picture.tile_columns * TILE_PX, inside % picture.tile_columns * TILE_PX);
    }
}

// The other halvings, of pictures large enough to have more than five. Grid: (pictures, any).
extern "C" __global__ void halve_on(Work work) {
    if (blockIdx.x >= work.batch->pictures) return;
    const Picture& picture = work.pictures[blockIdx.x];
    int columns = (picture.columns[5] + TILE_PX - 1) / TILE_PX, rows = (picture.rows[5] + TILE_PX - 1) / TILE_PX;
    if (picture.most_halving <= 5) return;
    for (int tile = blockIdx.y; tile < rows * columns; tile += gridDim.y)
        halve_square(picture, 5, tile / columns * TILE_PX, tile % columns * TILE_PX);
}

// Where one row or column of a level lies in its halving, as cv2.resize computes INTER_LINEAR: between `at` and the
// next, with weights of 1/2048.
struct Between {
    int at, next, near, far;
};

__device__ Between between(int index, double step, int length) {
    float place = (float)__dsub_rn(__dmul_rn(__dadd_rn((double)index, 0.5), step), 0.5);
    int at = (int)floorf(place);
    float part = __fsub_rn(place, (float)at);
    if (at < 0) at = 0, part = 0.0f;
    if (at >= length - 1) at = length - 1, part = 0.0f;
    Between made;
    made.at = at;
    made.next = at + 1 < length ? at + 1 : at;
    made.near = (int)rintf(__fmul_rn(__fsub_rn(1.0f, part), 2048.0f));
    made.far = (int)rintf(__fmul_rn(part, 2048.0f));
    return made;
}

// One value of a level; `upper` and `lower` are rows of its halving.
__device__ int level_value(const u8* upper, const u8* lower, Between x, Between y, int colour) {
    int above = upper[x.at * 3 + colour] * x.near + upper[x.next * 3 + colour] * x.far;
    int below = lower[x.at * 3 + colour] * x.near + lower[x.next * 3 + colour] * x.far;
    return (((y.near * (above >> 4)) >> 16) + ((y.far * (below >> 4)) >> 16) + 2) >> 2;
}

__device__ float pixel(const u8* pixels, int rows, int columns, int y, int x, int colour) {
    return y < 0 || x < 0 || y >= rows || x >= columns ? 0.0f : (float)pixels[((size_t)y * columns + x) * 3 + colour];
}

// One value between pixels, black outside, rounded, as cv2.remap computes INTER_LINEAR.
__device__ float sample(const u8* pixels, int rows, int columns, float x, float y, int colour) {
    float left = floorf(x), top = floorf(y);
    float right_part = __fsub_rn(x, left), lower_part = __fsub_rn(y, top);
    int column = (int)left, row = (int)top;
    float a = pixel(pixels, rows, columns, row, column, colour), b = pixel(pixels, rows, columns, row, column + 1, colour);
    float c = pixel(pixels, rows, columns, row + 1, column, colour), d = pixel(pixels, rows, columns, row + 1, column + 1, colour);
    float above = fmaf(right_part, b - a, a), below = fmaf(right_part, d - c, c);
    return rintf(fmaf(lower_part, below - above, above));
}

// The first row of picture p's boxes in a network's batch; of p = pictures: how many there are in all.
__device__ int first_row(const int* counts, int p) {
    int first = 0;
    for (int i = 0; i < p; i++) first += counts[i];
    return first;
}

// Rows first_row.. of what goes through R-Net (side 24) or O-Net (48), as (rows, 3, side, side). One block a row.
extern "C" __global__ void crops(Work work, int side, int from) {
    const Batch& batch = *work.batch;
    const int* counts = side == 24 ? work.rnet_counts : work.onet_counts;
    const float4* boxes = side == 24 ? work.rnet_boxes : work.onet_boxes;
    __shared__ int owner, place;
    if (threadIdx.x == 0) {
        int left = from + blockIdx.x;
        owner = -1;
        for (int p = 0; p < batch.pictures && owner < 0; p++) {
            if (left < counts[p]) owner = p, place = left;
            left -= counts[p];
        }
    }
    __syncthreads();
    if (owner < 0) return;
    const Picture& picture = work.pictures[owner];
    float4 b = boxes[owner * BUDGET + place];
    float width = __fsub_rn(b.z, b.x), height = __fsub_rn(b.w, b.y);
    float longer = fmaxf(fmaxf(width, height), 1.0f);
    int k = 0;
    while (k < picture.most_halving && longer >= (float)side * (float)(2 << k)) k++;
    float shrink = 1.0f / (float)(1 << k);
    const u8* pixels = (const u8*)picture.pixels[k];
    int rows = picture.rows[k], columns = picture.columns[k];
    float left = b.x * shrink, top = b.y * shrink;
    width = __fsub_rn(b.z * shrink, left), height = __fsub_rn(b.w * shrink, top);
    float* crop = work.crops + (size_t)blockIdx.x * 3 * side * side;
    for (int i = threadIdx.x; i < side * side; i += blockDim.x) {
        float x = __fdiv_rn((float)(i % side) + 0.5f, (float)side), y = __fdiv_rn((float)(i / side) + 0.5f, (float)side);
        x = __fsub_rn(__fadd_rn(left, __fmul_rn(width, x)), 0.5f);
        y = __fsub_rn(__fadd_rn(top, __fmul_rn(height, y)), 0.5f);
        for (int colour = 0; colour < 3; colour++)
            crop[colour * side * side + i] = sample(pixels, rows, columns, x, y, colour);
    }
}
