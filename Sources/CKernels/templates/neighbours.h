// Rows that are near each other, and predictions that neighbours agree on: what LAME does with a batch.

/// The lanes of v that are larger than those of bound: a byte of ones for each, in two words.
typedef struct {
  uint64_t words[2];
} lane_set;
INLINE bool any_larger(v16 v, v16 bound) { return __builtin_reduce_or((i16)(v > bound)) != 0; }
INLINE lane_set larger_lanes(v16 v, v16 bound) {
  typedef signed char b16 __attribute__((ext_vector_type(16)));
  b16 bytes = __builtin_convertvector((i16)(v > bound), b16);
  lane_set set;
  memcpy(&set, &bytes, sizeof set);
  return set;
}
/// The first lane, which is taken out of the set, or −1.
INLINE int take_lane(lane_set *set) {
  for (int i = 0; i < 2; ++i) {
    if (set->words[i] == 0) continue;
    int byte = __builtin_ctzll(set->words[i]) / 8;
    set->words[i] &= ~((uint64_t)0xFF << (8 * byte));
    return 8 * i + byte;
  }
  return -1;
}

/// Enters a candidate into a row's list behind those that are as large; a full list loses its last one, or does not take the candidate.
static void rank_candidate(const ck_rankings *rankings, size_t row, float value, size_t candidate) {
  size_t capacity = rankings->capacity, place = (size_t)rankings->counts[row];
  float *values = rankings->values + row * capacity;
  int32_t *indices = rankings->indices + row * capacity;
  if (place < capacity) {
    ++rankings->counts[row];
  } else if (!(value > values[--place])) {
    return;
  }
  for (; place > 0 && values[place - 1] < value; --place) {
    values[place] = values[place - 1];
    indices[place] = indices[place - 1];
  }
  values[place] = value;
  indices[place] = (int32_t)candidate;
}

static void rank_row(const ck_rankings *rankings, size_t row, const float *values, size_t first, size_t n) {
  size_t capacity = rankings->capacity, j = 0;
  const float *last = rankings->values + row * capacity + capacity - 1;
  for (; j < n && rankings->counts[row] < (int32_t)capacity; ++j)
    if (first + j != row) rank_candidate(rankings, row, values[j], first + j);
  for (; j + CK_LANES <= n; j += CK_LANES) {
    v16 v = load_unaligned(values + j);
    if (!any_larger(v, splat(*last))) continue;
    lane_set lanes = larger_lanes(v, splat(*last));
    for (int lane = take_lane(&lanes); lane >= 0; lane = take_lane(&lanes))
      if (first + j + (size_t)lane != row) rank_candidate(rankings, row, values[j + (size_t)lane], first + j + (size_t)lane);
  }
  for (; j < n; ++j)
    if (first + j != row) rank_candidate(rankings, row, values[j], first + j);
}

/// 16 rows whose lists are full.
static void rank_full_columns(const ck_rankings *rankings, size_t first, const float *block, size_t stride, size_t first_candidate,
                              size_t candidates) {
  const float *last = rankings->values + (first + 1) * rankings->capacity - 1;
  _Alignas(64) float bounds[CK_LANES];
  for (size_t j = 0; j < CK_LANES; ++j) bounds[j] = last[j * rankings->capacity];
  for (size_t i = 0; i < candidates; ++i, block += stride) {
    v16 v = load_unaligned(block), bound = load(bounds);
    if (!any_larger(v, bound)) continue;
    lane_set lanes = larger_lanes(v, bound);
    for (int lane = take_lane(&lanes); lane >= 0; lane = take_lane(&lanes)) {
      rank_candidate(rankings, first + (size_t)lane, block[lane], first_candidate + i);
      bounds[lane] = last[(size_t)lane * rankings->capacity];
    }
  }
}

static void rank_columns(const ck_rankings *rankings, size_t first, size_t n, const float *block, size_t stride, size_t first_candidate,
                         size_t candidates) {
  for (size_t column = 0; column < n; column += CK_LANES) {
    // Full vectors go on from where all of their lists are full: these have seen the same candidates.
    size_t count = n - column < CK_LANES ? n - column : CK_LANES, seen = (size_t)rankings->counts[first + column], i = 0;
    size_t missing = count < CK_LANES ? candidates : rankings->capacity - seen;
    for (; i < candidates && i < missing; ++i)
      for (size_t j = column; j < column + count; ++j) rank_candidate(rankings, first + j, block[i * stride + j], first_candidate + i);
    if (i < candidates)
      rank_full_columns(rankings, first + column, block + i * stride + column, stride, first_candidate + i, candidates - i);
  }
}

static void log_rows(const float *probabilities, float *logarithms, size_t rows, size_t width) {
  size_t stride = ck_round_up(width, CK_LANES), whole = width / CK_LANES * CK_LANES;
  v16 least = splat(1e-10f);
  for (size_t r = 0; r < rows; ++r, probabilities += width, logarithms += stride) {
    for (size_t i = 0; i < whole; i += CK_LANES) store(logarithms + i, logarithm(load_unaligned(probabilities + i) + least));
    if (whole == width) continue;
    _Alignas(64) float tail[CK_LANES] = {0};
    for (size_t i = whole; i < width; ++i) tail[i - whole] = probabilities[i];
    store(logarithms + whole, logarithm(load(tail) + least));
    for (size_t i = width; i < stride; ++i) logarithms[i] = -__builtin_inff();
  }
}

/// Σ weight · rows[index] at `i`; weights NULL: 1.
INLINE v16 pull_of_neighbours(const float *rows, const int32_t *index, const float *weight, int count, size_t stride, size_t i) {
  v16 sum = splat(0);
  for (int k = 0; k < count; ++k) {
    v16 row = load(rows + (size_t)index[k] * stride + i);
    sum = weight ? multiply_add(splat(weight[k]), row, sum) : sum + row;
  }
  return sum;
}

static void neighbour_softmax(const ck_neighbours *neighbours, const float *logarithms, const float *pull, const float *before, float *after,
                              double *energies, size_t first, size_t rows, size_t width) {
  size_t stride = ck_round_up(width, CK_LANES);
  for (size_t r = first; r < first + rows; ++r) {
    const float *own = logarithms + r * stride;
    float *row = after + r * stride;
    int count = neighbours ? neighbours->start[r + 1] - neighbours->start[r] : 0;
    const int32_t *index = neighbours ? neighbours->index + neighbours->start[r] : NULL;
    const float *weight = neighbours && neighbours->weight ? neighbours->weight + neighbours->start[r] : NULL;
    v16 most = splat(-__builtin_inff()), sum = splat(0);
    for (size_t i = 0; i < stride; i += CK_LANES) {
      v16 score = pull ? load(pull + r * stride + i) : pull_of_neighbours(before, index, weight, count, stride, i);
      score += load(own + i);
      store(row + i, score);
      most = (score > most) ? score : most;
    }
    float largest = lane_maximum(most);
    for (size_t i = 0; i < stride; i += CK_LANES) {
      v16 x = load(row + i) - splat(largest), v = (x < splat(-87.3f)) ? splat(0) : exponential(x);
      store(row + i, v);
      sum += v;
    }
    float inverse = 1 / add_lanes(0, sum, CK_LANES);
    for (size_t i = 0; i < stride; i += CK_LANES) store(row + i, load(row + i) * splat(inverse));
    energies[r] = log((double)inverse) - (double)largest;
  }
}
