/// @file
/// Image files. License: Apache-2.0.
#ifndef SAM2_PICTURE_HPP
#define SAM2_PICTURE_HPP

#include <sam2/handle.hpp>
#include <sam2/result.hpp>
#include <sam2/span.hpp>

#include <cstdint>
#include <string>

namespace sam2 {
inline namespace SAM2_CPP_FORM_ {

/// A decoded image file. See ::sam2_picture.
class picture : public detail::handle<sam2_picture, sam2_picture_destroy> {
  public:
    using handle::handle;

    /// Reads a PNG, JPEG, WebP, BMP, TIFF, GIF or PNM file. See sam2_picture_read_with().
    static result<picture> read(const std::string& path, const sam2_picture_options& options = SAM2_PICTURE_OPTIONS_INIT) {
        sam2_picture* p = nullptr;
        return detail::give<picture>(sam2_picture_read_with(path.c_str(), &options, &p), [&] { return picture(p); });
    }
    /// Decodes an image file in memory, which is not used after the call. See sam2_picture_decode().
    static result<picture> decode(
        span<const std::uint8_t> file, const sam2_picture_options& options = SAM2_PICTURE_OPTIONS_INIT) {
        sam2_picture* p = nullptr;
        auto status = sam2_picture_decode(file.data(), file.size(), &options, &p);
        return detail::give<picture>(status, [&] { return picture(p); });
    }
    /// Describes the file as an image. This object owns the pixels.
    result<sam2_image> image() const {
        sam2_image image = SAM2_IMAGE_INIT;
        return detail::give<sam2_image>(sam2_picture_get_image(get(), &image), [&] { return image; });
    }
};

}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#endif
