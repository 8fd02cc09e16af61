/// @file
/// What callbacks of the library keep until the call has ended. License: Apache-2.0.
#ifndef SAM2_CALLBACK_HPP
#define SAM2_CALLBACK_HPP

#include <sam2/form.hpp>

#include <cstdint>
#include <exception>

namespace sam2 {
inline namespace SAM2_CPP_FORM_ {
namespace detail {

// State of a call whose callbacks run functions of the program.
class calling {
  public:
    // Runs a callback. Returns its result, or 1 to end the call after an exception.
    template <class F> std::int32_t run(F work) {
#if SAM2_CPP_UNWINDS_
        if (thrown_) return 1;
        try {
            return work();
        } catch (...) {
            thrown_ = std::current_exception();
            return 1;
        }
#else
        return work();
#endif
    }
    // Runs a callback that returns whether to continue. Ending the call in this way is not an error.
    template <class F> std::int32_t run_until_false(F work) {
        return run([&] { return left_ = !work(); });
    }
    // Gets the status after the call, and rethrows the exception of a callback.
    sam2_status ended(sam2_status status) const {
#if SAM2_CPP_UNWINDS_
        if (thrown_) std::rethrow_exception(thrown_);
#endif
        return left_ && status == SAM2_ERROR_CANCELLED ? SAM2_OK : status;
    }

  private:
    bool left_ = false;
#if SAM2_CPP_UNWINDS_
    std::exception_ptr thrown_ = nullptr;
#endif
};

// A call with a result.
template <class T> struct kept : calling {
    T value{};
};
template <> struct kept<void> : calling {};

}  // namespace detail
}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#endif
