/// @file
/// Memory of the caller for masks. License: Apache-2.0.
#ifndef SAM2_MASK_BUFFER_HPP
#define SAM2_MASK_BUFFER_HPP

#include <sam2/span.hpp>

#include <cstdint>

namespace sam2 {
inline namespace SAM2_CPP_FORM_ {

/// Memory of the caller that receives masks, one after another, or one map. See ::sam2_mask_buffer.
struct mask_buffer : sam2_mask_buffer {
    mask_buffer() : sam2_mask_buffer(SAM2_MASK_BUFFER_INIT) {}
    mask_buffer(const sam2_mask_buffer& c) : sam2_mask_buffer(c) {}

    /// One byte for each pixel: 1 on the object, otherwise 0.
    static mask_buffer binary(span<std::uint8_t> to) { return of(SAM2_MASK_BINARY, to); }
    /// One logit for each pixel.
    static mask_buffer logits(span<float> to) { return of(SAM2_MASK_LOGITS, to); }
    /// One bit for each pixel. A row takes (width + 7) / 8 bytes.
    static mask_buffer bits(span<std::uint8_t> to) { return of(SAM2_MASK_BITS, to); }
    /// One map: 0, or 1 + the index of the mask.
    static mask_buffer labels(span<std::uint16_t> to) { return of(SAM2_MASK_LABELS, to); }
    /// One map of a video: 0, or the id of the object, which is 1 to 255.
    static mask_buffer ids(span<std::uint8_t> to) { return of(SAM2_MASK_IDS8, to); }
    /// One map of a video: 0, or the id of the object, which is 1 to 65535.
    static mask_buffer ids(span<std::uint16_t> to) { return of(SAM2_MASK_IDS16, to); }

    /// The same memory with a number of bytes from a row to the next, and from a mask to the next. 0 means no gaps.
    mask_buffer strides(std::uint64_t row, std::uint64_t plane = 0) const {
        mask_buffer out = *this;
        out.row_stride = row, out.plane_stride = plane;
        return out;
    }
    /// The same memory with the bottom row first.
    mask_buffer flipped() const {
        mask_buffer out = *this;
        out.flip = 1;
        return out;
    }

  private:
    template <class T> static mask_buffer of(sam2_mask_format format, span<T> to) {
        mask_buffer out;
        out.format = format, out.data = to.data(), out.size = to.size() * sizeof(T);
        return out;
    }
};

}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#endif
