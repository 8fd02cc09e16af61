/// @file
/// Masks of everything in an image. License: Apache-2.0.
#ifndef SAM2_AUTOMATIC_MASK_GENERATOR_HPP
#define SAM2_AUTOMATIC_MASK_GENERATOR_HPP

#include <sam2/callback.hpp>
#include <sam2/handle.hpp>
#include <sam2/model.hpp>
#include <sam2/prompt.hpp>
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

/// A mask of an automatic_mask_generator.
struct automatic_mask {
    std::uint32_t width = 0, height = 0;             ///< Size of the image in pixels.
    float predicted_iou = 0, stability_score = 0;    ///< As in ::sam2_automatic_mask.
    std::array<float, 4> bbox{}, crop_box{};         ///< Left, top, width and height.
    point point_coords{};                            ///< The point that the mask was predicted from.
    std::uint64_t area = 0;                          ///< Area in pixels.
    std::string rle;                                 ///< COCO run-length string, for decode_rle(), label_map() and polygons().
};

/// Masks of an image.
struct automatic_masks {
    std::vector<automatic_mask> masks;  ///< The best masks first.
    bool complete = false;              ///< Whether all points were processed.
};

/// Finds the masks of all objects in images. See ::sam2_automatic_mask_generator.
class automatic_mask_generator
    : public detail::handle<sam2_automatic_mask_generator, sam2_automatic_mask_generator_destroy> {
  public:
    using handle::handle;

    /// Creates a generator. `point_grids` replaces points_per_side, which must be 0 then: x and y of points from 0 to
    /// 1, for the whole image and for each layer of crops.
    static result<automatic_mask_generator> create(
        const model& m, sam2_automatic_mask_generator_options options = SAM2_AUTOMATIC_MASK_GENERATOR_OPTIONS_INIT,
        span<const std::vector<std::array<double, 2>>> point_grids = {}) {
        std::vector<double> points;
        std::vector<std::uint32_t> sizes;
        for (const auto& grid : point_grids) {
            sizes.push_back(static_cast<std::uint32_t>(grid.size()));
            for (const auto& at : grid) points.insert(points.end(), at.begin(), at.end());
        }
        if (!sizes.empty()) {
            options.point_grids = points.data(), options.points_per_grid = sizes.data();
            options.num_point_grids = static_cast<std::uint32_t>(sizes.size());
        }
        sam2_automatic_mask_generator* p = nullptr;
        auto status = sam2_automatic_mask_generator_create(m.get(), &options, &p);
        return detail::give<automatic_mask_generator>(status, [&] { return automatic_mask_generator(p); });
    }
    /// Finds all masks, the best first.
    result<std::vector<automatic_mask>> generate(const sam2_image& image) {
        auto always = [](std::uint64_t, std::uint64_t, std::uint64_t) { return true; };
        search<decltype(always)> s(always);
        auto status = s.generate(get(), image, SAM2_WAIT_FOREVER);
        return detail::give<std::vector<automatic_mask>>(status, [&] { return std::move(s.value.masks); });
    }
    /// Finds masks until the time is over, or until `progress(points_done, num_points, num_masks)` returns false. It is
    /// called after every batch of points.
    template <class F>
    result<automatic_masks> generate_until(
        const sam2_image& image, F progress, std::uint64_t milliseconds = SAM2_WAIT_FOREVER) {
        search<F> s(progress);
        auto status = s.generate(get(), image, milliseconds);
        return detail::give<automatic_masks>(status, [&] { return std::move(s.value); });
    }
    /// Ends the call that another thread makes. See sam2_automatic_mask_generator_cancel().
    result<void> cancel() const { return detail::done(sam2_automatic_mask_generator_cancel(get())); }

  private:
    template <class F> struct search : detail::kept<automatic_masks> {
        explicit search(F& f) : progress(f) {}
        F& progress;

        static std::int32_t on_progress(void* user, std::uint64_t points_done, std::uint64_t num_points, std::uint64_t num_masks) {
            auto* s = static_cast<search*>(user);
            return s->run([&] { return !s->progress(points_done, num_points, num_masks); });
        }
        static std::int32_t keep(void* user, const sam2_automatic_mask* m) {
            auto* s = static_cast<search*>(user);
            return s->run([&] { return s->value.masks.push_back(copy(*m)), 0; });
        }
        static automatic_mask copy(const sam2_automatic_mask& m) {
            automatic_mask out;
            out.width = m.width, out.height = m.height, out.area = m.area, out.rle = m.rle;
            out.predicted_iou = m.predicted_iou, out.stability_score = m.stability_score;
            for (std::size_t i = 0; i < 4; i++) out.bbox[i] = m.bbox[i], out.crop_box[i] = m.crop_box[i];
            out.point_coords = {m.point_coords[0], m.point_coords[1]};
            return out;
        }
        sam2_status generate(sam2_automatic_mask_generator* g, const sam2_image& image, std::uint64_t milliseconds) {
            std::int32_t complete = 0;
            auto status =
                sam2_automatic_mask_generator_generate(g, &image, milliseconds, on_progress, keep, this, &complete);
            value.complete = complete != 0;
            return ended(status);
        }
    };
};

}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#endif
