/// @file
/// Messages of the library. License: Apache-2.0.
#ifndef SAM2_LOG_HPP
#define SAM2_LOG_HPP

#include <sam2/result.hpp>

#include <functional>
#include <memory>
#include <utility>

namespace sam2 {
inline namespace SAM2_CPP_FORM_ {

/// Receives a level and a message, on any thread and on several threads at the same time. It must not throw.
using log_callback = std::function<void(sam2_log_level level, const char* message)>;

namespace detail {
inline void log(void* user, sam2_log_level level, const char* message) noexcept {
    (*static_cast<log_callback*>(user))(level, message);
}
}  // namespace detail

/// Sets the log callback of the process, or none. The previous callback is destroyed. See sam2_set_log_callback(). Two
/// threads must not call this function at the same time.
inline result<void> set_log_callback(sam2_log_level level, log_callback callback) {
    // Never destroyed, because threads of the library may log until the process ends.
    static auto& current = *new std::unique_ptr<log_callback>;
    auto next = callback ? std::make_unique<log_callback>(std::move(callback)) : nullptr;
    auto status = sam2_set_log_callback(level, next ? detail::log : nullptr, next.get());
    if (status == SAM2_OK) current = std::move(next);
    return detail::done(status);
}

}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#endif
