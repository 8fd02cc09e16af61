/// @file
/// Calls that run on threads of the library. License: Apache-2.0.
#ifndef SAM2_JOB_HPP
#define SAM2_JOB_HPP

#include <sam2/callback.hpp>
#include <sam2/handle.hpp>
#include <sam2/result.hpp>

#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

namespace sam2 {
inline namespace SAM2_CPP_FORM_ {

/// A call that runs on a thread of the library, and its result. The destructor waits for the end of the call. The predictor
/// may be destroyed first, which ends the call.
template <class T = void> class job {
  public:
    // Takes a job whose callbacks write to `out`.
    job(sam2_job* p, std::shared_ptr<detail::kept<T>> out) : out_(std::move(out)), handle_(p) {}
    job(job&&) noexcept = default;
    job& operator=(job&& other) noexcept {
        std::swap(out_, other.out_), std::swap(handle_, other.handle_);
        return *this;
    }

    /// Waits for at most the given time. Returns whether the job has ended. Fails if the call has failed.
    result<bool> wait(std::uint64_t milliseconds = SAM2_WAIT_FOREVER) const {
        auto how = ended(milliseconds);
        if (how == SAM2_ERROR_BUSY) return false;
        return detail::give<bool>(how, [] { return true; });
    }
    /// Ends the call with SAM2_ERROR_CANCELLED. Does not wait.
    result<void> cancel() const { return detail::done(sam2_job_cancel(handle_.get())); }
    /// Waits for the end and moves the result out. May be called once.
    result<T> get() {
        return detail::give<T>(ended(SAM2_WAIT_FOREVER), [&] {
            if constexpr (!std::is_void_v<T>) return std::move(out_->value);
        });
    }

  private:
    // Gets the status of the job and rethrows exceptions of its callbacks. SAM2_ERROR_BUSY means that it is running.
    sam2_status ended(std::uint64_t milliseconds) const {
        sam2_status how = SAM2_OK;
        auto status = sam2_job_wait(handle_.get(), milliseconds, &how);
        return status != SAM2_OK ? status : out_->ended(how);
    }
    // Declared first, because the destructor of the handle waits for the job.
    std::shared_ptr<detail::kept<T>> out_;
    detail::handle<sam2_job, sam2_job_destroy> handle_;
};

namespace detail {
// Returns the job that a call has started.
template <class T> result<job<T>> started(sam2_status status, sam2_job* p, std::shared_ptr<kept<T>> out) {
    return give<job<T>>(status, [&] { return job<T>(p, std::move(out)); });
}
}  // namespace detail

}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#endif
