/// @file
/// A view of contiguous values. License: Apache-2.0.
#ifndef SAM2_SPAN_HPP
#define SAM2_SPAN_HPP

#include <sam2/form.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>

namespace sam2 {
inline namespace SAM2_CPP_FORM_ {

/// View of contiguous values that another object owns, such as a vector or an array.
template <class T> class span {
    // Whether the values of a container are values of this type, with or without const.
    template <class C>
    using fits = std::enable_if_t<
        std::is_convertible_v<std::remove_pointer_t<decltype(std::declval<C>().data())> (*)[], T (*)[]>>;

  public:
    span() = default;
    span(T* data, std::size_t size) : data_(data), size_(size) {}
    template <std::size_t N> span(T (&values)[N]) : data_(values), size_(N) {}
    template <class C, class = fits<C&>> span(C& c) : data_(c.data()), size_(c.size()) {}
    template <class C, class = fits<const C&>> span(const C& c) : data_(c.data()), size_(c.size()) {}
    T* data() const { return data_; }
    std::size_t size() const { return size_; }
    T* begin() const { return data_; }
    T* end() const { return data_ + size_; }
    T& operator[](std::size_t i) const { return data_[i]; }

  private:
    T* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#endif
