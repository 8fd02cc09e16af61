/// @file
/// Owners of handles. License: Apache-2.0.
#ifndef SAM2_HANDLE_HPP
#define SAM2_HANDLE_HPP

#include <sam2/form.hpp>

#include <memory>

namespace sam2 {
inline namespace SAM2_CPP_FORM_ {
namespace detail {

// Owner of a handle, which it destroys. A predictor or generator ends the call or job that uses it.
template <class T, sam2_status (*Destroy)(T*)> class handle {
  public:
    explicit handle(T* p) : p_(p) {}
    handle(handle&&) noexcept = default;
    handle& operator=(handle&&) noexcept = default;
    /// Gets the handle for functions of sam2.h. This object keeps it.
    T* get() const { return p_.get(); }

  protected:
    // Gives the handle away.
    T* release() { return p_.release(); }

  private:
    struct deleter {
        void operator()(T* p) const { Destroy(p); }
    };
    std::unique_ptr<T, deleter> p_;
};

}  // namespace detail
}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#endif
