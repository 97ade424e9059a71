// What surrounds the network on a GPU: frames to its input, its heads to objects.
//
// The arithmetic is that of `preprocess` and of `ssd::decode` on the processor, operation by operation, so that both give the same
// numbers; NVRTC is told not to fuse products with sums. Written in what C and C++ have in common: the tests compile this same
// file for the processor, with KERNEL, FN and SHARED defined before it, and run it thread by thread.

#ifndef KERNEL
#define KERNEL(name, type) extern "C" __global__ void name(const type p)
#define FN __device__ static
#define SHARED __shared__
#endif

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

// Positions are 16.16 fixed point.
#define FRACTION 16
#define ONE ((i64)1 << FRACTION)

enum { PACKED, LUMA, YUV };

// One frame into one picture of the batch, a thread for each pixel of the picture.
typedef struct {
    // Addresses of the first sample of each component: r, g, b of packed formats, else luma, u, v.
    u64 data[3];
    i64 strides[3];
    // Position of pixel (x, y) of the picture in the frame: x0 + x * dx, y0 + y * dy.
    double x0, dx, y0, dy;
    // Address of the picture; a value is at channel * plane + y * row + x * column.
    u64 output;
    i64 plane, row, column;
    int steps[3];
    // PACKED, LUMA, YUV; logarithm of the luma rows that share a row of chroma.
    int kind, rows;
    int width, height;
    int out_width, out_height;
    // Whether the picture holds bytes, not floats; whether blue comes first.
    int bytes, bgr;
    // y0, ys, rv, gu, gv, bu.
    float conversion[6];
    float scale[3], offset[3];
} Fill;

// What counts as an object in one picture.
typedef struct {
    // Scores are above it; logits are not below `least`, which is a little less than the same.
    float threshold, least;
    // Boxes of a class that overlap by more are one.
    float overlap;
    // So many of the best boxes of a class are looked at.
    int per_class;
} Limits;

typedef struct {
    float score;
    int anchor;
} Candidate;

typedef struct {
    float score;
    float rect[4];
    // Class without the background, and how many of its candidates are better.
    int class_index, rank;
} Found;

// What became of a picture: anchors with values that are no numbers, objects, and whether something did not fit.
typedef struct {
    int dropped, found, overflow, unused;
} Status;

enum { SOFTMAX, SIGMOID, NONE };

#define LOWEST __uint_as_float(0xff800000u)

// The heads of a batch. Arrays hold the pictures one after the other.
typedef struct {
    // Heads of the network.
    u64 boxes, scores;
    // Default boxes: cx, cy, w, h of each anchor; 0 where the heads are corners y0, x0, y1, x1.
    u64 defaults;
    // Limits of each picture; a byte for each class of each picture.
    u64 limits, wanted;
    // Candidates of each class of each picture, at most `capacity`, and how many wanted to be.
    u64 candidates, counts;
    // The same by falling score, and their boxes.
    u64 sorted, rects;
    // At most `most` objects of each picture.
    u64 found, status;
    int anchors, width, classes;
    // Whether all anchors of the first value come first.
    int box_planes, score_planes;
    int background, activation;
    int transposed, bounded;
    int capacity, most;
} Heads;

FN float clamp_level(float value) { return fminf(fmaxf(value, 0.0f), 255.0f); }

FN void to_rgb(const float *c, float y, float u, float v, float *rgb) {
    y = (y - c[0]) * c[1];
    u = u - 128.0f;
    v = v - 128.0f;
    rgb[0] = clamp_level(y + c[2] * v);
    rgb[1] = clamp_level(y + c[3] * u + c[4] * v);
    rgb[2] = clamp_level(y + c[5] * u);
}

FN float sample(const Fill *p, int component, i64 x, i64 y) {
    const u8 *data = (const u8 *)p->data[component];
    return (float)data[y * p->strides[component] + x * p->steps[component]];
}

FN void pixel(const Fill *p, i64 x, i64 y, float *rgb) {
    int c;
    if (p->kind == PACKED) {
        for (c = 0; c < 3; c++) rgb[c] = sample(p, c, x, y);
    } else if (p->kind == LUMA) {
        to_rgb(p->conversion, sample(p, 0, x, y), 128.0f, 128.0f, rgb);
    } else {
        i64 column = x / 2, row = y >> p->rows;
        to_rgb(p->conversion, sample(p, 0, x, y), sample(p, 1, column, row), sample(p, 2, column, row), rgb);
    }
}

FN float between(const Fill *p, int component, i64 x, i64 y, float fx, float fy) {
    float left = sample(p, component, x, y), right = sample(p, component, x + 1, y);
    float below = sample(p, component, x, y + 1), across = sample(p, component, x + 1, y + 1);
    float top = left + (right - left) * fx;
    float bottom = below + (across - below) * fx;
    return top + (bottom - top) * fy;
}

// A position whose four neighbours are all in the frame.
FN void inside(const Fill *p, i64 x, i64 y, float fx, float fy, float *rgb) {
    i64 left = x >> FRACTION, top = y >> FRACTION;
    int c;
    if (p->kind == PACKED) {
        for (c = 0; c < 3; c++) rgb[c] = between(p, c, left, top, fx, fy);
    } else if (p->kind == LUMA) {
        float level = between(p, 0, left, top, fx, fy);
        for (c = 0; c < 3; c++) rgb[c] = clamp_level((level - p->conversion[0]) * p->conversion[1]);
    } else {
        i64 half = ONE / 2;
        i64 column = (x + half) >> (FRACTION + 1), row = (y + half) >> (FRACTION + p->rows);
        to_rgb(p->conversion, between(p, 0, left, top, fx, fy), sample(p, 1, column, row), sample(p, 2, column, row), rgb);
    }
}

// A position at the edge, whose missing neighbours are like the nearest ones.
FN void edge(const Fill *p, i64 x, i64 y, float fx, float fy, float *rgb) {
    int corner, c;
    rgb[0] = rgb[1] = rgb[2] = 0.0f;
    for (corner = 0; corner < 4; corner++) {
        int right = corner & 1, below = corner >> 1;
        float weight = (right ? fx : 1.0f - fx) * (below ? fy : 1.0f - fy);
        i64 px = (x >> FRACTION) + right, py = (y >> FRACTION) + below;
        float colour[3];
        px = px < 0 ? 0 : px >= p->width ? p->width - 1 : px;
        py = py < 0 ? 0 : py >= p->height ? p->height - 1 : py;
        pixel(p, px, py, colour);
        for (c = 0; c < 3; c++) rgb[c] = rgb[c] + weight * colour[c];
    }
}

KERNEL(nunchi_fill, Fill) {
    int index = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    int column = index % p.out_width, row = index / p.out_width;
    i64 x, y, lowest;
    float fx, fy, rgb[3];
    int c;
    if (row >= p.out_height) return;
    x = (i64)round(p.x0 * 65536.0) + (i64)column * (i64)round(p.dx * 65536.0);
    y = (i64)round((p.dy * (double)row + p.y0) * 65536.0);
    // A 65536th of a pixel keeps the lower neighbour inside.
    lowest = ((i64)p.height - 1) * ONE - 1;
    lowest = lowest < 0 ? 0 : lowest;
    y = y < 0 ? 0 : y > lowest ? lowest : y;
    fx = (float)(x & (ONE - 1)) * (1.0f / 65536.0f);
    fy = (float)(y & (ONE - 1)) * (1.0f / 65536.0f);
    if (x >= 0 && x < ((i64)p.width - 1) * ONE && y < ((i64)p.height - 1) * ONE) {
        inside(&p, x, y, fx, fy, rgb);
    } else {
        edge(&p, x, y, fx, fy, rgb);
    }
    for (c = 0; c < 3; c++) {
        float value = rgb[p.bgr ? 2 - c : c] + 0.5f;
        i64 at = c * p.plane + row * p.row + column * p.column;
        if (p.bytes) {
            ((u8 *)p.output)[at] = (u8)value;
        } else {
            ((float *)p.output)[at] = floorf(value) * p.scale[c] + p.offset[c];
        }
    }
}

// e^x as on the processor: Cephes' expf, 2^n times a polynomial.
FN float exponential(float x) {
    const float shift = 12582912.0f;
    float rounded, n, r, y;
    x = fminf(fmaxf(x, -87.0f), 88.0f);
    rounded = x * 1.44269504f + shift;
    n = rounded - shift;
    r = x - n * 0.6933594f - n * -2.1219444e-4f;
    y = 1.9875691e-4f;
    y = y * r + 1.3981999e-3f;
    y = y * r + 8.333452e-3f;
    y = y * r + 4.1665796e-2f;
    y = y * r + 1.6666665e-1f;
    y = y * r + 0.5f;
    y = y * r * r + r + 1.0f;
    return y * __uint_as_float((__float_as_uint(rounded) - __float_as_uint(shift) + 127u) << 23);
}

FN const float *box_of(const Heads *p, int picture, int anchor, i64 *step) {
    const float *boxes = (const float *)p->boxes + (i64)picture * p->anchors * 4;
    *step = p->box_planes ? p->anchors : 1;
    return boxes + (p->box_planes ? anchor : (i64)anchor * 4);
}

// Candidates of all classes, a thread for each anchor.
KERNEL(nunchi_scan, Heads) {
    int anchor = (int)(blockIdx.x * blockDim.x + threadIdx.x), picture = (int)blockIdx.y;
    const Limits *limits = (const Limits *)p.limits + picture;
    const u8 *wanted = (const u8 *)p.wanted + (i64)picture * p.classes;
    Status *status = (Status *)p.status + picture;
    const float *box, *row;
    i64 step, box_step;
    float unsound = 0.0f, most = LOWEST, background = LOWEST, all, sum = 0.0f;
    int c;
    if (anchor >= p.anchors) return;
    box = box_of(&p, picture, anchor, &box_step);
    for (c = 0; c < 4; c++) unsound += box[c * box_step] * 0.0f;
    step = p.score_planes ? p.anchors : 1;
    row = (const float *)p.scores + (i64)picture * p.anchors * p.width + (p.score_planes ? anchor : (i64)anchor * p.width);
    for (c = p.background; c < p.width; c++) {
        float value = row[c * step];
        unsound += value * 0.0f;
        most = most > value ? most : value;
    }
    if (p.background) {
        background = row[0];
        unsound += background * 0.0f;
    }
    if (!(unsound == 0.0f)) {
        atomicAdd(&status->dropped, 1);
        return;
    }
    // Nearly all anchors show nothing: p(class) <= 1 / (1 + e^(background - class)) costs no exponential.
    if (most - (p.activation == SOFTMAX ? background : 0.0f) < limits->least) return;
    all = most > background ? most : background;
    if (p.activation == SOFTMAX) {
        for (c = 0; c < p.width; c++) sum += exponential(row[c * step] - all);
    }
    for (c = 0; c < p.classes; c++) {
        float value = row[(c + p.background) * step], score = value;
        if (!wanted[c]) continue;
        if (p.activation == SOFTMAX) {
            score = exponential(value - all) / sum;
        } else if (p.activation == SIGMOID) {
            score = 1.0f / (1.0f + exponential(-value));
        }
        if (score > limits->threshold) {
            i64 list = (i64)picture * p.classes + c;
            int place = atomicAdd((int *)p.counts + list, 1);
            if (place < p.capacity) {
                Candidate *candidate = (Candidate *)p.candidates + list * p.capacity + place;
                candidate->score = score;
                candidate->anchor = anchor;
            } else {
                status->overflow = 1;
            }
        }
    }
}

FN void place_box(const Heads *p, int picture, int anchor, float *rect) {
    i64 step;
    const float *box = box_of(p, picture, anchor, &step);
    const float *defaults = (const float *)p->defaults;
    float v0 = box[0], v1 = box[step], v2 = box[2 * step], v3 = box[3 * step];
    float dx, dy, dw, dh, cx, cy, w, h;
    int c;
    if (!defaults) {
        rect[0] = v1;
        rect[1] = v0;
        rect[2] = v3;
        rect[3] = v2;
        return;
    }
    defaults += (i64)anchor * 4;
    dx = p->transposed ? v1 : v0;
    dy = p->transposed ? v0 : v1;
    dw = (p->transposed ? v3 : v2) * 0.2f;
    dh = (p->transposed ? v2 : v3) * 0.2f;
    if (p->bounded) {
        dw = fminf(dw, 4.1351666f);
        dh = fminf(dh, 4.1351666f);
    }
    cx = dx * 0.1f * defaults[2] + defaults[0];
    cy = dy * 0.1f * defaults[3] + defaults[1];
    w = exponential(dw) * defaults[2] / 2.0f;
    h = exponential(dh) * defaults[3] / 2.0f;
    rect[0] = cx - w;
    rect[1] = cy - h;
    rect[2] = cx + w;
    rect[3] = cy + h;
    for (c = 0; c < 4 && p->bounded; c++) rect[c] = fminf(fmaxf(rect[c], 0.0f), 1.0f);
}

FN int is_better(const Candidate *a, const Candidate *b) {
    return a->score > b->score || (a->score == b->score && a->anchor > b->anchor);
}

// Of two boxes without area nothing is known: 0 / 0 is not above any threshold.
FN int overlaps(const float *a, const float *b, float threshold) {
    float width = fminf(a[2], b[2]) - fmaxf(a[0], b[0]);
    float height = fminf(a[3], b[3]) - fmaxf(a[1], b[1]);
    float common = fmaxf(width, 0.0f) * fmaxf(height, 0.0f);
    float both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common;
    return common / both > threshold;
}

// No class has more candidates: `capacity` is at most this.
#define MOST_CANDIDATES 2048

// Objects of one class in one picture, a block for each.
KERNEL(nunchi_suppress, Heads) {
    SHARED u8 alive[MOST_CANDIDATES];
    int class_index = (int)blockIdx.x, picture = (int)blockIdx.y;
    i64 list = (i64)picture * p.classes + class_index;
    const Candidate *candidates = (const Candidate *)p.candidates + list * p.capacity;
    Candidate *sorted = (Candidate *)p.sorted + list * p.capacity;
    float *rects = (float *)p.rects + list * p.capacity * 4;
    const Limits *limits = (const Limits *)p.limits + picture;
    Status *status = (Status *)p.status + picture;
    int count = ((const int *)p.counts)[list], looked_at, i, j;
    // More than fit: the processor reads this picture.
    if (count == 0 || count > p.capacity) return;
    looked_at = count < limits->per_class ? count : limits->per_class;
    for (i = (int)threadIdx.x; i < count; i += (int)blockDim.x) {
        int rank = 0;
        for (j = 0; j < count; j++) rank += is_better(&candidates[j], &candidates[i]);
        if (rank < looked_at) {
            sorted[rank] = candidates[i];
            place_box(&p, picture, candidates[i].anchor, rects + (i64)rank * 4);
            alive[rank] = 1;
        }
    }
    __syncthreads();
    for (i = 0; i < looked_at; i++) {
        if (alive[i]) {
            const float *rect = rects + (i64)i * 4;
            if (threadIdx.x == 0) {
                int place = atomicAdd(&status->found, 1);
                if (place < p.most) {
                    Found *found = (Found *)p.found + (i64)picture * p.most + place;
                    found->score = sorted[i].score;
                    found->class_index = class_index;
                    found->rank = i;
                    for (j = 0; j < 4; j++) found->rect[j] = rect[j];
                } else {
                    status->overflow = 1;
                }
            }
            for (j = i + 1 + (int)threadIdx.x; j < looked_at; j += (int)blockDim.x) {
                if (alive[j] && overlaps(rects + (i64)j * 4, rect, limits->overlap)) alive[j] = 0;
            }
        }
        __syncthreads();
    }
}
