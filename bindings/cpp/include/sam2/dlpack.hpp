/// @file
/// Tensors of DLPack. Include dlpack.h before this file for the functions that own tensors. License: Apache-2.0.
#ifndef SAM2_DLPACK_HPP
#define SAM2_DLPACK_HPP

#include <sam2/model.hpp>
#include <sam2/result.hpp>
#include <sam2/span.hpp>

#include <cstdint>
#include <memory>

namespace sam2 {
inline namespace SAM2_CPP_FORM_ {

#ifdef DLPACK_DLPACK_H_
/// Calls the deleter of a tensor.
struct tensor_deleter {
    void operator()(DLManagedTensorVersioned* t) const { t->deleter(t); }
};
/// Owner of a tensor.
using tensor = std::unique_ptr<DLManagedTensorVersioned, tensor_deleter>;

/// Creates a tensor for masks. See sam2_tensor_create().
inline result<tensor> make_tensor(
    const model& m, sam2_mask_format format, sam2_memory memory, span<const std::int64_t> dims) {
    DLManagedTensorVersioned* t = nullptr;
    auto status = sam2_tensor_create(m.get(), format, memory, dims.data(), static_cast<std::uint32_t>(dims.size()), &t);
    return detail::give<tensor>(status, [&] { return tensor(t); });
}
#endif

/// Describes a tensor as an image. The caller keeps the tensor. See sam2_image_from_dlpack().
inline result<sam2_image> image_from_dlpack(const DLManagedTensorVersioned* t) {
    sam2_image image = SAM2_IMAGE_INIT;
    return detail::give<sam2_image>(sam2_image_from_dlpack(t, &image), [&] { return image; });
}
/// Describes a tensor as a buffer for masks. The caller keeps the tensor. See sam2_mask_buffer_from_dlpack().
inline result<sam2_mask_buffer> mask_buffer_from_dlpack(const DLManagedTensorVersioned* t) {
    sam2_mask_buffer buffer = SAM2_MASK_BUFFER_INIT;
    return detail::give<sam2_mask_buffer>(sam2_mask_buffer_from_dlpack(t, &buffer), [&] { return buffer; });
}

}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#endif
