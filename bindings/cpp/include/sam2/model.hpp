/// @file
/// Models and the devices that they run on. License: Apache-2.0.
#ifndef SAM2_MODEL_HPP
#define SAM2_MODEL_HPP

#include <sam2/callback.hpp>
#include <sam2/handle.hpp>
#include <sam2/result.hpp>
#include <sam2/span.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace sam2 {
inline namespace SAM2_CPP_FORM_ {

/// The weights of a model on a device. See ::sam2_model.
class model : public detail::handle<sam2_model, sam2_model_destroy> {
  public:
    using handle::handle;

    /// Loads a checkpoint from a file or folder. See sam2_model_load().
    static result<model> load(const std::string& path, const sam2_model_options& options = SAM2_MODEL_OPTIONS_INIT) {
        sam2_model* p = nullptr;
        return detail::give<model>(sam2_model_load(path.c_str(), &options, &p), [&] { return model(p); });
    }
    /// Loads a checkpoint from a file or folder, until `on_progress(fraction)` returns false. It is called after every
    /// tensor, with the part of the model that is loaded, 0 to 1. The error is then SAM2_ERROR_CANCELLED.
    template <class F>
    static result<model> load_until(
        const std::string& path, F on_progress, sam2_model_options options = SAM2_MODEL_OPTIONS_INIT) {
        progress<F> state(std::move(on_progress));
        options.on_progress = progress<F>::call, options.user = &state;
        sam2_model* p = nullptr;
        auto status = state.ended(sam2_model_load(path.c_str(), &options, &p));
        return detail::give<model>(status, [&] { return model(p); });
    }
    /// Loads a checkpoint from memory, which is not used after the call.
    static result<model> load_memory(
        span<const std::uint8_t> data, const sam2_model_options& options = SAM2_MODEL_OPTIONS_INIT) {
        sam2_model* p = nullptr;
        return detail::give<model>(
            sam2_model_load_memory(data.data(), data.size(), &options, &p), [&] { return model(p); });
    }
    /// Loads a checkpoint from part of an open file. A size of 0 extends to the end of the file.
    static result<model> load_fd(
        int fd, std::uint64_t offset = 0, std::uint64_t size = 0,
        const sam2_model_options& options = SAM2_MODEL_OPTIONS_INIT) {
        sam2_model* p = nullptr;
        return detail::give<model>(sam2_model_load_fd(fd, offset, size, &options, &p), [&] { return model(p); });
    }
    /// Describes the model.
    result<sam2_model_info> info() const {
        sam2_model_info info = SAM2_MODEL_INFO_INIT;
        return detail::give<sam2_model_info>(sam2_model_get_info(get(), &info), [&] { return info; });
    }

  private:
    template <class F> struct progress : detail::calling {
        explicit progress(F f) : on_progress(std::move(f)) {}
        F on_progress;

        static std::int32_t call(void* user, float fraction) {
            auto* p = static_cast<progress*>(user);
            return p->run([&] { return !p->on_progress(fraction); });
        }
    };
};

/// Lists the NVIDIA GPUs of the machine. The list is empty if the driver is not installed.
inline result<std::vector<sam2_gpu_info>> gpus() {
    std::uint32_t count = 0;
    std::vector<sam2_gpu_info> all;
    auto status = sam2_gpu_get_count(&count);
    for (std::uint32_t i = 0; i < count && status == SAM2_OK; i++) {
        all.push_back(SAM2_GPU_INFO_INIT);
        status = sam2_gpu_get_info(i, &all.back());
    }
    return detail::give<std::vector<sam2_gpu_info>>(status, [&] { return std::move(all); });
}

}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#endif
