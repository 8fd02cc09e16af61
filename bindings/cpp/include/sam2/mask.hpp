/// @file
/// Masks as run-length strings, label maps, outlines and files. License: Apache-2.0.
#ifndef SAM2_MASK_HPP
#define SAM2_MASK_HPP

#include <sam2/result.hpp>
#include <sam2/span.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace sam2 {
inline namespace SAM2_CPP_FORM_ {

/// Encodes a mask (height, width) as a COCO run-length string.
inline result<std::string> encode_rle(span<const std::uint8_t> mask, std::uint32_t width, std::uint32_t height) {
    if (mask.size() != std::size_t(width) * height) return detail::wrong<std::string>("a mask of another size");
    std::size_t size = 0;
    auto status = sam2_mask_encode_rle(mask.data(), width, height, nullptr, &size);
    std::string text(size, 0);
    if (status == SAM2_OK) status = sam2_mask_encode_rle(mask.data(), width, height, text.data(), &size);
    return detail::give<std::string>(status, [&] { return text.pop_back(), std::move(text); });
}
/// Decodes a COCO run-length string to a mask (height, width), 1 on the object.
inline result<std::vector<std::uint8_t>> decode_rle(const std::string& text, std::uint32_t width, std::uint32_t height) {
    std::vector<std::uint8_t> mask(std::size_t(width) * height);
    auto status = sam2_mask_decode_rle(text.c_str(), width, height, mask.data());
    return detail::give<std::vector<std::uint8_t>>(status, [&] { return std::move(mask); });
}

/// Draws masks, given as COCO run-length strings, into one map (height, width): 0 on the background, otherwise 1 + the
/// index of the mask. See sam2_mask_get_label_map().
inline result<std::vector<std::uint16_t>> label_map(
    span<const std::string> masks, std::uint32_t width, std::uint32_t height) {
    std::vector<const char*> texts;
    for (const std::string& text : masks) texts.push_back(text.c_str());
    std::vector<std::uint16_t> labels(std::size_t(width) * height);
    auto status = sam2_mask_get_label_map(texts.data(), texts.size(), width, height, labels.data());
    return detail::give<std::vector<std::uint16_t>>(status, [&] { return std::move(labels); });
}

/// Corners (x, y) of an outline. The first corner is not repeated.
using ring = std::vector<std::array<std::uint32_t, 2>>;

/// Gets the outlines of a mask, given as a COCO run-length string. See sam2_mask_get_polygons().
inline result<std::vector<ring>> polygons(const std::string& text, std::uint32_t width, std::uint32_t height) {
    std::size_t corners = 0, rings = 0;
    auto status = sam2_mask_get_polygons(text.c_str(), width, height, nullptr, &corners, nullptr, &rings);
    std::vector<std::uint32_t> points(2 * corners + 1), sizes(rings + 1);
    if (status == SAM2_OK)
        status = sam2_mask_get_polygons(text.c_str(), width, height, points.data(), &corners, sizes.data(), &rings);
    return detail::give<std::vector<ring>>(status, [&] {
        std::vector<ring> all(rings);
        const std::uint32_t* at = points.data();
        for (std::size_t i = 0; i < rings; i++)
            for (std::uint32_t k = 0; k < sizes[i]; k++, at += 2) all[i].push_back({at[0], at[1]});
        return all;
    });
}

/// Writes a mask (height, width) as a PNG file, white on the object and black elsewhere.
inline result<void> write_png(
    const std::string& path, span<const std::uint8_t> mask, std::uint32_t width, std::uint32_t height) {
    if (mask.size() != std::size_t(width) * height) return detail::wrong<void>("a mask of another size");
    return detail::done(sam2_mask_write_png(path.c_str(), mask.data(), width, height));
}

}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#endif
