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

template <typename T>
T Dot(const T* __restrict a, const T* __restrict b, int n) {
  T sum = 0;
  for (int i = 0; i < n; ++i) sum += a[i] * b[i];
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
// results are added to forward and backward [R, N]. R is a template argument
// so that the loops over the heads unroll.
template <typename T, int R>
void LinkForward(const T* link, const T* __restrict p,
                 const T* __restrict w, const T* __restrict last, int slots,
                 T* next, T* __restrict forward,
                 T* __restrict backward) {
  for (int i = 0; i < slots; ++i) {
    const T* row = link + i * slots;
    T* out = next + i * slots;  // May be `row`.
    const T w_i = w[i], stay = T(1) - w_i;
    for (int j = 0; j < slots; ++j) out[j] = (stay - w[j]) * row[j] + w_i * p[j];
    out[i] = 0;
    T sum[R] = {}, at[R];
    for (int r = 0; r < R; ++r) at[r] = last[r * slots + i];
    for (int j = 0; j < slots; ++j) {
      for (int r = 0; r < R; ++r) {
        sum[r] += out[j] * last[r * slots + j];
        backward[r * slots + j] += out[j] * at[r];
      }
    }
    for (int r = 0; r < R; ++r) forward[r * slots + i] += sum[r];
  }
}

// The gradient of that, in one pass as well; see addressing_gradient.links.
// along, d_last [R, N] and d_w, d_p [N] are added to.
template <typename T, int R>
void LinkBackward(const T* __restrict link, const T* __restrict p,
                  const T* __restrict w, const T* __restrict last,
                  const T* __restrict d_read, const T* d_next,
                  const T* to_backward, const T* to_forward, int slots,
                  T* __restrict scratch, T* __restrict x, T* __restrict y,
                  T* d_link, T* __restrict d_w, T* __restrict d_p) {
  T* __restrict next = scratch;
  T* __restrict slope = scratch + slots;
  T* __restrict columns = scratch + 2 * slots;
  std::fill(columns, columns + slots, T(0));
  for (int i = 0; i < slots; ++i) {
    const T* __restrict row = link + i * slots;
    const T* d_row = d_next + i * slots;  // May be `out`.
    T* out = d_link + i * slots;
    const T w_i = w[i], stay = T(1) - w_i;
    T sum[R] = {}, at[R], by_last[R], by_read[R];
    for (int r = 0; r < R; ++r) {
      at[r] = d_read[r * slots + i];
      by_last[r] = last[r * slots + i] * to_backward[r];
      by_read[r] = at[r] * to_forward[r];
    }
    for (int j = 0; j < slots; ++j) {
      next[j] = (stay - w[j]) * row[j] + w_i * p[j];
      slope[j] = d_row[j];
    }
    next[i] = 0;
    for (int j = 0; j < slots; ++j) {
      T g = slope[j];
      for (int r = 0; r < R; ++r) {
        const T d = d_read[r * slots + j];
        sum[r] += next[j] * d;
        y[r * slots + j] += next[j] * at[r];
        g += by_last[r] * d + by_read[r] * last[r * slots + j];
      }
      slope[j] = g;
    }
    slope[i] = 0;
    T here = 0;
    for (int j = 0; j < slots; ++j) {
      const T by_link = slope[j] * row[j];
      here += slope[j] * p[j] - by_link;
      columns[j] += by_link;
      d_p[j] += w_i * slope[j];
      out[j] = (stay - w[j]) * slope[j];
    }
    d_w[i] += here;
    for (int r = 0; r < R; ++r) x[r * slots + i] += sum[r];
  }
  for (int j = 0; j < slots; ++j) d_w[j] -= columns[j];
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
  std::vector<T> x(cells), y(cells), scratch(3 * slots);
  std::vector<T> d_w(d_out.write, d_out.write + slots);
  std::fill(d_in.precedence, d_in.precedence + slots, T(0));
  switch (heads) {
#define NCA_HEADS(R)                                                         \
  case R:                                                                    \
    LinkBackward<T, R>(in.link, in.precedence, write, in.read,               \
                       d_read.data(), d_out.link, to_backward.data(),        \
                       to_forward.data(), slots, scratch.data(), x.data(),   \
                       y.data(), d_in.link, d_w.data(), d_in.precedence);    \
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
  T* d_vector = d_raw + f.vector_at;
  std::vector<T> d_row(width);
  for (int n = 0; n < slots; ++n) {
    const T* before = in.memory + n * width;
    const T* after = memory + n * width;
    for (int k = 0; k < width; ++k)
      d_row[k] = d_out.memory[n * width + k] + by_row[n] * after[k];
    for (int r = 0; r < heads; ++r) {
      Add(read[r * slots + n], d_words + r * width, d_row.data(), width);
      Add(d_dots[r * slots + n], f.read_keys + r * width, d_row.data(), width);
      Add(d_dots[r * slots + n], after, d_raw + r * width, width);
    }
    const T w = write[n];
    T here = 0;
    for (int k = 0; k < width; ++k) {
      const T d = d_row[k];
      here += d * (f.write_vector[k] - f.erase[k] * before[k]);
      d_vector[k] += w * d;
      d_erase[k] -= w * d * before[k];
      d_in.memory[n * width + k] = d * (T(1) - w * f.erase[k]);
    }
    d_w[n] += here;
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
