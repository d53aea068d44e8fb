// Addressing and its gradients in C++: content, allocation, temporal links.
//
// Graves et al. (2016), Methods. The equations are those of addressing.py and
// addressing_gradient.py, which are the oracle in the tests. Everything here is
// for one row of a batch; shapes and names are as in native_access.h.

#ifndef NCA_TF_MEMORY_UNROLLED_NATIVE_ADDRESSING_H_
#define NCA_TF_MEMORY_UNROLLED_NATIVE_ADDRESSING_H_

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

// The slots by rising usage, ties by index. Sorts integers of the same order as
// the numbers, so that a NaN cannot break the sort.
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
  T later = 0;
  for (int k = slots - 1; k >= 0; --k) {
    const int n = order[k];
    const T free = scale * (T(1) - usage[n]);
    d_usage[n] -= scale * below[k] * (d_weights[n] - later);
    later = free * d_weights[n] + (T(1) - free) * later;
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

// Inputs of the link's gradient, and the sums that it adds to: x, y [R, N] and
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

}  // namespace nca

#endif  // NCA_TF_MEMORY_UNROLLED_NATIVE_ADDRESSING_H_
