/// @file
/// Prompts. License: Apache-2.0.
#ifndef SAM2_PROMPT_HPP
#define SAM2_PROMPT_HPP

#include <sam2/span.hpp>

#include <cstdint>
#include <optional>
#include <vector>

namespace sam2 {
inline namespace SAM2_CPP_FORM_ {

/// Point of a prompt.
struct point {
    float x, y;              ///< Coordinates in pixels.
    std::int32_t label = 1;  ///< 1 on the object, 0 on the background.
};

/// Box of a prompt, in pixels.
struct box {
    float left, top, right, bottom;
};

/// Prompt for one object: points, a box, a mask, or a combination.
struct prompt {
    std::vector<point> points;
    std::optional<sam2::box> box;
    /// Logits of an earlier mask, (mask_side, mask_side), or empty. Image predictors only.
    span<const float> mask_input;
    /// Index of the image of a batch.
    std::uint32_t image = 0;
    /// (mask_height, mask_width): mask of any size in place of `mask_input`, nonzero on the object, or empty. Image
    /// predictors only.
    span<const std::uint8_t> mask;
    std::uint32_t mask_width = 0, mask_height = 0;
    /// Passes an empty list of points if there are no points, as point_coords of shape (0, 2) does in the reference.
    bool pad_points = false;
};

namespace detail {
// Prompt in the form of sam2.h.
class flat_prompt {
  public:
    explicit flat_prompt(const prompt& p) {
        for (const point& at : p.points) {
            xy_.insert(xy_.end(), {at.x, at.y});
            labels_.push_back(at.label);
        }
        if (p.box) box_ = {p.box->left, p.box->top, p.box->right, p.box->bottom};
        c = SAM2_PROMPT_INIT;
        c.num_points = static_cast<std::uint32_t>(p.points.size());
        c.points = xy_.data(), c.labels = labels_.data();
        c.bounds = box_.empty() ? nullptr : box_.data();
        c.mask_input = p.mask_input.size() ? p.mask_input.data() : nullptr;
        c.image = p.image;
        c.pad_points = p.pad_points;
        c.mask = p.mask.size() ? p.mask.data() : nullptr;
        c.mask_width = p.mask_width, c.mask_height = p.mask_height;
    }
    sam2_prompt c;

  private:
    std::vector<float> xy_, box_;
    std::vector<std::int32_t> labels_;
};
}  // namespace detail

}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#endif
