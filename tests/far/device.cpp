// A device that is not the CPU, on a machine that has none.
//
// Its tensors lie in memory of their own, and every operation on them is done by the
// CPU. But it refuses what a GPU refuses: tensors of two devices in one operation, a
// generator of another device, NumPy, pinning what does not lie on the CPU; and, where
// FAR_HAS_NO_FLOAT64 is set, float64. It computes what the CPU computes, bit for bit.

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <tuple>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/GeneratorForPrivateuseone.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/set_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/Allocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

using at::IntArrayRef;
using at::Tensor;
using std::optional;

namespace {

constexpr auto FAR = c10::DeviceType::PrivateUse1;
const c10::Device HERE(FAR, 0);
const c10::DispatchKeySet KEYS(c10::DispatchKey::PrivateUse1);

// ---- memory ----

void release(void* memory) { std::free(memory); }

struct Allocator final : c10::Allocator {
  c10::DataPtr allocate(size_t n) override {
    void* memory = n ? std::aligned_alloc(64, (n + 63) / 64 * 64) : nullptr;
    return {memory, memory, &release, HERE};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t n) const override {
    std::memcpy(to, from, n);
  }
};

Allocator allocator;

// ---- streams: there is one, and nothing is waited for ----

struct Guard final : c10::impl::DeviceGuardImplInterface {
  static c10::Stream stream() { return c10::Stream(c10::Stream::DEFAULT, HERE); }
  c10::DeviceType type() const override { return FAR; }
  c10::Device exchangeDevice(c10::Device) const override { return HERE; }
  c10::Device getDevice() const override { return HERE; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  c10::Stream getStream(c10::Device) const override { return stream(); }
  c10::Stream getDefaultStream(c10::Device) const override { return stream(); }
  c10::Stream getNewStream(c10::Device, int) const override { return stream(); }
  c10::Stream exchangeStream(c10::Stream) const override { return stream(); }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void record(void**, const c10::Stream&, const c10::DeviceIndex,
              const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void synchronizeEvent(void*) const override {}
  void destroyEvent(void*, const c10::DeviceIndex) const noexcept override {}
};

// ---- random streams: the CPU's, under another name ----

struct Generator final : c10::GeneratorImpl {
  at::Generator cpu;
  explicit Generator(at::Generator cpu)
      : c10::GeneratorImpl(HERE, KEYS), cpu(std::move(cpu)) {}
  void set_current_seed(uint64_t seed) override { cpu.set_current_seed(seed); }
  void set_offset(uint64_t offset) override { cpu.set_offset(offset); }
  uint64_t get_offset() const override { return cpu.get_offset(); }
  uint64_t current_seed() const override { return cpu.current_seed(); }
  uint64_t seed() override { return cpu.seed(); }
  void set_state(const c10::TensorImpl& state) override {
    auto* impl = const_cast<c10::TensorImpl*>(&state);
    cpu.set_state(Tensor(c10::intrusive_ptr<c10::TensorImpl>::reclaim_copy(impl)));
  }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override {
    return cpu.get_state().unsafeReleaseIntrusivePtr();
  }
  Generator* clone_impl() const override { return new Generator(cpu.clone()); }
};

at::Generator new_generator() {
  return at::make_generator<Generator>(at::detail::createCPUGenerator());
}

struct Hooks final : at::PrivateUse1HooksInterface {
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  bool isPinnedPtr(const void*) const override { return false; }
  at::Device getDeviceFromPtr(void*) const override { return HERE; }
  at::Generator getNewGenerator(c10::DeviceIndex) const override {
    return new_generator();
  }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    static const at::Generator generator = new_generator();
    return generator;
  }
};

Hooks hooks;
const bool are_hooked = [] {
  at::RegisterPrivateUse1HooksInterface(&hooks);
  return true;
}();

// ---- tensors ----

void check(at::ScalarType type, optional<bool> pinned) {
  const bool is_wide = type == at::kDouble || type == at::kComplexDouble;
  TORCH_CHECK(!(is_wide && std::getenv("FAR_HAS_NO_FLOAT64")), "far has no float64");
  TORCH_CHECK(!pinned.value_or(false), "only tensors on the CPU can be pinned");
}

Tensor empty(IntArrayRef size, optional<at::ScalarType> dtype, optional<at::Layout>,
             optional<at::Device>, optional<bool> pinned,
             optional<at::MemoryFormat> format) {
  const auto type = c10::dtype_or_default(dtype);
  check(type, pinned);
  return at::detail::empty_generic(size, &allocator, KEYS, type, format);
}

Tensor empty_strided(IntArrayRef size, IntArrayRef stride,
                     optional<at::ScalarType> dtype, optional<at::Layout>,
                     optional<at::Device>, optional<bool> pinned) {
  const auto type = c10::dtype_or_default(dtype);
  check(type, pinned);
  return at::detail::empty_strided_generic(size, stride, &allocator, KEYS, type);
}

// The same memory, as the CPU sees it.
Tensor near(const Tensor& tensor) {
  if (tensor.device() != HERE) return tensor;
  const auto options = tensor.options().device(at::kCPU).requires_grad(false);
  auto seen =
      at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(), options);
  seen._set_conj(tensor.is_conj());
  seen._set_neg(tensor.is_neg());
  return seen;
}

Tensor copy_from(const Tensor& from, const Tensor& to, bool) {
  if (to.numel()) near(to).copy_(near(from).expand(to.sizes()));
  return to;
}

Tensor copy_from_and_resize(const Tensor& from, const Tensor& to) {
  if (!to.sizes().equals(from.sizes())) to.resize_(from.sizes());
  return copy_from(from, to, false);
}

at::Scalar item(const Tensor& tensor) { return near(tensor).item(); }

const Tensor& resize(const Tensor& tensor, IntArrayRef size,
                     optional<at::MemoryFormat>) {
  at::native::resize_impl_cpu_(tensor.unsafeGetTensorImpl(), size, std::nullopt);
  return tensor;
}

// ---- convolutions, which torch does not hand on ----

Tensor convolution(const Tensor& x, const Tensor& weight, const optional<Tensor>& bias,
                   IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation,
                   bool transposed, IntArrayRef output_padding, int64_t groups) {
  TORCH_CHECK(x.device() == weight.device(), "tensors of two devices: convolution");
  optional<Tensor> near_bias;
  if (bias && bias->defined()) near_bias = near(*bias);
  return at::convolution(near(x), near(weight), near_bias, stride, padding, dilation,
                         transposed, output_padding, groups)
      .to(HERE);
}

std::tuple<Tensor, Tensor, Tensor> convolution_backward(
    const Tensor& slope, const Tensor& x, const Tensor& weight, IntArrayRef stride,
    IntArrayRef padding, IntArrayRef dilation, bool transposed,
    IntArrayRef output_padding, int64_t groups, std::array<bool, 3> wanted) {
  const std::array<int64_t, 1> n_biases = {transposed ? weight.size(1) * groups
                                                      : weight.size(0)};
  auto [of_x, of_weight, of_bias] = at::convolution_backward(
      near(slope), near(x), near(weight), IntArrayRef(n_biases), stride, padding,
      dilation, transposed, output_padding, groups, wanted);
  const auto far = [](const Tensor& t) { return t.defined() ? t.to(HERE) : t; };
  return {far(of_x), far(of_weight), far(of_bias)};
}

// ---- all else: by the CPU, of tensors that lie together ----

// An index may lie on the CPU, and so may a number.
bool may_be_near(const std::string& name, size_t argument, const Tensor& tensor) {
  const bool indexes = name == "aten::index" || name == "aten::index_put_" ||
                       name == "aten::_index_put_impl_";
  return (indexes && argument > 0) || tensor.dim() == 0;
}

void fallback(const c10::OperatorHandle& op, c10::DispatchKeySet,
              torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const auto& name = schema.name();
  const auto n_arguments = schema.arguments().size();
  const auto begin = stack->size() - n_arguments;
  const auto look = [&](size_t argument, const Tensor& tensor) {
    const bool is_near = tensor.defined() && tensor.device().is_cpu();
    TORCH_CHECK(!is_near || may_be_near(name, argument, tensor),
                "tensors of two devices: ", name);
  };
  for (size_t i = 0; i < n_arguments; i++) {
    auto& value = (*stack)[begin + i];
    if (value.isTensor()) {
      look(i, value.toTensor());
    } else if (value.isList()) {
      for (const c10::IValue& each : value.toListRef())
        if (each.isTensor()) look(i, each.toTensor());
    } else if (value.isGenerator()) {
      const auto generator = value.toGenerator();
      TORCH_CHECK(generator.device() == HERE, "a generator of another device: ", name);
      value = static_cast<Generator*>(generator.unsafeGetGeneratorImpl())->cpu;
    }
  }
  at::native::cpu_fallback(op, stack);
}

}  // namespace

namespace at {
REGISTER_ALLOCATOR(FAR, &allocator);
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);
}  // namespace at

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("as_strided", at::native::as_strided_tensorimpl);
  m.impl("view", at::native::view);
  m.impl("_reshape_alias", at::native::_reshape_alias);
  m.impl("unfold", at::native::unfold);
  m.impl("resize_", resize);
  m.impl("set_.source_Storage_storage_offset", at::native::set_storage_cpu_);
  m.impl("set_.source_Storage", at::native::set_);
  m.impl("set_.source_Tensor", at::native::set_tensor_);
  m.impl("_copy_from", copy_from);
  m.impl("_copy_from_and_resize", copy_from_and_resize);
  m.impl("_local_scalar_dense", item);
  m.impl("convolution_overrideable", convolution);
  m.impl("convolution_backward_overrideable", convolution_backward);
}
