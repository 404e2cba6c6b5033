// Faces upright, and as the embedder's input. vision/recognition/align.py defines the chips; the bits are those of cv2 5.0.
//
// The structs are mirrored by gpu/face_crops.py and gpu/embedder.py.

#define RUN 8  // rows of a halved picture that one thread makes, so that it filters each row of the source once

// One cv2.pyrDown: (rows, columns, 3) u8 to ((rows + 1) / 2, (columns + 1) / 2, 3).
struct Halving {
    const u8* from;
    u8* to;
    int rows, columns;
};

// Rows of a picture that is NV12: `to` is (rows, columns, 3) u8 BGR.
struct Strip {
    Nv12 planes;
    u8* to;
    int rows, columns;
};

// One chip: a pixel (x, y) of it lies at `matrix` times (x, y, 1) of `pixels`.
struct Face {
    const u8* pixels;
    int rows, columns;  // 0: no face, a black chip
    int stride;         // px from row to row
    float matrix[6];
};

struct Cut {
    const Face* faces;
    u8* chips;  // (faces, side, side, 3) BGR
};

struct Input {
    const u8* chips;
    float* rows;  // (rows, 3, side, side)
};

// One thread a square of 2 x 2 pixels.
extern "C" __global__ void strip_to_bgr(Strip strip) {
    int y = 2 * blockIdx.y, x = 2 * (blockIdx.x * blockDim.x + threadIdx.x);
    size_t stride = (size_t)strip.columns * 3;
    if (x < strip.columns)
        square_to_bgr(strip.planes, y, x, strip.rows, strip.columns, strip.to + y * stride + (size_t)x * 3, stride, true);
}

// The place in a line of `length` that stands for one up to two before or behind it, as BORDER_REFLECT_101.
__device__ int reflected(int at, int length) {
    if (length == 1) return 0;
    while (at < 0 || at >= length) at = at < 0 ? -at : 2 * length - 2 - at;
    return at;
}

// One thread a column and colour of RUN rows.
extern "C" __global__ void pyr_down(Halving picture) {
    int rows = (picture.rows + 1) / 2, columns = (picture.columns + 1) / 2;
    int value = blockIdx.x * blockDim.x + threadIdx.x, first = blockIdx.y * RUN;
    if (value >= columns * 3) return;
    int at[5];
    for (int tap = 0; tap < 5; tap++) at[tap] = reflected(value / 3 * 2 + tap - 2, picture.columns) * 3 + value % 3;
    int lines[5];  // the last five rows of the source, filtered across
    for (int line = 0; line < 2 * RUN + 3; line++) {
        if (line >= 5 && first + (line - 5) / 2 + 1 >= rows) return;
        const u8* row = picture.from + (size_t)reflected(2 * first + line - 2, picture.rows) * picture.columns * 3;
        for (int k = 0; k < 4; k++) lines[k] = lines[k + 1];
        lines[4] = row[at[0]] + 4 * (row[at[1]] + row[at[3]]) + 6 * row[at[2]] + row[at[4]];
        if (line < 4 || line % 2) continue;
        int sum = lines[0] + 4 * (lines[1] + lines[3]) + 6 * lines[2] + lines[4];
        picture.to[(size_t)(first + line / 2 - 2) * columns * 3 + value] = (sum + 128) >> 8;
    }
}

// Where cv2.warpAffine reads for (x, y). Its loop over 16 pixels and the one for what is left of a row round differently.
__device__ float place_of(const float* line, int x, int y, int side) {
    float down = __fmul_rn(line[1], (float)y);
    return x < side / 16 * 16 ? fmaf(line[0], (float)x, __fadd_rn(down, line[2]))
                                 : __fadd_rn(fmaf(line[0], (float)x, down), line[2]);
}

__device__ float pixel_of(const Face& face, int y, int x, int colour) {
    return y < 0 || x < 0 || y >= face.rows || x >= face.columns
               ? 0.0f : (float)face.pixels[((size_t)y * face.stride + x) * 3 + colour];
}

// blockIdx.x: the face; the blocks of y share its pixels. `side`: px of a chip.
extern "C" __global__ void chips(Cut cut, int side) {
    Face face = cut.faces[blockIdx.x];
    u8* chip = cut.chips + (size_t)blockIdx.x * side * side * 3;
    for (int i = blockIdx.y * blockDim.x + threadIdx.x; i < side * side; i += gridDim.y * blockDim.x) {
        float x = place_of(face.matrix, i % side, i / side, side), y = place_of(face.matrix + 3, i % side, i / side, side);
        float left = floorf(x), top = floorf(y);
        float right_part = __fsub_rn(x, left), lower_part = __fsub_rn(y, top);
        int column = (int)left, row = (int)top;
        for (int colour = 0; colour < 3; colour++) {
            float a = pixel_of(face, row, column, colour), b = pixel_of(face, row, column + 1, colour);
            float c = pixel_of(face, row + 1, column, colour), d = pixel_of(face, row + 1, column + 1, colour);
            float above = fmaf(right_part, b - a, a), below = fmaf(right_part, d - c, c);
            chip[i * 3 + colour] = (u8)rintf(fmaf(lower_part, below - above, above));
        }
    }
}

// Rows of the network's input: each chip `copies` times, the second time mirrored; row 0 is copy `first` of chip 0.
extern "C" __global__ void planes(Input input, int copies, int first, int side) {
    int pixels = side * side;
    int copy = first + blockIdx.x;
    const u8* chip = input.chips + (size_t)(copy / copies) * pixels * 3;
    float* row = input.rows + (size_t)blockIdx.x * pixels * 3;
    for (int i = blockIdx.y * blockDim.x + threadIdx.x; i < pixels; i += gridDim.y * blockDim.x) {
        int x = i % side, from = copy % copies ? i - x + side - 1 - x : i;
        for (int colour = 0; colour < 3; colour++) row[colour * pixels + i] = (float)chip[from * 3 + colour];
    }
}
