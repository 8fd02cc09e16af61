/// @file
/// Features of images and frames as values. License: Apache-2.0.
#ifndef SAM2_FEATURES_HPP
#define SAM2_FEATURES_HPP

#include <sam2/handle.hpp>
#include <sam2/result.hpp>

#include <cstdint>

namespace sam2 {
inline namespace SAM2_CPP_FORM_ {

/// Features of images or of a frame that were encoded. See ::sam2_features.
class features : public detail::handle<sam2_features, sam2_features_destroy> {
  public:
    using handle::handle;

    /// Gets the number of bytes of the device's memory.
    result<std::uint64_t> bytes() const {
        std::uint64_t bytes = 0;
        return detail::give<std::uint64_t>(sam2_features_get_bytes(get(), &bytes), [&] { return bytes; });
    }
    // Passes the handle to a call, which takes it over unless it refuses it.
    template <class F> result<void> pass(F set) {
        auto status = set(get());
        if (status == SAM2_OK || status == SAM2_ERROR_DEVICE) (void)release();
        return detail::done(status);
    }
};

}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#endif
