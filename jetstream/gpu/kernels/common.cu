// What all kernels share: the structs of a batch, its memory, and arithmetic that rounds as numpy and OpenCV do.
//
// Knows no host. gpu/structs.py mirrors the structs field by field. All files are one translation unit, in the order of
// gpu/cubin_cache.py. They include nothing, so that NVRTC takes them. Every answer is a function of the input alone:
// lists that threads fill in any order are sorted before anything depends on their order.

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define MAX_HALVINGS 11  // the picture itself and ten: a pixel of the last covers 1024 x 1024
#define BUDGET 4096      // most boxes of one picture in one list; the surest are kept, the rest is counted
#define WORDS (BUDGET / 32)
#define FACE_FLOATS 15   // box, logit, landmarks

#ifndef DYNAMIC_SHARED
#define DYNAMIC_SHARED(type, name) extern __shared__ type name[]
#endif

// A picture whose Cb and Cr are those of 2 x 2 pixels. jetstream/picture_format.py defines the conversion.
struct Nv12 {
    u64 luma;    // address of Y; 0: there is no such picture
    u64 chroma;  // address of Cb, Cr
    int luma_pitch, chroma_pitch;  // bytes from row to row
    int to_bgr[3][4];  // of B, G and R: times Y, Cb and Cr, and what is added
};

// One frame of a batch.
struct Picture {
    u64 pixels[MAX_HALVINGS];  // address of halving k: (rows[k], columns[k], 3) u8 BGR
    u64 thumbnail;             // address of (ceil(rows / 8), ceil(columns / 8)) u8
    Nv12 planes;               // halving 0 is made of them, where there are any
    int rows[MAX_HALVINGS];
    int columns[MAX_HALVINGS];
    int most_halving;  // the last that a crop may be cut from
    int tile_columns, first_tile;  // its squares of 32 x 32 px among those of all pictures
    int first_cell;  // of all its levels, among those of all pictures
    int first_known, known;  // boxes where faces were last
};

// One size of one picture, as P-Net sees it.
struct Level {
    double scale;  // level pixels a picture pixel
    double step;   // halving pixels a level pixel, 1 to 2
    int picture, halving;
    int rows, columns;            // px
    int cell_rows, cell_columns;  // of P-Net's answer
    int first_cell;
    int tile_columns, first_tile;  // its squares of JETSTREAM_TILE cells a side among those of all levels
};

struct Batch {
    int pictures, levels, picture_tiles, level_tiles;
    float min_logit[3];  // of P-Net, R-Net, O-Net
    float proposals_iou;
};

// A cell that P-Net says may be a face.
struct Found {
    int cell;  // of its level, row by row
    float logit;
    float offsets[4];
};

// Boxes of each picture, best first; list of picture p: counts[p] of them from p * BUDGET.
struct List {
    float4* boxes;
    float4* offsets;
    float* logits;
    int* rows;    // of the network's answer
    int* counts;  // (pictures)
};

// Addresses of everything, by value: the same for every batch.
struct Work {
    const Batch* batch;
    const Picture* pictures;
    const Level* levels;
    const float4* known;
    const float* pnet;  // weights, in the order of gpu/pnet.py
    int* level_counts;
    int* cell_entries;  // (cells): a cell's place in its level's list of found, or -1
    Found* found;       // (cells): the list of a level begins at its first cell
    u32* rivals;        // (cells): which of the 25 cells around are better and overlap
    u8* states;         // (cells)
    int* survivor_counts;  // (pictures)
    u64* survivors;        // (cells): keys, a picture's from its first cell
    u32* masks;   // (pictures, BUDGET, WORDS): bit j of row i: box j is better and overlaps
    int* places;  // (pictures, BUDGET): the place among the kept, or -1
    int* clipped;  // (pictures): candidates over the budget
    List levels_list, proposals, rnet_list, onet_list;
    float4* rnet_boxes;  // (pictures, BUDGET): what goes through R-Net, on whole pixels
    int* rnet_counts;
    float4* onet_boxes;
    int* onet_counts;
    float* crops;  // a batch of R-Net or O-Net: (rows, 3, side, side)
    float* rnet_logits;  // (rows of all pictures)
    float4* rnet_offsets;
    float* onet_logits;
    float4* onet_offsets;
    float* onet_landmarks;  // (rows, 10)
    int* totals;            // per picture: faces, R-Net rows, O-Net rows, clipped
    float* faces;           // (O-Net rows of all pictures, FACE_FLOATS), a picture's from its first row
};

// Rises with the float, for any sign.
__device__ u32 rising(float value) {
    u32 bits = __float_as_uint(value);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// Orders candidates: the better logit first, then the lower index. Never 0.
__device__ u64 key_of(float logit, int index) {
    return ((u64)rising(logit) << 32) | (u32)~index;
}

__device__ int index_of(u64 key) {
    return (int)~(u32)key;
}

// The last i with firsts(i) <= value, where firsts rises and firsts(0) is 0.
template <typename Firsts>
__device__ int owner_of(int value, int count, Firsts firsts) {
    int low = 0, high = count - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (firsts(middle) <= value) low = middle;
        else high = middle - 1;
    }
    return low;
}

// Pixels (x, y) to (x + 1, y + 1), of an even x and y, as BGR to `to`, whose rows are `stride` bytes apart; black where
// the picture of (rows, columns) ends, unless `only_inside`.
__device__ void square_to_bgr(const Nv12& planes, int y, int x, int rows, int columns, u8* to, size_t stride,
                              bool only_inside) {
    const u8* luma = (const u8*)planes.luma + (size_t)y * planes.luma_pitch + x;
    const u8* chroma = (const u8*)planes.chroma + (size_t)(y / 2) * planes.chroma_pitch + x;
    bool any = y < rows && x < columns;
    int cb = any ? chroma[0] : 0, cr = any ? chroma[1] : 0;
    for (int i = 0; i < 4; i++) {
        int down = i / 2, right = i % 2;
        bool inside = y + down < rows && x + right < columns;
        if (!inside && only_inside) continue;
        int grey = inside ? luma[(size_t)down * planes.luma_pitch + right] : 0;
        for (int colour = 0; colour < 3; colour++) {
            const int* by = planes.to_bgr[colour];
            int value = (by[0] * grey + by[1] * cb + by[2] * cr + by[3]) >> 10;
            to[down * stride + right * 3 + colour] = !inside || value < 0 ? 0 : value > 255 ? 255 : value;
        }
    }
}

__device__ float4 box(float left, float top, float right, float bottom) {
    float4 made;
    made.x = left, made.y = top, made.z = right, made.w = bottom;
    return made;
}

// vision.boxes.square
__device__ float4 squared(float4 b) {
    float width = __fsub_rn(b.z, b.x), height = __fsub_rn(b.w, b.y);
    float longer = fmaxf(width, height);
    float left = __fadd_rn(b.x, __fmul_rn(__fsub_rn(width, longer), 0.5f));
    float top = __fadd_rn(b.y, __fmul_rn(__fsub_rn(height, longer), 0.5f));
    return box(left, top, __fadd_rn(left, longer), __fadd_rn(top, longer));
}

// Each edge moved by its offset times the side's length minus `shorter`.
__device__ float4 moved(float4 b, float4 by, float shorter) {
    float width = __fsub_rn(__fsub_rn(b.z, b.x), shorter), height = __fsub_rn(__fsub_rn(b.w, b.y), shorter);
    return box(__fadd_rn(b.x, __fmul_rn(by.x, width)), __fadd_rn(b.y, __fmul_rn(by.y, height)),
               __fadd_rn(b.z, __fmul_rn(by.z, width)), __fadd_rn(b.w, __fmul_rn(by.w, height)));
}

// vision.detection.mtcnn._on_whole_pixels
__device__ float4 on_whole_pixels(float4 b) {
    return box(__fsub_rn(truncf(__fadd_rn(b.x, 1.0f)), 1.0f), __fsub_rn(truncf(__fadd_rn(b.y, 1.0f)), 1.0f),
               truncf(b.z), truncf(b.w));
}
