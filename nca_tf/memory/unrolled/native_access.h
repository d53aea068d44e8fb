// One DNC memory access and its gradient, fused: `access_gradient` in C++.
//
// Graves et al. (2016), Methods. The names and the equations are those of
// access_gradient.py and addressing_gradient.py, which derive them and are the
// oracle in the tests. Everything here is for one row of a batch: the link
// matrix and the memory are walked once a pass, row by row.
//
// Shapes: raw [S]; memory [N, W]; usage, write weights w, precedence p, order
// [N]; read weights [R, N]; link [N, N]; words [R, W]. A `d_` is the gradient
// with respect to what follows.

#ifndef NCA_TF_MEMORY_NATIVE_ACCESS_H_
#define NCA_TF_MEMORY_NATIVE_ACCESS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

namespace nca {

constexpr double kEpsilon = 1e-6;

struct Sizes {
  int slots, words, heads;  // N, W, R
  bool paper;               // oneplus, modes in the order b, c, f, exact usage
  int raw() const { return heads * words + 3 * words + 5 * heads + 3; }
};

template <typename T>
T Sigmoid(T x) {
  return T(1) / (T(1) + std::exp(-x));
}

template <typename T>
T Softplus(T x) {
  return std::max(x, T(0)) + std::log1p(std::exp(-std::abs(x)));
}

// Vectors by GCC's extension: the compiler splits those of 64 bytes for
// processors that have shorter ones. The ends of rows take V = T.
template <typename T>
struct Vector {
  typedef T Type __attribute__((vector_size(64), aligned(alignof(T)),
                                may_alias));
  static constexpr int kLanes = 64 / sizeof(T);
};

template <typename V, typename T>
V Load(const T* x) {
  return *reinterpret_cast<const V*>(x);
}

template <typename V, typename T>
void Store(V v, T* x) {
  *reinterpret_cast<V*>(x) = v;
}

inline float Sum(float v) { return v; }
inline double Sum(double v) { return v; }
template <typename V>
auto Sum(V v) {
  typedef std::decay_t<decltype(v[0])> T;
  typedef T Half __attribute__((vector_size(32)));
  typedef T Quarter __attribute__((vector_size(16)));
  Half halves[2];
  std::memcpy(halves, &v, sizeof halves);
  const Half half = halves[0] + halves[1];
  Quarter quarters[2];
  std::memcpy(quarters, &half, sizeof quarters);
  const Quarter quarter = quarters[0] + quarters[1];
  T sum = 0;
  for (size_t i = 0; i < sizeof quarter / sizeof sum; ++i) sum += quarter[i];
  return sum;
}

// Without one of its entries: the one on the diagonal.
inline float Without(float v, int lane) { return lane == 0 ? 0 : v; }
inline double Without(double v, int lane) { return lane == 0 ? 0 : v; }
template <typename V>
V Without(V v, int lane) {
  decltype(v < v) lanes;
  for (size_t i = 0; i < sizeof(V) / sizeof(v[0]); ++i) lanes[i] = i;
  return lanes == lane ? V{} : v;
}

template <typename T>
T Dot(const T* a, const T* b, int n) {
  using V = typename Vector<T>::Type;
  V sums = {};
  int i = 0;
  for (; i + Vector<T>::kLanes <= n; i += Vector<T>::kLanes)
    sums += Load<V>(a + i) * Load<V>(b + i);
  T sum = Sum(sums);
  for (; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// y += s x
template <typename T>
void Add(T s, const T* __restrict x, T* __restrict y, int n) {
  for (int i = 0; i < n; ++i) y[i] += s * x[i];
}

// The interface after activation; modes in the order backward, content,
// forward.
template <typename T>
struct Interface {
  const T *read_keys, *write_key, *write_vector;
  std::vector<T> read_strengths, erase, free, modes;
  T write_strength, allocation_gate, write_gate;
  int read_strength_at, write_key_at, erase_at, vector_at, free_at, modes_at;

  Interface(const T* raw, const Sizes& s)
      : read_strengths(s.heads), erase(s.words), free(s.heads),
        modes(3 * s.heads) {
    const T one = s.paper ? 1 : 0;
    read_strength_at = s.heads * s.words;
    write_key_at = read_strength_at + s.heads;
    erase_at = write_key_at + s.words + 1;
    vector_at = erase_at + s.words;
    free_at = vector_at + s.words;
    modes_at = free_at + s.heads + 2;
    read_keys = raw;
    write_key = raw + write_key_at;
    write_vector = raw + vector_at;
    write_strength = one + Softplus(raw[erase_at - 1]);
    allocation_gate = Sigmoid(raw[modes_at - 2]);
    write_gate = Sigmoid(raw[modes_at - 1]);
    for (int w = 0; w < s.words; ++w) erase[w] = Sigmoid(raw[erase_at + w]);
    for (int r = 0; r < s.heads; ++r) {
      read_strengths[r] = one + Softplus(raw[read_strength_at + r]);
      free[r] = Sigmoid(raw[free_at + r]);
      const T* x = raw + modes_at + 3 * r;
      const T top = std::max(x[0], std::max(x[1], x[2]));
      T sum = 0, e[3];
      for (int k = 0; k < 3; ++k) sum += e[k] = std::exp(x[k] - top);
      for (int k = 0; k < 3; ++k) modes[3 * r + Place(k, s)] = e[k] / sum;
    }
  }

  // Where the k-th raw mode stands after activation.
  static int Place(int k, const Sizes& s) {
    return s.paper || k == 0 ? k : 3 - k;
  }
};

// Content weights of several keys over the rows of a memory, kept with what
// their gradient needs.
template <typename T>
struct Content {
  int slots, words, heads;
  std::vector<T> weights, cosines, norms;  // [R, N]
  std::vector<T> key_norms, row_norms;     // [R], [N]

  Content(const T* memory, const T* keys, const T* strengths, int slots,
          int words, int heads)
      : slots(slots), words(words), heads(heads), weights(heads * slots),
        cosines(heads * slots), norms(heads * slots), key_norms(heads),
        row_norms(slots) {
    const T epsilon = kEpsilon;
    for (int r = 0; r < heads; ++r) {
      const T* key = keys + r * words;
      key_norms[r] = std::sqrt(Dot(key, key, words) + epsilon);
    }
    for (int n = 0; n < slots; ++n) {
      const T* row = memory + n * words;
      row_norms[n] = std::sqrt(Dot(row, row, words) + epsilon);
      for (int r = 0; r < heads; ++r)
        cosines[r * slots + n] = Dot(keys + r * words, row, words);
    }
    for (int r = 0; r < heads; ++r) {
      T* cosine = &cosines[r * slots];
      T* norm = &norms[r * slots];
      T* weight = &weights[r * slots];
      for (int n = 0; n < slots; ++n) {
        norm[n] = key_norms[r] * row_norms[n] + epsilon;
        cosine[n] /= norm[n];
      }
      // Strengths are positive: the largest cosine has the largest logit.
      const T top = *std::max_element(cosine, cosine + slots);
      T sum = 0;
      for (int n = 0; n < slots; ++n) {
        weight[n] = std::exp((cosine[n] - top) * strengths[r]);
        sum += weight[n];
      }
      for (int n = 0; n < slots; ++n) weight[n] /= sum;
    }
  }
};


// d_weights [R, N] becomes the gradient of the dots, in place; also gives that
// of the strengths, of |k| over |k| [R], and of |M_n| over |M_n| [N].
template <typename T>
void ContentBackward(const Content<T>& c, const T* strengths, T* d_weights,
                     T* d_strengths, T* by_key, T* by_row) {
  std::fill(by_row, by_row + c.slots, T(0));
  for (int r = 0; r < c.heads; ++r) {
    const T* weight = &c.weights[r * c.slots];
    const T* cosine = &c.cosines[r * c.slots];
    const T* norm = &c.norms[r * c.slots];
    T* d = d_weights + r * c.slots;
    const T total = Dot(weight, d, c.slots);
    T d_strength = 0, d_key = 0;
    for (int n = 0; n < c.slots; ++n) {
      const T d_logit = weight[n] * (d[n] - total);
      d_strength += d_logit * cosine[n];
      d[n] = d_logit * strengths[r] / norm[n];
      const T d_norm = -d[n] * cosine[n];
      d_key += d_norm * c.row_norms[n];
      by_row[n] += d_norm * c.key_norms[r];
    }
    d_strengths[r] = d_strength;
    by_key[r] = d_key / c.key_norms[r];
  }
  for (int n = 0; n < c.slots; ++n) by_row[n] /= c.row_norms[n];
}

// The slots by rising usage, ties by index. Integers with the order of the
// numbers, so that a NaN cannot break the sort.
template <typename T>
void Sort(const T* usage, int slots, int32_t* order) {
  std::vector<std::pair<int64_t, int32_t>> keys(slots);
  for (int n = 0; n < slots; ++n) {
    const double value = -(T(1) - T(kEpsilon)) * (T(1) - usage[n]) + 0.0;
    int64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if (bits < 0) bits = INT64_MIN - bits;
    keys[n] = {bits, n};
  }
  std::sort(keys.begin(), keys.end());
  for (int n = 0; n < slots; ++n) order[n] = keys[n].second;
}

template <typename T>
void Allocation(const T* usage, const int32_t* order, int slots, T* weights) {
  T below = 1;
  for (int k = 0; k < slots; ++k) {
    const T free = (T(1) - T(kEpsilon)) * (T(1) - usage[order[k]]);
    weights[order[k]] = free * below;
    below *= T(1) - free;
  }
}

// Adds the gradient to d_usage. The sum over later slots is kept divided by the
// product below, so that nothing is divided by a usage.
template <typename T>
void AllocationBackward(const T* usage, const int32_t* order, int slots,
                        const T* d_weights, T* d_usage) {
  const T scale = T(1) - T(kEpsilon);
  std::vector<T> below(slots + 1, T(1));
  for (int k = 0; k < slots; ++k)
    below[k + 1] = below[k] * (T(1) - scale * (T(1) - usage[order[k]]));
  T behind = 0;
  for (int k = slots - 1; k >= 0; --k) {
    const int n = order[k];
    const T free = scale * (T(1) - usage[n]);
    d_usage[n] -= scale * below[k] * (d_weights[n] - behind);
    behind = free * d_weights[n] + (T(1) - free) * behind;
  }
}

// One pass over the link: the update, and both directions of the reads, whose
// results are added to forward and backward [R, N]. This for Q rows from i on
// and for the columns from `begin` to `end`; the loops over heads and rows
// unroll, and their sums stay in registers.
template <typename T, typename V, int R, int Q>
void LinkForwardBlock(const T* link, const T* p, const T* w, const T* last,
                      int slots, int i, int begin, int end, T* next,
                      T* forward, T* backward) {
  constexpr int lanes = sizeof(V) / sizeof(T);
  V sum[Q][R] = {};
  T at[Q][R], w_i[Q];
  for (int q = 0; q < Q; ++q) {
    w_i[q] = w[i + q];
    for (int r = 0; r < R; ++r) at[q][r] = last[r * slots + i + q];
  }
  for (int j = begin; j < end; j += lanes) {
    const V w_j = Load<V>(w + j), p_j = Load<V>(p + j);
    V out[Q];
    for (int q = 0; q < Q; ++q) {
      const T* row = link + (i + q) * slots;
      out[q] = ((T(1) - w_i[q]) - w_j) * Load<V>(row + j) + w_i[q] * p_j;
      if (j <= i + q && i + q < j + lanes)
        out[q] = Without(out[q], i + q - j);
      Store(out[q], next + (i + q) * slots + j);
    }
    for (int r = 0; r < R; ++r) {
      const V last_j = Load<V>(last + r * slots + j);
      V back = Load<V>(backward + r * slots + j);
      for (int q = 0; q < Q; ++q) {
        sum[q][r] += out[q] * last_j;
        back += out[q] * at[q][r];
      }
      Store(back, backward + r * slots + j);
    }
  }
  for (int q = 0; q < Q; ++q)
    for (int r = 0; r < R; ++r) forward[r * slots + i + q] += Sum(sum[q][r]);
}

template <typename T, int R>
void LinkForward(const T* link, const T* p, const T* w, const T* last,
                 int slots, T* next, T* forward, T* backward) {
  using V = typename Vector<T>::Type;
  constexpr int rows = R <= 4 ? 4 : 2;
  const int even = slots - slots % Vector<T>::kLanes;
  int i = 0;
  for (; i + rows <= slots; i += rows) {
    LinkForwardBlock<T, V, R, rows>(link, p, w, last, slots, i, 0, even, next,
                                    forward, backward);
    LinkForwardBlock<T, T, R, rows>(link, p, w, last, slots, i, even, slots,
                                    next, forward, backward);
  }
  for (; i < slots; ++i) {
    LinkForwardBlock<T, V, R, 1>(link, p, w, last, slots, i, 0, even, next,
                                 forward, backward);
    LinkForwardBlock<T, T, R, 1>(link, p, w, last, slots, i, even, slots, next,
                                 forward, backward);
  }
}

// What the gradient of the link reads, and what it adds to: x, y [R, N] and
// d_w, d_p [N]; see addressing_gradient.links.
template <typename T>
struct LinkGradient {
  const T *link, *p, *w, *last, *d_read, *d_next;
  const T *to_backward, *to_forward;  // the modes, [R]
  T *x, *y, *d_link, *d_w, *d_p;      // d_link may be d_next
  int slots;
};

template <typename T, typename V, int R, int Q>
void LinkBackwardBlock(const LinkGradient<T>& g, int i, int begin, int end) {
  constexpr int lanes = sizeof(V) / sizeof(T);
  const int slots = g.slots;
  V sum[Q][R] = {}, here[Q] = {};
  T at[Q][R], by_last[Q][R], by_read[Q][R], w_i[Q];
  for (int q = 0; q < Q; ++q) {
    w_i[q] = g.w[i + q];
    for (int r = 0; r < R; ++r) {
      at[q][r] = g.d_read[r * slots + i + q];
      by_last[q][r] = g.last[r * slots + i + q] * g.to_backward[r];
      by_read[q][r] = at[q][r] * g.to_forward[r];
    }
  }
  for (int j = begin; j < end; j += lanes) {
    const V w_j = Load<V>(g.w + j), p_j = Load<V>(g.p + j);
    V row[Q], next[Q], slope[Q];
    for (int q = 0; q < Q; ++q) {
      row[q] = Load<V>(g.link + (i + q) * slots + j);
      slope[q] = Load<V>(g.d_next + (i + q) * slots + j);
      next[q] = ((T(1) - w_i[q]) - w_j) * row[q] + w_i[q] * p_j;
      if (j <= i + q && i + q < j + lanes)
        next[q] = Without(next[q], i + q - j);
    }
    for (int r = 0; r < R; ++r) {
      const V d = Load<V>(g.d_read + r * slots + j);
      const V last = Load<V>(g.last + r * slots + j);
      V y = Load<V>(g.y + r * slots + j);
      for (int q = 0; q < Q; ++q) {
        sum[q][r] += next[q] * d;
        y += next[q] * at[q][r];
        slope[q] += by_last[q][r] * d + by_read[q][r] * last;
      }
      Store(y, g.y + r * slots + j);
    }
    V columns = Load<V>(g.d_w + j), d_p = Load<V>(g.d_p + j);
    for (int q = 0; q < Q; ++q) {
      if (j <= i + q && i + q < j + lanes)
        slope[q] = Without(slope[q], i + q - j);
      const V by_link = slope[q] * row[q];
      here[q] += slope[q] * p_j - by_link;
      columns -= by_link;
      d_p += w_i[q] * slope[q];
      Store(((T(1) - w_i[q]) - w_j) * slope[q], g.d_link + (i + q) * slots + j);
    }
    Store(columns, g.d_w + j);
    Store(d_p, g.d_p + j);
  }
  for (int q = 0; q < Q; ++q) {
    g.d_w[i + q] += Sum(here[q]);
    for (int r = 0; r < R; ++r) g.x[r * slots + i + q] += Sum(sum[q][r]);
  }
}

template <typename T, int R>
void LinkBackward(const LinkGradient<T>& g) {
  using V = typename Vector<T>::Type;
  constexpr int rows = R <= 4 ? 2 : 1;
  const int even = g.slots - g.slots % Vector<T>::kLanes;
  int i = 0;
  for (; i + rows <= g.slots; i += rows) {
    LinkBackwardBlock<T, V, R, rows>(g, i, 0, even);
    LinkBackwardBlock<T, T, R, rows>(g, i, even, g.slots);
  }
  for (; i < g.slots; ++i) {
    LinkBackwardBlock<T, V, R, 1>(g, i, 0, even);
    LinkBackwardBlock<T, T, R, 1>(g, i, even, g.slots);
  }
}

// Through the words read, the contents of the reads and the write: a column of
// vectors of the memory at a time, whose sums over the slots stay in registers.
template <typename T>
struct MemoryGradient {
  const T *before, *after, *write, *read, *d_words, *keys, *d_dots, *by_row;
  const T *erase, *vector, *d_after;
  T *d_keys, *d_vector, *d_erase, *d_before, *d_w;  // d_before may be d_after
  int slots, width;
};

template <typename T, typename V, int R>
void MemoryBackwardColumns(const MemoryGradient<T>& g, int begin, int end) {
  for (int k = begin; k < end; k += static_cast<int>(sizeof(V) / sizeof(T))) {
    V d_words[R], keys[R], d_keys[R] = {}, d_vector = {}, d_erase = {};
    for (int r = 0; r < R; ++r) {
      d_words[r] = Load<V>(g.d_words + r * g.width + k);
      keys[r] = Load<V>(g.keys + r * g.width + k);
    }
    const V erase = Load<V>(g.erase + k), vector = Load<V>(g.vector + k);
    for (int n = 0; n < g.slots; ++n) {
      const V before = Load<V>(g.before + n * g.width + k);
      const V after = Load<V>(g.after + n * g.width + k);
      V d = Load<V>(g.d_after + n * g.width + k) + g.by_row[n] * after;
      for (int r = 0; r < R; ++r) {
        const T d_dot = g.d_dots[r * g.slots + n];
        d += g.read[r * g.slots + n] * d_words[r] + d_dot * keys[r];
        d_keys[r] += d_dot * after;
      }
      g.d_w[n] += Sum(V(d * (vector - erase * before)));
      const V written = g.write[n] * d;
      d_vector += written;
      d_erase -= written * before;
      Store(V(d - written * erase), g.d_before + n * g.width + k);
    }
    for (int r = 0; r < R; ++r) Store(d_keys[r], g.d_keys + r * g.width + k);
    Store(d_vector, g.d_vector + k);
    Store(d_erase, g.d_erase + k);
  }
}

template <typename T, int R>
void MemoryBackward(const MemoryGradient<T>& g) {
  const int even = g.width - g.width % Vector<T>::kLanes;
  MemoryBackwardColumns<T, typename Vector<T>::Type, R>(g, 0, even);
  MemoryBackwardColumns<T, T, R>(g, even, g.width);
}

// The state or its gradient, of one row of a batch.
template <typename T>
struct State {
  T *memory, *usage, *write, *read, *link, *precedence;

  State At(int64_t b, const Sizes& s) const {
    const int64_t n = s.slots;
    return {memory + b * n * s.words, usage + b * n,     write + b * n,
            read + b * n * s.heads,   link + b * n * n,  precedence + b * n};
  }
};

template <typename T>
void Forward(const Sizes& s, const T* raw, State<const T> in, bool sorted,
             int32_t* order, State<T> out, T* words) {
  const int slots = s.slots, width = s.words, heads = s.heads;
  const Interface<T> f(raw, s);
  for (int n = 0; n < slots; ++n) {
    T usage = in.usage[n] + (T(1) - in.usage[n]) * in.write[n];
    for (int r = 0; r < heads; ++r)
      usage *= T(1) - f.free[r] * in.read[r * slots + n];
    out.usage[n] = usage;
  }
  if (!sorted) Sort(out.usage, slots, order);
  const Content<T> content(in.memory, f.write_key, &f.write_strength, slots,
                           width, 1);
  Allocation(out.usage, order, slots, out.write);
  T total = 0;
  for (int n = 0; n < slots; ++n) {
    out.write[n] = f.write_gate * (f.allocation_gate * out.write[n] +
                                   (T(1) - f.allocation_gate) *
                                       content.weights[n]);
    total += out.write[n];
  }
  std::vector<T> ahead(heads * slots), back(heads * slots);
  switch (heads) {
#define NCA_HEADS(R)                                                         \
  case R:                                                                    \
    LinkForward<T, R>(in.link, in.precedence, out.write, in.read, slots,     \
                      out.link, ahead.data(), back.data());                  \
    break;
    NCA_HEADS(1) NCA_HEADS(2) NCA_HEADS(3) NCA_HEADS(4)
    NCA_HEADS(5) NCA_HEADS(6) NCA_HEADS(7) NCA_HEADS(8)
#undef NCA_HEADS
  }
  for (int n = 0; n < slots; ++n) {
    const T w = out.write[n];
    out.precedence[n] = (T(1) - total) * in.precedence[n] + w;
    const T* before = in.memory + n * width;
    T* row = out.memory + n * width;  // May be `before`.
    for (int k = 0; k < width; ++k)
      row[k] = before[k] + w * (f.write_vector[k] - f.erase[k] * before[k]);
  }
  const Content<T> contents(out.memory, f.read_keys, f.read_strengths.data(),
                            slots, width, heads);
  std::fill(words, words + heads * width, T(0));
  for (int r = 0; r < heads; ++r) {
    const T* mode = &f.modes[3 * r];
    T* read = out.read + r * slots;
    for (int n = 0; n < slots; ++n) {
      const int at = r * slots + n;
      read[n] = mode[0] * back[at] + mode[1] * contents.weights[at] +
                mode[2] * ahead[at];
    }
  }
  for (int n = 0; n < slots; ++n)
    for (int r = 0; r < heads; ++r)
      Add(out.read[r * slots + n], out.memory + n * width, words + r * width,
          width);
}

// Through u' = (u + w - u w) prod_r (1 - f_r wr_r), from d_usage.
template <typename T>
void UsageBackward(const Sizes& s, const Interface<T>& f, State<const T> in,
                   const T* d_usage, T* d_free, State<T> d_in) {
  const int slots = s.slots, heads = s.heads;
  T stay[8], below[9];
  for (int n = 0; n < slots; ++n) {
    below[0] = 1;
    for (int r = 0; r < heads; ++r) {
      stay[r] = T(1) - f.free[r] * in.read[r * slots + n];
      below[r + 1] = below[r] * stay[r];
    }
    T above = in.usage[n] + (T(1) - in.usage[n]) * in.write[n];
    for (int r = heads - 1; r >= 0; --r) {
      const T d = d_usage[n] * below[r] * above;
      d_free[r] -= d * in.read[r * slots + n];
      d_in.read[r * slots + n] -= d * f.free[r];
      above *= stay[r];
    }
    const T retained = d_usage[n] * below[heads];
    d_in.usage[n] = retained * (T(1) - in.write[n]);
    d_in.write[n] = s.paper ? retained * (T(1) - in.usage[n]) : T(0);
  }
}

template <typename T>
void Backward(const Sizes& s, const T* raw, State<const T> in, const T* memory,
              const T* usage, const T* write, const T* read,
              const int32_t* order, const T* d_words, State<const T> d_out,
              T* d_raw, State<T> d_in) {
  const int slots = s.slots, width = s.words, heads = s.heads;
  const int cells = heads * slots;
  const Interface<T> f(raw, s);
  std::fill(d_raw, d_raw + s.raw(), T(0));

  // The words read, and the mixture of three weightings.
  std::vector<T> d_read(d_out.read, d_out.read + cells), d_dots(cells);
  for (int n = 0; n < slots; ++n)
    for (int r = 0; r < heads; ++r)
      d_read[r * slots + n] += Dot(d_words + r * width, memory + n * width,
                                   width);
  const Content<T> contents(memory, f.read_keys, f.read_strengths.data(),
                            slots, width, heads);
  std::vector<T> d_modes(3 * heads), by_key(heads), by_row(slots);
  std::vector<T> to_backward(heads), to_forward(heads);
  for (int r = 0; r < heads; ++r) {
    to_backward[r] = f.modes[3 * r];
    to_forward[r] = f.modes[3 * r + 2];
    const T* d = &d_read[r * slots];
    d_modes[3 * r + 1] = Dot(d, &contents.weights[r * slots], slots);
    for (int n = 0; n < slots; ++n)
      d_dots[r * slots + n] = f.modes[3 * r + 1] * d[n];
  }
  ContentBackward(contents, f.read_strengths.data(), d_dots.data(),
                  d_raw + f.read_strength_at, by_key.data(), by_row.data());

  // The link and the precedence p' = (1 - sum w) p + w.
  std::vector<T> x(cells), y(cells);
  std::vector<T> d_w(d_out.write, d_out.write + slots);
  std::fill(d_in.precedence, d_in.precedence + slots, T(0));
  const LinkGradient<T> link{
      in.link,  in.precedence,      write,
      in.read,  d_read.data(),      d_out.link,
      to_backward.data(),           to_forward.data(),
      x.data(), y.data(),           d_in.link,
      d_w.data(), d_in.precedence,  slots};
  switch (heads) {
#define NCA_HEADS(R)               \
  case R:                          \
    LinkBackward<T, R>(link);      \
    break;
    NCA_HEADS(1) NCA_HEADS(2) NCA_HEADS(3) NCA_HEADS(4)
    NCA_HEADS(5) NCA_HEADS(6) NCA_HEADS(7) NCA_HEADS(8)
#undef NCA_HEADS
  }
  for (int r = 0; r < heads; ++r) {
    const T* last = in.read + r * slots;
    d_modes[3 * r] = Dot(last, &x[r * slots], slots);
    d_modes[3 * r + 2] = Dot(last, &y[r * slots], slots);
    for (int n = 0; n < slots; ++n)
      d_in.read[r * slots + n] =
          to_backward[r] * x[r * slots + n] + to_forward[r] * y[r * slots + n];
  }
  T total = 0;
  for (int n = 0; n < slots; ++n) total += write[n];
  const T shrink = Dot(d_out.precedence, in.precedence, slots);
  for (int n = 0; n < slots; ++n) {
    d_in.precedence[n] += (T(1) - total) * d_out.precedence[n];
    d_w[n] += d_out.precedence[n] - shrink;
  }

  // The memory M' = M + w (v - e M).
  T* d_erase = d_raw + f.erase_at;
  const MemoryGradient<T> rows{
      in.memory, memory, write, read, d_words, f.read_keys, d_dots.data(),
      by_row.data(), f.erase.data(), f.write_vector, d_out.memory, d_raw,
      d_raw + f.vector_at, d_erase, d_in.memory, d_w.data(), slots, width};
  switch (heads) {
#define NCA_HEADS(R)              \
  case R:                         \
    MemoryBackward<T, R>(rows);   \
    break;
    NCA_HEADS(1) NCA_HEADS(2) NCA_HEADS(3) NCA_HEADS(4)
    NCA_HEADS(5) NCA_HEADS(6) NCA_HEADS(7) NCA_HEADS(8)
#undef NCA_HEADS
  }
  for (int r = 0; r < heads; ++r)
    Add(by_key[r], f.read_keys + r * width, d_raw + r * width, width);

  // The write weights w = g_w (g_a a + (1 - g_a) c).
  const Content<T> content(in.memory, f.write_key, &f.write_strength, slots,
                           width, 1);
  std::vector<T> allocation(slots), d_allocation(slots), d_content(slots);
  Allocation(usage, order, slots, allocation.data());
  const T gate = f.allocation_gate, write_gate = f.write_gate;
  T d_gate = 0, d_write_gate = 0;
  for (int n = 0; n < slots; ++n) {
    const T a = allocation[n], c = content.weights[n];
    d_write_gate += d_w[n] * (gate * a + (T(1) - gate) * c);
    d_gate += d_w[n] * write_gate * (a - c);
    d_allocation[n] = write_gate * gate * d_w[n];
    d_content[n] = write_gate * (T(1) - gate) * d_w[n];
  }
  T* d_key = d_raw + f.write_key_at;
  ContentBackward(content, &f.write_strength, d_content.data(),
                  d_raw + f.erase_at - 1, by_key.data(), by_row.data());
  for (int n = 0; n < slots; ++n) {
    const T* before = in.memory + n * width;
    T* d = d_in.memory + n * width;
    Add(d_content[n], f.write_key, d, width);
    Add(by_row[n], before, d, width);
    Add(d_content[n], before, d_key, width);
  }
  Add(by_key[0], f.write_key, d_key, width);

  std::vector<T> d_usage(d_out.usage, d_out.usage + slots);
  AllocationBackward(usage, order, slots, d_allocation.data(), d_usage.data());
  UsageBackward(s, f, in, d_usage.data(), d_raw + f.free_at, d_in);

  // Through the activations.
  for (int r = 0; r < heads; ++r) {
    d_raw[f.read_strength_at + r] *= Sigmoid(raw[f.read_strength_at + r]);
    d_raw[f.free_at + r] *= f.free[r] * (T(1) - f.free[r]);
    const T along = Dot(&f.modes[3 * r], &d_modes[3 * r], 3);
    for (int k = 0; k < 3; ++k) {
      const int at = 3 * r + Interface<T>::Place(k, s);
      d_raw[f.modes_at + 3 * r + k] = f.modes[at] * (d_modes[at] - along);
    }
  }
  d_raw[f.erase_at - 1] *= Sigmoid(raw[f.erase_at - 1]);
  for (int k = 0; k < width; ++k) d_erase[k] *= f.erase[k] * (T(1) - f.erase[k]);
  d_raw[f.modes_at - 2] = d_gate * gate * (T(1) - gate);
  d_raw[f.modes_at - 1] = d_write_gate * write_gate * (T(1) - write_gate);
}

template <typename T>
void Clear(const Sizes& s, State<T> d) {
  const int n = s.slots;
  std::fill(d.memory, d.memory + n * s.words, T(0));
  std::fill(d.usage, d.usage + n, T(0));
  std::fill(d.write, d.write + n, T(0));
  std::fill(d.read, d.read + n * s.heads, T(0));
  std::fill(d.link, d.link + n * n, T(0));
  std::fill(d.precedence, d.precedence + n, T(0));
}

}  // namespace nca

#endif  // NCA_TF_MEMORY_NATIVE_ACCESS_H_
