// attention_matrix: attention of many tokens with subgroup matrices of float16, which add up in float32.
//   rows, q, sinks, o as in attention   kc, vc as rope appends them, in float16   one workgroup computes one query head (x) of
//   QUERIES tokens (y), which belong to one sequence, at consecutive positions; each subgroup of 32 threads 16 of them
// Queries are the sum of two float16 times a power of two, as split makes activations; keys and values are float16 anyway.
// Exponentials are rounded to float16, and so is their sum, so that weights still add up to one. Threads add up what matrices multiply.
// with shared/step.wgsl: Step
// with shared/window.wgsl: WINDOW, CHUNK, first
// with shared/score.wgsl: SOFTCAP, ALIBI, ALIBI_SCALE, scored
// with shared/matrices.wgsl: Left, Right, Sums, multiplied
// with shared/stored.wgsl: stored
// with shared/upper.wgsl: upper
// with shared/keys.wgsl: GROUPS, KEYS, LANES, QUERIES, BATCH, DEEP, IN, PARTS, OWN, EIGHTS, ALL, MINE, HALF, QUARTER, PITCH, PANEL, SHORT, STRIP, RESULTS, FULL, ws, xs, ps, tops, column, place, keep
enable f16;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity); // panels differ between subgroups, never within one

const HEADS: u32 = 4u;
const KV_HEADS: u32 = 2u;
const DIM: u32 = 64u;      // of a head and of a value, a multiple of 16
const Q_STRIDE: u32 = 256u; // even
const O_STRIDE: u32 = 256u;
const CAP: u32 = 1024u;    // positions in the cache
const SINKS: u32 = 0u;     // 1: each head's softmax has one more score, of which nothing is read

@group(0) @binding(0) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> q: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> kc: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> vc: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> sinks: array<f32>; // if SINKS: [HEADS]
@group(0) @binding(5) var<storage, read_write> o: array<f32>;
@group(0) @binding(6) var<uniform> step: Step;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let subgroup = lane / 32u;
  let query = lane % 16u;
  let side = lane / 16u % 2u; // two threads share a query
  let t0 = ((step.n + QUERIES - 1u) / QUERIES - 1u - group.y) * QUERIES; // the last ones, which read most, come first
  let row = rows[t0];
  let newest = row.y + min(QUERIES, step.n - t0) - 1u;
  let base = (row.z * KV_HEADS + group.x / (HEADS / KV_HEADS)) * CAP;
  let t = t0 + subgroup * 16u + query;
  let position = row.y + subgroup * 16u + query;
  let oldest = first(position);

  let in = min(t, step.n - 1u) * (Q_STRIDE / 2u) + group.x * (DIM / 2u);
  var top = 0.0;
  for (var i = side; i < DIM / 2u; i += 2u) {
    let v = abs(q[in + i]);
    top = max(top, max(v.x, v.y));
  }
  tops[lane] = top;
  workgroupBarrier();
  let exponent = max(bitcast<u32>(max(top, tops[lane ^ 16u])) >> 23u, 15u); // as in split
  let scale = bitcast<f32>((268u - exponent) << 23u);
  let unit = bitcast<f32>((exponent - 14u) << 23u);
  var queries: array<Left, IN>;
  for (var c = 0u; c < PARTS; c++) { // unroll
    for (var l = 0u; l < 2u; l++) { // unroll
      workgroupBarrier();
      for (var i = side; i < HALF; i += 2u) {
        let e = c * KEYS + 2u * i;
        if (e < DIM) {
          let v = q[in + column(e) / 2u] * scale;
          let high = upper(v);
          let pair = stored(pack2x16float(select(high, v - high, l == 1u)));
          ws[subgroup][query * SHORT + 2u * i] = pair.x;
          ws[subgroup][query * SHORT + 2u * i + 1u] = pair.y;
        }
      }
      workgroupBarrier();
      for (var j = 0u; j < BATCH; j++) { // unroll
        if (c * BATCH + j < DEEP) {
          queries[l * DEEP + min(c * BATCH + j, DEEP - 1u)] = subgroupMatrixLoad<Left, row_major>(&ws[subgroup], j * 16u, SHORT);
        }
      }
    }
  }

  var best = -1e30;
  if (SINKS == 1u) { best = sinks[group.x]; }
  var sum = 0.0;
  var acc: array<f32, OWN>; // element k·2 + side of each 16
  var held: array<vec4<u32>, MINE>;
  let start = first(row.y);
  for (var i = 0u; i < MINE; i++) { held[i] = kc[place(i, base, start, newest, lane)]; } // unroll
  for (var tile = start; tile <= newest; tile += KEYS) {
    for (var i = 0u; i < MINE; i++) { keep(i, held[i], lane); } // unroll
    workgroupBarrier();
    for (var i = 0u; i < MINE; i++) { held[i] = vc[place(i, base, tile, newest, lane)]; } // unroll
    for (var j = 0u; j < BATCH; j++) { // unroll
      var products = Sums();
      for (var d = 0u; d < DEEP; d++) { // unroll
        let key = subgroupMatrixLoad<Right, col_major>(&xs[j], d * 16u, PITCH);
        products = multiplied(queries[d], key, products);
        products = multiplied(queries[DEEP + d], key, products);
      }
      subgroupMatrixStore<col_major>(&ps[subgroup * BATCH + j], 0u, products, 16u);
    }
    workgroupBarrier();
    for (var i = 0u; i < MINE; i++) { keep(i, held[i], lane); } // unroll
    for (var i = 0u; i < MINE; i++) { held[i] = kc[place(i, base, tile + KEYS, newest, lane)]; } // unroll
    var scores: array<f32, HALF>;
    var high = -1e30;
    for (var i = 0u; i < HALF; i++) { // unroll
      let key = side * HALF + i;
      let p = tile + key;
      let product = ps[subgroup * BATCH + key / 16u][key % 16u * 16u + query] * unit;
      scores[i] = select(-1e30, scored(product, group.x, position - p), p <= position && p >= oldest && p <= newest);
      high = max(high, scores[i]);
    }
    tops[lane] = high;
    workgroupBarrier();
    let now = max(best, max(high, tops[lane ^ 16u]));
    let fade = exp(best - now);
    best = now;
    sum *= fade;
    for (var i = 0u; i < QUARTER; i++) { // unroll
      let both = vec2<f32>(scores[2u * i], scores[2u * i + 1u]);
      let weights = select(vec2<f32>(0.0), FULL * exp(both - best), both > vec2<f32>(-1e30));
      let pair = stored(pack2x16float(weights));
      ws[subgroup][query * SHORT + side * HALF + 2u * i] = pair.x;
      ws[subgroup][query * SHORT + side * HALF + 2u * i + 1u] = pair.y;
      sum += f32(pair.x) + f32(pair.y);
    }
    workgroupBarrier();
    var weights: array<Left, BATCH>;
    for (var k = 0u; k < BATCH; k++) { weights[k] = subgroupMatrixLoad<Left, row_major>(&ws[subgroup], k * 16u, SHORT); } // unroll
    for (var c = 0u; c < PARTS; c++) { // unroll
      if (c > 0u) { workgroupBarrier(); }
      for (var j = 0u; j < BATCH; j++) { // unroll
        if (c * BATCH + j < DEEP) {
          var products = Sums();
          for (var k = 0u; k < BATCH; k++) { // unroll
            let value = subgroupMatrixLoad<Right, row_major>(&xs[k], min(c * BATCH + j, DEEP - 1u) * 16u, PITCH);
            products = multiplied(weights[k], value, products);
          }
          subgroupMatrixStore<col_major>(&ps[subgroup * BATCH + j], 0u, products, 16u);
        }
      }
      workgroupBarrier();
      for (var j = 0u; j < BATCH; j++) { // unroll
        for (var k = 0u; k < 8u; k++) { // unroll
          if (c * BATCH + j < DEEP) {
            let e = min(c * BATCH + j, DEEP - 1u) * 8u + k;
            acc[e] = acc[e] * fade + ps[subgroup * BATCH + j][k * 32u + lane % 32u];
          }
        }
      }
    }
  }
  workgroupBarrier();
  tops[lane] = sum;
  workgroupBarrier();
  sum += tops[lane ^ 16u];
  if (SINKS == 1u) { sum += FULL * exp(sinks[group.x] - best); }
  if (t < step.n) {
    for (var i = 0u; i < OWN; i++) { // unroll
      o[t * O_STRIDE + group.x * DIM + column(i / 8u * 16u + i % 8u * 2u + side)] = acc[i] / sum;
    }
    if (group.x == HEADS - 1u) {
      for (var e = HEADS * DIM + side; e < O_STRIDE; e += 2u) { o[t * O_STRIDE + e] = 0.0; }
    }
  }
}
