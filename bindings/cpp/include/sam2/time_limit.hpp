/// @file
/// A limit of the time of calls. License: Apache-2.0.
#ifndef SAM2_TIME_LIMIT_HPP
#define SAM2_TIME_LIMIT_HPP

#include <sam2/form.hpp>

#include <cstdint>

namespace sam2 {
inline namespace SAM2_CPP_FORM_ {

/// Limits the time of the calls that this thread begins while the object exists, and of the jobs that they start. A call
/// that takes longer fails with SAM2_ERROR_TIMED_OUT. Afterwards the limit is as before. See sam2_set_time_limit().
class [[nodiscard]] time_limit {
  public:
    explicit time_limit(std::uint64_t milliseconds) { sam2_set_time_limit(milliseconds, &before_); }
    time_limit(const time_limit&) = delete;
    time_limit& operator=(const time_limit&) = delete;
    ~time_limit() { sam2_set_time_limit(before_, nullptr); }

  private:
    std::uint64_t before_ = SAM2_WAIT_FOREVER;
};

}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#endif
