// One DNC memory access and its gradient, fused: `access_gradient` in C++.
//
// Graves et al. (2016), Methods. The names and the equations are those of
// access_gradient.py and addressing_gradient.py, which derive them and are the
// oracle in the tests. Everything here is for one row of a batch: each pass reads
// the link matrix and the memory once, row by row.
//
// Shapes: raw [S]; memory [N, W]; usage, write weights w, precedence p, order
// [N]; read weights [R, N]; link [N, N]; words [R, W]. A `d_` is the gradient
// with respect to what follows.

#ifndef NCA_TF_MEMORY_UNROLLED_NATIVE_ACCESS_H_
#define NCA_TF_MEMORY_UNROLLED_NATIVE_ACCESS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "native_addressing.h"

namespace nca {

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

#endif  // NCA_TF_MEMORY_UNROLLED_NATIVE_ACCESS_H_
