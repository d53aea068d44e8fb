// The memory access of native_access.h as two TensorFlow operations.
//
// Shapes: as there, with a batch in front; keep [B] or [0] (all ones); order
// [B, N] or [0] (to be found). Each row of a batch runs on one thread.

#include "native_access.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/util/work_sharder.h"

namespace {

using nca::Sizes;
using nca::State;
using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using tensorflow::shape_inference::InferenceContext;

// What both operations share: attributes, states among inputs and outputs, and
// the rows of the batch over threads.
template <typename T>
class AccessOp : public OpKernel {
 public:
  explicit AccessOp(OpKernelConstruction* c) : OpKernel(c) {
    OP_REQUIRES_OK(c, c->GetAttr("read_heads", &heads_));
    OP_REQUIRES_OK(c, c->GetAttr("paper", &paper_));
    OP_REQUIRES(c, 0 < heads_ && heads_ <= 8,
                tensorflow::errors::InvalidArgument("read_heads must be 1..8"));
  }

 protected:
  static const T* In(OpKernelContext* c, int i) {
    return c->input(i).flat<T>().data();
  }

  static State<const T> StateIn(OpKernelContext* c, int i) {
    return {In(c, i),     In(c, i + 1), In(c, i + 2),
            In(c, i + 3), In(c, i + 4), In(c, i + 5)};
  }

  // Outputs from `out` on like the inputs from `in` on; memory and link in
  // place where nobody else holds them.
  static bool StateOut(OpKernelContext* c, int in, int out, State<T>* state) {
    T* data[6];
    for (int i = 0; i < 6; ++i) {
      Tensor* tensor = nullptr;
      const auto status =
          i == 0 || i == 4
              ? c->forward_input_or_allocate_output(
                    {in + i}, out + i, c->input(in + i).shape(), &tensor)
              : c->allocate_output(out + i, c->input(in + i).shape(), &tensor);
      c->SetStatus(status);
      if (!status.ok()) return false;
      data[i] = tensor->flat<T>().data();
    }
    *state = {data[0], data[1], data[2], data[3], data[4], data[5]};
    return true;
  }

  Sizes SizesOf(const Tensor& memory) const {
    return {static_cast<int>(memory.dim_size(1)),
            static_cast<int>(memory.dim_size(2)), heads_, paper_};
  }

  template <typename F>
  static void Rows(OpKernelContext* c, const Sizes& s, F function) {
    const int64_t batch = c->input(2).dim_size(0);
    const int64_t size = std::max(s.slots, std::max(s.words, s.heads));
    const std::vector<T> zeros(s.slots * size);
    const T* z = zeros.data();
    const bool all = c->input(1).NumElements() == 0;
    const T* keep = In(c, 1);
    const State<const T> before = StateIn(c, 2);
    const auto& workers = *c->device()->tensorflow_cpu_worker_threads();
    const int64_t cost = int64_t{4} * s.slots * (s.slots + 4 * s.words);
    tensorflow::Shard(
        workers.num_threads, workers.workers, batch, cost,
        [&](int64_t first, int64_t last) {
          for (int64_t b = first; b < last; ++b) {
            const bool kept = all || keep[b] != T(0);
            function(b, kept, kept ? before.At(b, s)
                                   : State<const T>{z, z, z, z, z, z});
          }
        });
  }

  int heads_;
  bool paper_;
};

template <typename T>
class ForwardOp : public AccessOp<T> {
 public:
  using AccessOp<T>::AccessOp;

  void Compute(OpKernelContext* c) override {
    const Sizes s = this->SizesOf(c->input(2));
    const int64_t batch = c->input(2).dim_size(0);
    const bool sorted = c->input(8).NumElements() > 0;
    Tensor *words, *order;
    State<T> after;
    OP_REQUIRES_OK(c, c->allocate_output(
                          0, TensorShape({batch, s.heads, s.words}), &words));
    if (!this->StateOut(c, 2, 1, &after)) return;
    OP_REQUIRES_OK(
        c, c->allocate_output(7, TensorShape({batch, s.slots}), &order));
    auto orders = order->flat<int32_t>();
    if (sorted) orders = c->input(8).flat<int32_t>();
    const T* raw = this->In(c, 0);
    T* out = words->flat<T>().data();
    this->Rows(c, s, [&](int64_t b, bool, State<const T> before) {
      nca::Forward(s, raw + b * s.raw(), before, sorted,
              orders.data() + b * s.slots, after.At(b, s),
              out + b * s.heads * s.words);
    });
  }
};

template <typename T>
class BackwardOp : public AccessOp<T> {
 public:
  using AccessOp<T>::AccessOp;

  // Inputs: raw, keep, the state before (2..7), of the state after memory,
  // usage, write and read weights (8..11), order (12), d_words (13), and the
  // gradient of the state after (14..19).
  void Compute(OpKernelContext* c) override {
    const Sizes s = this->SizesOf(c->input(2));
    const int64_t n = s.slots;
    Tensor* d_raw;
    State<T> d_before;
    OP_REQUIRES_OK(c, c->allocate_output(0, c->input(0).shape(), &d_raw));
    if (!this->StateOut(c, 14, 1, &d_before)) return;
    const State<const T> d_after = this->StateIn(c, 14);
    const int32_t* order = c->input(12).flat<int32_t>().data();
    T* out = d_raw->flat<T>().data();
    this->Rows(c, s, [&](int64_t b, bool kept, State<const T> before) {
      nca::Backward(s, this->In(c, 0) + b * s.raw(), before,
               this->In(c, 8) + b * n * s.words, this->In(c, 9) + b * n,
               this->In(c, 10) + b * n, this->In(c, 11) + b * n * s.heads,
               order + b * n, this->In(c, 13) + b * s.heads * s.words,
               d_after.At(b, s), out + b * s.raw(), d_before.At(b, s));
      if (!kept) nca::Clear(s, d_before.At(b, s));
    });
  }
};

}  // namespace

REGISTER_OP("NcaDncForward")
    .Attr("T: {float, double}")
    .Attr("read_heads: int")
    .Attr("paper: bool")
    .Attr("parts: int")
    .Input("raw: T")
    .Input("keep: T")
    .Input("state: parts * T")
    .Input("order: int32")
    .Output("words: T")
    .Output("next: parts * T")
    .Output("next_order: int32")
    .SetShapeFn([](InferenceContext* c) {
      int heads;
      TF_RETURN_IF_ERROR(c->GetAttr("read_heads", &heads));
      const auto memory = c->input(2), usage = c->input(3);
      c->set_output(0, c->MakeShape({c->Dim(usage, 0), c->MakeDim(heads),
                                     c->Dim(memory, 2)}));
      for (int i = 0; i < 6; ++i) c->set_output(1 + i, c->input(2 + i));
      c->set_output(7, usage);
      return absl::OkStatus();
    });

REGISTER_OP("NcaDncBackward")
    .Attr("T: {float, double}")
    .Attr("read_heads: int")
    .Attr("paper: bool")
    .Attr("parts: int")
    .Attr("kept: int")
    .Input("raw: T")
    .Input("keep: T")
    .Input("state: parts * T")
    .Input("after: kept * T")
    .Input("order: int32")
    .Input("d_words: T")
    .Input("d_after: parts * T")
    .Output("d_raw: T")
    .Output("d_state: parts * T")
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->input(0));
      for (int i = 0; i < 6; ++i) c->set_output(1 + i, c->input(2 + i));
      return absl::OkStatus();
    });

#define NCA_REGISTER(T)                                                      \
  REGISTER_KERNEL_BUILDER(Name("NcaDncForward")                              \
                              .Device(tensorflow::DEVICE_CPU)                \
                              .TypeConstraint<T>("T"),                       \
                          ForwardOp<T>)                                      \
  REGISTER_KERNEL_BUILDER(Name("NcaDncBackward")                             \
                              .Device(tensorflow::DEVICE_CPU)                \
                              .TypeConstraint<T>("T"),                       \
                          BackwardOp<T>)
NCA_REGISTER(float)
NCA_REGISTER(double)
