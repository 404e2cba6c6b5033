// The candidates from P-Net's cells to faces: sorted, suppressed, moved, and given to the next network.
// vision/detection/mtcnn.py and vision/detection/proposals.py define each step.

#define WITHIN_REACH 256  // keys that a block compares at once

// How many keys are better than `mine`, and how many there are at all: `key(j)` of j = 0.. count - 1; 0 is none.
template <typename Key>
__device__ int rank_of(u64 mine, int count, Key key, int* passed) {
    __shared__ u64 some[WITHIN_REACH];
    int better = 0;
    *passed = 0;
    for (int first = 0; first < count; first += WITHIN_REACH) {
        __syncthreads();
        for (int i = threadIdx.x; i < WITHIN_REACH; i += blockDim.x) some[i] = first + i < count ? key(first + i) : 0;
        __syncthreads();
        for (int i = 0; i < WITHIN_REACH && first + i < count; i++) {
            better += some[i] > mine;
            *passed += some[i] != 0;
        }
    }
    __syncthreads();
    return better;
}

// What `mask` left of a list of boxes, each moved by its offsets and made square, goes to the list `boxes` with its
// `counts`. `shorter` is that of `moved`. Grid: (pictures).
template <bool ON_WHOLE_PIXELS>
__device__ void keep_moved(const Work& work, const List& list, float4* boxes, int* counts, float shorter) {
    int p = blockIdx.x, count = list.counts[p];
    int kept = resolve(count, work.masks, work.places);
    if (threadIdx.x == 0) counts[p] = kept;
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        int at = p * BUDGET + i, place = work.places[at];
        if (place < 0) continue;
        float4 b = squared(moved(list.boxes[at], list.offsets[at], shorter));
        boxes[p * BUDGET + place] = ON_WHOLE_PIXELS ? on_whole_pixels(b) : b;
    }
}

// The survivors of all levels, best first. Grid: (pictures, any).
extern "C" __global__ void order_levels(Work work) {
    int p = blockIdx.x;
    if (p >= work.batch->pictures) return;
    int first_cell = work.pictures[p].first_cell, count = work.survivor_counts[p];
    const u64* keys = work.survivors + first_cell;
    if (blockIdx.y == 0 && threadIdx.x == 0) {
        work.levels_list.counts[p] = min(count, BUDGET);
        work.clipped[p] = max(count - BUDGET, 0);
    }
    const Level* levels = work.levels;
    int all = work.batch->levels;
    for (int start = blockIdx.y * blockDim.x; start < count; start += gridDim.y * blockDim.x) {
        int i = start + threadIdx.x, passed;
        u64 mine = i < count ? keys[i] : ~0ull;
        int rank = rank_of(mine, count, [=](int j) { return keys[j]; }, &passed);
        if (i >= count || rank >= BUDGET) continue;
        int cell = index_of(mine);
        const Level& level = levels[owner_of(cell, all, [=](int l) { return levels[l].first_cell; })];
        const Found& found = work.found[level.first_cell + work.cell_entries[cell]];
        int row = found.cell / level.cell_columns, column = found.cell % level.cell_columns, at = p * BUDGET + rank;
        work.levels_list.boxes[at] = box((float)first_px(column, level.scale), (float)first_px(row, level.scale),
                                         (float)end_px(column, level.scale), (float)end_px(row, level.scale));
        work.levels_list.offsets[at] = box(found.offsets[0], found.offsets[1], found.offsets[2], found.offsets[3]);
    }
}

extern "C" __global__ void mask_levels(Work work) {
    if (blockIdx.x < work.batch->pictures) mask(work.levels_list, work.masks, 0.7f, false);
}

// Boxes kept across levels move by P-Net's offsets, which count from the first pixel to the last.
extern "C" __global__ void keep_levels(Work work) {
    if (blockIdx.x < work.batch->pictures)
        keep_moved<false>(work, work.levels_list, work.proposals.boxes, work.proposals.counts, 1.0f);
}

extern "C" __global__ void mask_proposals(Work work) {
    if (blockIdx.x < work.batch->pictures) mask(work.proposals, work.masks, work.batch->proposals_iou, false);
}

// Boxes kept a second time go to R-Net, followed by the squares of where faces were last.
extern "C" __global__ void keep_proposals(Work work) {
    int p = blockIdx.x;
    if (p >= work.batch->pictures) return;
    const Picture& picture = work.pictures[p];
    int count = work.proposals.counts[p];
    int kept = resolve(count, work.masks, work.places);
    int known = min(picture.known, BUDGET);
    int room = min(kept, BUDGET - known);
    float4* to = work.rnet_boxes + p * BUDGET;
    if (threadIdx.x == 0) {
        work.rnet_counts[p] = room + known;
        work.clipped[p] += kept - room;
    }
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        int place = work.places[p * BUDGET + i];
        if (place >= 0 && place < room) to[place] = on_whole_pixels(work.proposals.boxes[p * BUDGET + i]);
    }
    for (int i = threadIdx.x; i < known; i += blockDim.x)
        to[room + i] = on_whole_pixels(squared(work.known[picture.first_known + i]));
}

// The boxes that R-Net or O-Net let pass, highest logit first: `boxes` were its inputs. Grid: (pictures, any).
__device__ void order(const Work& work, const List& list, const float4* boxes, const int* counts, const float* logits,
                      const float4* offsets, float min_logit, bool moves) {
    int p = blockIdx.x, count = counts[p], first = first_row(counts, p);
    logits += first;
    for (int start = blockIdx.y * blockDim.x; start == 0 || start < count; start += gridDim.y * blockDim.x) {
        int i = start + threadIdx.x, passed;
        u64 mine = i < count && logits[i] > min_logit ? key_of(logits[i], i) : ~0ull;
        int rank = rank_of(
            mine, count, [=](int j) { return logits[j] > min_logit ? key_of(logits[j], j) : 0ull; }, &passed);
        if (i == 0) list.counts[p] = passed;
        if (mine == ~0ull) continue;
        float4 by = offsets[first + i], b = boxes[p * BUDGET + i];
        int at = p * BUDGET + rank;
        list.boxes[at] = moves ? moved(b, by, 0.0f) : b;
        list.offsets[at] = by;
        list.logits[at] = logits[i];
        list.rows[at] = i;
    }
}

extern "C" __global__ void order_rnet(Work work) {
    if (blockIdx.x < work.batch->pictures)
        order(work, work.rnet_list, work.rnet_boxes, work.rnet_counts, work.rnet_logits, work.rnet_offsets,
              work.batch->min_logit[1], false);
}

extern "C" __global__ void mask_rnet(Work work) {
    if (blockIdx.x < work.batch->pictures) mask(work.rnet_list, work.masks, 0.7f, false);
}

// Boxes kept after R-Net move by its offsets and go to O-Net.
extern "C" __global__ void keep_rnet(Work work) {
    if (blockIdx.x < work.batch->pictures)
        keep_moved<true>(work, work.rnet_list, work.onet_boxes, work.onet_counts, 0.0f);
}

extern "C" __global__ void order_onet(Work work) {
    if (blockIdx.x < work.batch->pictures)
        order(work, work.onet_list, work.onet_boxes, work.onet_counts, work.onet_logits, work.onet_offsets,
              work.batch->min_logit[2], true);
}

extern "C" __global__ void mask_onet(Work work) {
    if (blockIdx.x < work.batch->pictures) mask(work.onet_list, work.masks, 0.7f, true);
}

// Boxes kept after O-Net are faces.
extern "C" __global__ void keep_onet(Work work) {
    int p = blockIdx.x;
    if (p >= work.batch->pictures) return;
    int count = work.onet_list.counts[p], first = first_row(work.onet_counts, p);
    int kept = resolve(count, work.masks, work.places);
    if (threadIdx.x == 0) {
        work.totals[4 * p] = kept;
        work.totals[4 * p + 1] = work.rnet_counts[p];
        work.totals[4 * p + 2] = work.onet_counts[p];
        work.totals[4 * p + 3] = work.clipped[p];
    }
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        int at = p * BUDGET + i, place = work.places[at];
        if (place < 0) continue;
        float* face = work.faces + (size_t)(first + place) * FACE_FLOATS;
        float4 b = work.onet_list.boxes[at];
        int row = work.onet_list.rows[at];
        float4 asked = work.onet_boxes[p * BUDGET + row];
        const float* points = work.onet_landmarks + (size_t)(first + row) * 10;
        face[0] = b.x, face[1] = b.y, face[2] = b.z, face[3] = b.w;
        face[4] = work.onet_list.logits[at];
        for (int point = 0; point < 5; point++) {
            face[5 + 2 * point] = __fadd_rn(asked.x, __fmul_rn(points[point], __fsub_rn(asked.z, asked.x)));
            face[6 + 2 * point] = __fadd_rn(asked.y, __fmul_rn(points[5 + point], __fsub_rn(asked.w, asked.y)));
        }
    }
}
