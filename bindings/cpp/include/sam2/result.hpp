/// @file
/// Values and errors of calls. License: Apache-2.0.
#ifndef SAM2_RESULT_HPP
#define SAM2_RESULT_HPP

#include <sam2/form.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

namespace sam2 {
inline namespace SAM2_CPP_FORM_ {

/// Reason for the failure of a call.
struct error {
    sam2_status status;   ///< A SAM2_ERROR_ constant.
    std::string message;  ///< Description in English.
    int number = 0;       ///< Number of errno.h if the system refused a file, such as ENOENT. Otherwise 0.
};

namespace detail {
// Gets the latest failure of the calling thread.
inline error last_error(sam2_status status) {
    return {status, sam2_last_error(), sam2_last_errno()};
}
}  // namespace detail

#if SAM2_CPP_UNWINDS_
/// Exception for a failed call.
class failure : public std::exception {
  public:
    explicit failure(sam2::error e) : error_(std::move(e)) {}
    const char* what() const noexcept override { return error_.message.c_str(); }
    sam2_status status() const noexcept { return error_.status; }
    const sam2::error& error() const noexcept { return error_; }

  private:
    sam2::error error_;
};
#endif

#ifdef SAM2_CPP_EXCEPTIONS

/// A value. Calls throw sam2::failure instead of returning an error.
template <class T> using result = T;

namespace detail {
// Returns the value of a call that succeeded.
template <class T, class F> T give(sam2_status status, F value) {
    if (status != SAM2_OK) throw failure(last_error(status));
    return value();
}
// Returns an error that is found before a call.
template <class T> result<T> wrong(const char* what) {
    throw failure({SAM2_ERROR_INVALID_ARGUMENT, what});
}
}  // namespace detail

#else

namespace detail {
// Reports that a result is accessed incorrectly.
[[noreturn]] inline void misread(error e) {
#if SAM2_CPP_UNWINDS_
    throw failure(std::move(e));
#else
    std::fprintf(stderr, "%s\n", e.message.c_str());
    std::abort();
#endif
}

// Common part of all results.
template <class T> class result_base {
  public:
    bool has_value() const noexcept { return all_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }
    /// Gets the error. The result must have failed.
    const sam2::error& error() const {
        if (has_value()) misread({SAM2_ERROR_INVALID_ARGUMENT, "the error of a sam2::result that has a value"});
        return *std::get_if<1>(&all_);
    }

  protected:
    explicit result_base(T value) : all_(std::in_place_index<0>, std::move(value)) {}
    explicit result_base(sam2::error e) : all_(std::in_place_index<1>, std::move(e)) {}
    void check() const {
        if (has_value()) return;
        sam2::error e = error();
        e.message = "the value of a sam2::result that failed: " + e.message;
        misread(std::move(e));
    }
    std::variant<T, sam2::error> all_;
};
}  // namespace detail

/// A value or an error. Accessing the value of a failed result throws sam2::failure. If exceptions are disabled in the
/// compiler, it prints the error and aborts the program.
template <class T> class [[nodiscard]] result : public detail::result_base<T> {
  public:
    using value_type = T;
    result(T value) : detail::result_base<T>(std::move(value)) {}
    result(sam2::error e) : detail::result_base<T>(std::move(e)) {}
    T& value() & { return this->check(), *std::get_if<0>(&this->all_); }
    const T& value() const& { return this->check(), *std::get_if<0>(&this->all_); }
    T&& value() && { return std::move(value()); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(value()); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }
    template <class U> T value_or(U&& other) const& {
        return this->has_value() ? value() : static_cast<T>(std::forward<U>(other));
    }
    template <class U> T value_or(U&& other) && {
        return this->has_value() ? std::move(value()) : static_cast<T>(std::forward<U>(other));
    }
};

/// Success or an error.
template <> class [[nodiscard]] result<void> : public detail::result_base<std::monostate> {
  public:
    using value_type = void;
    result() : result_base(std::monostate()) {}
    result(sam2::error e) : result_base(std::move(e)) {}
    void value() const { check(); }
    void operator*() const { check(); }
};

namespace detail {
// Returns the value of a call that succeeded, or its error.
template <class T, class F> result<T> give(sam2_status status, F value) {
    if (status != SAM2_OK) return last_error(status);
    if constexpr (std::is_void_v<T>)
        return {};
    else
        return value();
}
// Returns an error that is found before a call.
template <class T> result<T> wrong(const char* what) {
    return sam2::error{SAM2_ERROR_INVALID_ARGUMENT, what};
}
}  // namespace detail

#endif

namespace detail {
inline result<void> done(sam2_status status) {
    return give<void>(status, [] {});
}
}  // namespace detail

}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#endif
