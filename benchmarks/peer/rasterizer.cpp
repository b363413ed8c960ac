// A peer for the CPU rasteriser: the same images and gradients from the same steps (project, sort, bin, composite in
// tiles, and back), written in C++ as one would for speed: float32 throughout, the compiler's vectors, one thread, one
// camera a scene, three channels. Memory is kept from call to call. See bench_rasterizer_shares.py.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <vector>

typedef float V __attribute__((vector_size(32), aligned(4)));
typedef int32_t I __attribute__((vector_size(32), aligned(4)));

constexpr int LANES = 8, ROWS = 16;
constexpr float MIN_ALPHA = 1.f / 255, MAX_ALPHA = 0.999f, MIN_LEFT = 1e-4f, EPS2D = 0.3f, MARGIN = 1e-3f;
constexpr float HALF_LOG2E = 0.72134752f, TWICE_LN2 = 1.38629436f;
static const float MIN_LEVEL = std::log2(MIN_ALPHA);

struct Ellipse { float u, v, fall_x, slope, fall_y, level, c[3], depth; };
struct Column { int first, count, span, slot; };
struct Pair { int32_t g, slot, first, last; };
struct Moments { float m[6], c[3], unused; };
struct Camera { float W[9], t[3], fx, fy, cx, cy, low_x, low_y, high_x, high_y; };
struct Tile { V left[ROWS], final[ROWS], ended[ROWS], c[3][ROWS]; };
enum Phase { PROJECT, BIN, COMPOSITE, COMPOSITE_VJP, PROJECT_VJP, PHASES };

static double now() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}
static inline V splat(float x) { return V{x, x, x, x, x, x, x, x}; }
static inline V choose(I mask, V a, V b) { return mask ? a : b; }
static inline bool any(I mask) {
    int32_t bits = 0;
    for (int k = 0; k < LANES; k++) bits |= mask[k];
    return bits != 0;
}
static inline float sum(V x) { return ((x[0] + x[4]) + (x[1] + x[5])) + ((x[2] + x[6]) + (x[3] + x[7])); }
static inline V exp2_(V x) {
    const V shift = splat(12582912.f);
    V shifted = x + shift;
#pragma GCC diagnostic ignored "-Wuninitialized"
    asm("" : "+x"(shifted));  // or -ffast-math makes nothing of the sum and the difference
    V f = x - (shifted - shift);
    V p = splat(0.00132647272f);
    p = p * f + 0.00967151269f, p = p * f + 0.0555073374f, p = p * f + 0.240222421f;
    p = p * f + 0.693146978f, p = p * f + 1.f;
    return (V)((I)p + ((I)shifted << 23));
}

struct Rasterizer {
    int images, count, width, height, tiles_x, tiles_y;
    std::vector<Camera> cameras;
    std::vector<Ellipse> ellipses;
    std::vector<Column> columns;
    std::vector<uint16_t> spans;
    std::vector<Pair> pairs;
    std::vector<int> tile_starts;
    std::vector<Tile> tiles;
    std::vector<Moments> slots;
    std::vector<uint64_t> keys, room;
    double seconds[PHASES];

    void project(const float *means, const float *quats, const float *scales, const float *opacities, const float *colors);
    void bin();
    void composite(const float *background, float *image, float *alpha);
    void composite_vjp(const float *background, const float *v_image, const float *v_alpha, float *v_background);
    void project_vjp(const float *means, const float *quats, const float *scales, const float *opacities,
                     float *v_means, float *v_quats, float *v_scales, float *v_opacities, float *v_colors);
};

struct Affine { float R[9], p[3], M[9], rx, ry, x, y, P[3], Q[3], H[3], G[3], xx, xy, yy, inv_length, q[4]; };

static inline Affine affine(const Camera &k, const float *m, const float *quat, const float *s) {
    Affine a;
    float length2 = quat[0] * quat[0] + quat[1] * quat[1] + quat[2] * quat[2] + quat[3] * quat[3];
    a.inv_length = 1 / std::sqrt(length2);
    for (int j = 0; j < 4; j++) a.q[j] = quat[j] * a.inv_length;
    float w = a.q[0], x = a.q[1], y = a.q[2], z = a.q[3];
    float R[9] = {1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
                  2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
                  2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)};
    memcpy(a.R, R, sizeof R);
    for (int j = 0; j < 9; j++) a.M[j] = R[j] * s[j % 3];
    for (int j = 0; j < 3; j++)
        a.p[j] = k.W[3 * j] * m[0] + k.W[3 * j + 1] * m[1] + k.W[3 * j + 2] * m[2] + k.t[j];
    float iz = 1 / a.p[2];
    a.x = a.p[0] * iz, a.y = a.p[1] * iz;
    a.rx = std::min(std::max(a.x, k.low_x), k.high_x), a.ry = std::min(std::max(a.y, k.low_y), k.high_y);
    for (int j = 0; j < 3; j++) {
        a.P[j] = k.fx * iz * (k.W[j] - a.rx * k.W[6 + j]);
        a.Q[j] = k.fy * iz * (k.W[3 + j] - a.ry * k.W[6 + j]);
    }
    for (int j = 0; j < 3; j++) {
        a.H[j] = a.P[0] * a.M[j] + a.P[1] * a.M[3 + j] + a.P[2] * a.M[6 + j];
        a.G[j] = a.Q[0] * a.M[j] + a.Q[1] * a.M[3 + j] + a.Q[2] * a.M[6 + j];
    }
    a.xx = a.H[0] * a.H[0] + a.H[1] * a.H[1] + a.H[2] * a.H[2] + EPS2D;
    a.xy = a.H[0] * a.G[0] + a.H[1] * a.G[1] + a.H[2] * a.G[2];
    a.yy = a.G[0] * a.G[0] + a.G[1] * a.G[1] + a.G[2] * a.G[2] + EPS2D;
    return a;
}

void Rasterizer::project(const float *means, const float *quats, const float *scales, const float *opacities,
                         const float *colors) {
    ellipses.resize(size_t(images) * count), columns.resize(size_t(images) * count), spans.clear();
    int slot = 0;
    for (int g = 0; g < images * count; g++) {
        const Camera &k = cameras[g / count];
        Column &column = columns[g];
        column = {0, 0, int(spans.size() / 2), slot};
        Affine a = affine(k, means + 3 * g, quats + 4 * g, scales + 3 * g);
        float det = a.xx * a.yy - a.xy * a.xy;
        if (a.p[2] < 0.01f || opacities[g] < MIN_ALPHA || !(det > 0)) continue;
        float level = std::log2(opacities[g]), extent = TWICE_LN2 * std::max(level - MIN_LEVEL, 0.f);
        float u = k.fx * a.x + k.cx, v = k.fy * a.y + k.cy;
        float reach_x = std::sqrt(extent * a.xx), reach_y = std::sqrt(extent * a.yy);
        float left = u - reach_x - MARGIN - .5f, right = u + reach_x + MARGIN - .5f;
        if (right < 0 || left > width - 1 || v + reach_y < .5f || v - reach_y > height - .5f) continue;
        Ellipse &e = ellipses[g];
        e = {u, v, HALF_LOG2E * a.yy / det, a.xy / a.yy, HALF_LOG2E / a.yy, level,
             {colors[3 * g], colors[3 * g + 1], colors[3 * g + 2]}, a.p[2]};
        int first = int(std::ceil(std::max(left, 0.f))) / LANES;
        column.first = first;
        column.count = int(std::min(right, width - 1.f)) / LANES - first + 1;
        float ratio = a.xy / a.xx, inv_xx = 1 / a.xx, conditional = det * inv_xx, peak = e.slope * reach_y;
        for (int j = 0; j < column.count; j++) {
            float x0 = (first + j) * LANES, l = x0 + .5f - u, r = std::min(x0 + LANES, float(width)) - .5f - u;
            float at_top = std::min(std::max(-peak, l), r), at_bottom = std::min(std::max(peak, l), r);
            float top = ratio * at_top - std::sqrt(std::max(extent - at_top * at_top * inv_xx, 0.f) * conditional);
            float end = ratio * at_bottom
                        + std::sqrt(std::max(extent - at_bottom * at_bottom * inv_xx, 0.f) * conditional);
            int y0 = int(std::ceil(std::min(std::max(v + top - MARGIN - .5f, 0.f), float(height))));
            int y1 = int(std::floor(std::max(std::min(v + end + MARGIN - .5f, height - 1.f), -1.f)));
            if (y0 > y1) y0 = 1, y1 = 0;
            else slot += y1 / ROWS - y0 / ROWS + 1;
            spans.push_back(y0), spans.push_back(y1);
        }
    }
    pairs.resize(slot);
}

void Rasterizer::bin() {
    int tiles = tiles_x * tiles_y, total = 0;
    tile_starts.resize(images * tiles + 1);
    std::vector<int> cursors(tiles);
    keys.resize(count), room.resize(count);
    for (int i = 0; i < images; i++) {
        const Column *column = &columns[size_t(i) * count];
        std::fill(cursors.begin(), cursors.end(), 0);
        size_t found = 0;
        uint32_t low = ~0u, high = 0;
        for (int n = 0; n < count; n++) {
            for (int j = 0; j < column[n].count; j++) {
                int y0 = spans[2 * (column[n].span + j)], y1 = spans[2 * (column[n].span + j) + 1];
                for (int row = y0 / ROWS; y0 <= y1 && row <= y1 / ROWS; row++)
                    cursors[row * tiles_x + column[n].first + j]++;
            }
            if (column[n].count > 0) {
                uint32_t bits;
                memcpy(&bits, &ellipses[size_t(i) * count + n].depth, 4);
                low = std::min(low, bits), high = std::max(high, bits);
                keys[found++] = uint64_t(bits) << 32 | uint32_t(n);
            }
        }
        for (int tile = 0; tile < tiles; tile++) {
            tile_starts[i * tiles + tile] = total, total += cursors[tile];
            cursors[tile] = tile_starts[i * tiles + tile];
        }
        for (int shift = 32; found && shift < 64 && (high - low) >> (shift - 32); shift += 11) {
            uint32_t starts[2048] = {};
            for (size_t k = 0; k < found; k++) starts[((keys[k] - (uint64_t(low) << 32)) >> shift) & 2047]++;
            uint32_t before = 0;
            for (auto &start : starts) { uint32_t n = start; start = before, before += n; }
            for (size_t k = 0; k < found; k++)
                room[starts[((keys[k] - (uint64_t(low) << 32)) >> shift) & 2047]++] = keys[k];
            std::swap(keys, room);
        }
        for (size_t k = 0; k < found; k++) {
            __builtin_prefetch(&column[uint32_t(keys[std::min(k + 8, found - 1)])]);
            __builtin_prefetch(&spans[2 * column[uint32_t(keys[std::min(k + 4, found - 1)])].span]);
            int n = uint32_t(keys[k]), slot = column[n].slot;
            for (int j = 0; j < column[n].count; j++) {
                int y0 = spans[2 * (column[n].span + j)], y1 = spans[2 * (column[n].span + j) + 1];
                for (int row = y0 / ROWS; y0 <= y1 && row <= y1 / ROWS; row++)
                    pairs[cursors[row * tiles_x + column[n].first + j]++] = {
                        i * count + n, slot++, std::max(y0 - row * ROWS, 0), std::min(y1 - row * ROWS, ROWS - 1)};
            }
        }
    }
    tile_starts[images * tiles] = total;
}

static const V CENTRES = {.5f, 1.5f, 2.5f, 3.5f, 4.5f, 5.5f, 6.5f, 7.5f};

void Rasterizer::composite(const float *background, float *image, float *alpha) {
    int per_image = tiles_x * tiles_y;
    tiles.resize(size_t(images) * per_image);
    for (int task = 0; task < images * per_image; task++) {
        int i = task / per_image, x0 = task % per_image % tiles_x * LANES, y0 = task % per_image / tiles_x * ROWS;
        Tile &tile = tiles[task];
        memset(&tile, 0, sizeof tile);
        for (int row = 0; row < std::min(ROWS, height - y0); row++)
            for (int x = 0; x < std::min(LANES, width - x0); x++) tile.left[row][x] = 1;
        int begin = tile_starts[task], end = tile_starts[task + 1];
        for (int n = begin; n < end; n++) {
            if ((n - begin) % 16 == 0) {
                I open = tile.left[0] > 0;
                for (int row = 1; row < ROWS; row++) open |= tile.left[row] > 0;
                if (!any(open)) break;
            }
            __builtin_prefetch(&ellipses[pairs[std::min(n + 4, end - 1)].g]);
            const Pair pair = pairs[n];
            const Ellipse &e = ellipses[pair.g];
            V u = splat(e.u - x0), slope = splat(e.slope), fall_x = splat(-e.fall_x), fall_y = splat(-e.fall_y);
            V level = splat(e.level), c0 = splat(e.c[0]), c1 = splat(e.c[1]), c2 = splat(e.c[2]);
            V dy = splat(y0 + pair.first + .5f - e.v);
            for (int row = pair.first; row <= pair.last; row++, dy += 1.f) {
                V dx = CENTRES - (slope * dy + u), T = tile.left[row];
                V exponent = dx * fall_x * dx + (dy * fall_y * dy + level);
                V opacity = exp2_(exponent);
                opacity = choose(opacity < MAX_ALPHA, opacity, splat(MAX_ALPHA));
                opacity = choose(exponent >= MIN_LEVEL, opacity, splat(0));
                V after = T * (1 - opacity);
                I ends = (after <= MIN_LEFT) & (T > 0);
                if (any(ends)) {
                    opacity = choose(ends, splat(0), opacity), after = choose(ends, splat(0), after);
                    tile.final[row] = choose(ends, T, tile.final[row]);
                    tile.ended[row] = choose(ends, splat(n - begin + 1), tile.ended[row]);
                }
                V weight = opacity * T;
                tile.left[row] = after;
                tile.c[0][row] += weight * c0, tile.c[1][row] += weight * c1, tile.c[2][row] += weight * c2;
            }
        }
        for (int row = 0; row < ROWS; row++) {
            I open = tile.left[row] > 0;
            tile.final[row] = choose(open, tile.left[row], tile.final[row]);
            tile.ended[row] = choose(open, splat(end - begin + 1), tile.ended[row]);
        }
        for (int row = 0; row < std::min(ROWS, height - y0); row++)
            for (int x = 0; x < std::min(LANES, width - x0); x++) {
                size_t pixel = (size_t(i) * height + y0 + row) * width + x0 + x;
                float left = tile.final[row][x];
                alpha[pixel] = 1 - left;
                for (int k = 0; k < 3; k++) image[3 * pixel + k] = tile.c[k][row][x] + left * background[3 * i + k];
            }
    }
}

void Rasterizer::composite_vjp(const float *background, const float *v_image, const float *v_alpha,
                               float *v_background) {
    int per_image = tiles_x * tiles_y;
    slots.resize(pairs.size());
    std::fill(v_background, v_background + 3 * images, 0.f);
    for (int task = 0; task < images * per_image; task++) {
        int i = task / per_image, x0 = task % per_image % tiles_x * LANES, y0 = task % per_image / tiles_x * ROWS;
        const Tile &tile = tiles[task];
        struct { V T, B, v[3], ended; } state[ROWS];
        memset(state, 0, sizeof state);
        V sums[3] = {}, most = splat(1);
        for (int row = 0; row < ROWS; row++) {
            auto &s = state[row];
            s.T = tile.final[row], s.ended = tile.ended[row], most = choose(s.ended > most, s.ended, most);
            if (y0 + row < height)
                for (int x = 0; x < std::min(LANES, width - x0); x++) {
                    size_t pixel = (size_t(i) * height + y0 + row) * width + x0 + x;
                    float seen = -v_alpha[pixel];
                    for (int k = 0; k < 3; k++) {
                        s.v[k][x] = v_image[3 * pixel + k];
                        seen += s.v[k][x] * background[3 * i + k];
                    }
                    s.B[x] = seen * s.T[x];
                }
            for (int k = 0; k < 3; k++) sums[k] += s.v[k] * s.T;
        }
        for (int k = 0; k < 3; k++) v_background[3 * i + k] += sum(sums[k]);
        int begin = tile_starts[task], drawn = 0;
        for (int x = 0; x < LANES; x++) drawn = std::max(drawn, int(most[x]) - 1);
        for (int n = begin + drawn; n < tile_starts[task + 1]; n++) slots[pairs[n].slot] = {};
        for (int n = begin + drawn - 1; n >= begin; n--) {
            const Pair ahead = pairs[std::max(n - 4, 0)];
            __builtin_prefetch(&ellipses[ahead.g]), __builtin_prefetch(&slots[ahead.slot], 1);
            const Pair pair = pairs[n];
            const Ellipse &e = ellipses[pair.g];
            V u = splat(e.u - x0), slope = splat(e.slope), fall_x = splat(-e.fall_x), fall_y = splat(-e.fall_y);
            V level = splat(e.level), c0 = splat(e.c[0]), c1 = splat(e.c[1]), c2 = splat(e.c[2]);
            V dy = splat(y0 + pair.first + .5f - e.v), number = splat(n - begin + 1);
            V h0{}, hx{}, hy{}, hxx{}, hxy{}, hyy{}, s0{}, s1{}, s2{};
            for (int row = pair.first; row <= pair.last; row++, dy += 1.f) {
                auto &s = state[row];
                V dx = CENTRES - (slope * dy + u);
                V exponent = dx * fall_x * dx + (dy * fall_y * dy + level);
                V free = choose((exponent >= MIN_LEVEL) & (number < s.ended), exp2_(exponent), splat(0));
                V opacity = choose(free < MAX_ALPHA, free, splat(MAX_ALPHA));
                V rest = 1 / (1 - opacity), T = s.T * rest, weight = opacity * T;
                V dot = s.v[0] * c0 + s.v[1] * c1 + s.v[2] * c2;
                V h = opacity * (T * dot - s.B * rest);
                h = choose(free <= MAX_ALPHA, h, splat(0));
                s.T = T, s.B += weight * dot;
                V h_dx = h * dx, h_dy = h * dy;
                h0 += h, hx += h_dx, hy += h_dy, hxx += h_dx * dx, hxy += h_dx * dy, hyy += h_dy * dy;
                s0 += weight * s.v[0], s1 += weight * s.v[1], s2 += weight * s.v[2];
            }
            slots[pair.slot] = {{sum(h0), sum(hx), sum(hy), sum(hxx), sum(hxy), sum(hyy)},
                                {sum(s0), sum(s1), sum(s2)}, 0};
        }
    }
}

void Rasterizer::project_vjp(const float *means, const float *quats, const float *scales, const float *opacities,
                             float *v_means, float *v_quats, float *v_scales, float *v_opacities, float *v_colors) {
    for (int g = 0; g < images * count; g++) {
        float *vm = v_means + 3 * g, *vq = v_quats + 4 * g, *vs = v_scales + 3 * g, *vc = v_colors + 3 * g;
        int begin = columns[g].slot, end = g + 1 < images * count ? columns[g + 1].slot : int(slots.size());
        Moments s = {};
        for (int slot = begin; slot < end; slot++) {
            for (int k = 0; k < 6; k++) s.m[k] += slots[slot].m[k];
            for (int k = 0; k < 3; k++) s.c[k] += slots[slot].c[k];
        }
        for (int k = 0; k < 3; k++) vm[k] = vs[k] = 0, vc[k] = s.c[k];
        for (int k = 0; k < 4; k++) vq[k] = 0;
        v_opacities[g] = 0;
        if (begin == end) continue;
        const Camera &k = cameras[g / count];
        Affine a = affine(k, means + 3 * g, quats + 4 * g, scales + 3 * g);
        v_opacities[g] = s.m[0] / opacities[g];
        float det = a.xx * a.yy - a.xy * a.xy, i_yy = 1 / a.yy, fall = a.yy / det, slope = a.xy * i_yy;
        float v_u = fall * s.m[1], v_v = i_yy * s.m[2] - slope * v_u;
        float v_fall = -.5f * s.m[3], v_slope = fall * s.m[4], v_iyy = -.5f * s.m[5];
        float v_xx = -fall * fall * v_fall, v_xy = -2 * slope * v_xx + i_yy * v_slope;
        float v_yy = slope * slope * v_xx - i_yy * (slope * v_slope + i_yy * v_iyy);
        float v_H[3], v_G[3], v_M[9], v_P[3], v_Q[3], iz = 1 / a.p[2], fx = k.fx * iz, fy = k.fy * iz;
        for (int j = 0; j < 3; j++)
            v_H[j] = 2 * v_xx * a.H[j] + v_xy * a.G[j], v_G[j] = v_xy * a.H[j] + 2 * v_yy * a.G[j];
        for (int j = 0; j < 9; j++) v_M[j] = a.P[j / 3] * v_H[j % 3] + a.Q[j / 3] * v_G[j % 3];
        for (int j = 0; j < 3; j++) {
            v_P[j] = a.M[3 * j] * v_H[0] + a.M[3 * j + 1] * v_H[1] + a.M[3 * j + 2] * v_H[2];
            v_Q[j] = a.M[3 * j] * v_G[0] + a.M[3 * j + 1] * v_G[1] + a.M[3 * j + 2] * v_G[2];
        }
        float v_x = k.fx * v_u, v_y = k.fy * v_v;
        const float *W2 = k.W + 6;
        if (a.rx == a.x) v_x -= fx * (W2[0] * v_P[0] + W2[1] * v_P[1] + W2[2] * v_P[2]);
        if (a.ry == a.y) v_y -= fy * (W2[0] * v_Q[0] + W2[1] * v_Q[1] + W2[2] * v_Q[2]);
        float v_z = a.x * v_x + a.y * v_y;
        for (int j = 0; j < 3; j++) v_z += a.P[j] * v_P[j] + a.Q[j] * v_Q[j];
        float v_p[3] = {v_x * iz, v_y * iz, -v_z * iz};
        for (int j = 0; j < 3; j++) {
            vm[j] = v_p[0] * k.W[j] + v_p[1] * k.W[3 + j] + v_p[2] * k.W[6 + j];
            vs[j] = a.R[j] * v_M[j] + a.R[3 + j] * v_M[3 + j] + a.R[6 + j] * v_M[6 + j];
        }
        float v[9], w = a.q[0], x = a.q[1], y = a.q[2], z = a.q[3];
        for (int j = 0; j < 9; j++) v[j] = v_M[j] * scales[3 * g + j % 3];
        float vr[4] = {2 * (x * (v[7] - v[5]) + y * (v[2] - v[6]) + z * (v[3] - v[1])),
                       2 * (w * (v[7] - v[5]) + y * (v[1] + v[3]) + z * (v[2] + v[6]) - 2 * x * (v[4] + v[8])),
                       2 * (w * (v[2] - v[6]) + x * (v[1] + v[3]) + z * (v[5] + v[7]) - 2 * y * (v[0] + v[8])),
                       2 * (w * (v[3] - v[1]) + x * (v[2] + v[6]) + y * (v[5] + v[7]) - 2 * z * (v[0] + v[4]))};
        float radial = w * vr[0] + x * vr[1] + y * vr[2] + z * vr[3];
        for (int j = 0; j < 4; j++) vq[j] = (vr[j] - a.q[j] * radial) * a.inv_length;
    }
}

extern "C" {
// Cameras: rows of 20 numbers, as camera_table of the kernels makes them.
Rasterizer *start(int images, int count, int width, int height, const float *table) {
    auto *r = new Rasterizer{};
    r->images = images, r->count = count, r->width = width, r->height = height;
    r->tiles_x = (width + LANES - 1) / LANES, r->tiles_y = (height + ROWS - 1) / ROWS;
    r->cameras.resize(images);
    memcpy(r->cameras.data(), table, images * sizeof(Camera));
    return r;
}
void finish(Rasterizer *r) { delete r; }
void forward(Rasterizer *r, const float *means, const float *quats, const float *scales, const float *opacities,
             const float *colors, const float *background, float *image, float *alpha) {
    double t0 = now();
    r->project(means, quats, scales, opacities, colors);
    double t1 = now();
    r->bin();
    double t2 = now();
    r->composite(background, image, alpha);
    r->seconds[PROJECT] = t1 - t0, r->seconds[BIN] = t2 - t1, r->seconds[COMPOSITE] = now() - t2;
}
void backward(Rasterizer *r, const float *means, const float *quats, const float *scales, const float *opacities,
              const float *background, const float *v_image, const float *v_alpha, float *v_means, float *v_quats,
              float *v_scales, float *v_opacities, float *v_colors, float *v_background) {
    double t0 = now();
    r->composite_vjp(background, v_image, v_alpha, v_background);
    double t1 = now();
    r->project_vjp(means, quats, scales, opacities, v_means, v_quats, v_scales, v_opacities, v_colors);
    r->seconds[COMPOSITE_VJP] = t1 - t0, r->seconds[PROJECT_VJP] = now() - t1;
}
const double *seconds(const Rasterizer *r) { return r->seconds; }
}
