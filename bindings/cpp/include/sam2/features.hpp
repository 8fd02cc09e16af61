/// @file
/// Features of images and frames as values. License: Apache-2.0.
#ifndef SAM2_FEATURES_HPP
#define SAM2_FEATURES_HPP

#include <sam2/result.hpp>

#include <cstdint>
#include <memory>

namespace sam2 {
inline namespace SAM2_CPP_FORM_ {

/// Features of images or of a frame that were encoded. See ::sam2_features.
class features {
  public:
    explicit features(sam2_features* p) : p_(p) {}
    /// Gets the handle for functions of sam2.h. This object keeps it.
    sam2_features* get() const { return p_.get(); }
    /// Gets the number of bytes of the device's memory.
    result<std::uint64_t> bytes() const {
        std::uint64_t bytes = 0;
        return detail::give<std::uint64_t>(sam2_features_get_bytes(get(), &bytes), [&] { return bytes; });
    }
    // Passes the handle to a call, which takes it over unless it refuses it.
    template <class F> result<void> pass(F set) {
        auto status = set(get());
        if (status == SAM2_OK || status == SAM2_ERROR_DEVICE) (void)p_.release();
        return detail::done(status);
    }

  private:
    struct deleter {
        void operator()(sam2_features* p) const { sam2_features_destroy(p); }
    };
    std::unique_ptr<sam2_features, deleter> p_;
};

}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#endif
