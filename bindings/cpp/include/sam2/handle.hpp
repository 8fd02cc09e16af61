/// @file
/// Owners of handles. License: Apache-2.0.
#ifndef SAM2_HANDLE_HPP
#define SAM2_HANDLE_HPP

#include <sam2/form.hpp>

#include <memory>

namespace sam2 {
inline namespace SAM2_CPP_FORM_ {
namespace detail {

// Owner of a handle, which it destroys.
template <class T, sam2_status (*Destroy)(T*)> class handle {
  public:
    explicit handle(T* p) {
        if (p) p_.reset(p, Destroy);
    }
    handle(handle&&) noexcept = default;
    handle& operator=(handle&&) noexcept = default;
    /// Gets the handle for functions of sam2.h. This object keeps it.
    T* get() const { return p_.get(); }

  protected:
    // A share of the handle, for a job. The last share destroys the handle.
    std::shared_ptr<void> share() const { return p_; }

  private:
    std::shared_ptr<T> p_;
};

}  // namespace detail
}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#endif
