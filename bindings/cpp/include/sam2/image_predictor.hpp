/// @file
/// Masks for prompts on images. License: Apache-2.0.
#ifndef SAM2_IMAGE_PREDICTOR_HPP
#define SAM2_IMAGE_PREDICTOR_HPP

#include <sam2/callback.hpp>
#include <sam2/features.hpp>
#include <sam2/handle.hpp>
#include <sam2/job.hpp>
#include <sam2/mask_buffer.hpp>
#include <sam2/model.hpp>
#include <sam2/prompt.hpp>
#include <sam2/result.hpp>
#include <sam2/span.hpp>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

namespace sam2 {
inline namespace SAM2_CPP_FORM_ {

/// Results for several prompts, with n masks per prompt.
struct prediction {
    std::size_t n = 0;                       ///< Masks per prompt.
    std::vector<std::uint8_t> masks;         ///< (prompts, n, height, width): 1 on the object.
    std::vector<float> iou_predictions;      ///< (prompts, n): predicted IoU of each mask.
    std::vector<float> low_res_masks;        ///< (prompts, n, mask_side, mask_side): logits.
    std::vector<float> object_score_logits;  ///< (prompts): above 0 if there is an object.
};

/// How image_predictor::predict() predicts.
struct predict_options {
    predict_options(bool multimask_output = true, bool normalized_coords = false)
        : multimask(multimask_output), normalized(normalized_coords) {}
    bool multimask;   ///< Three masks for each prompt, otherwise one.
    bool normalized;  ///< Coordinates of points and boxes range from 0 to 1 instead of pixels.
};

/// Encodes images and predicts masks for prompts on them. See ::sam2_image_predictor.
class image_predictor : public detail::handle<sam2_image_predictor, sam2_image_predictor_destroy> {
  public:
    /// Creates a predictor.
    static result<image_predictor> create(
        const model& m, const sam2_image_predictor_options& options = SAM2_IMAGE_PREDICTOR_OPTIONS_INIT) {
        sam2_image_predictor* p = nullptr;
        sam2_model_info info = SAM2_MODEL_INFO_INIT;
        auto status = sam2_model_get_info(m.get(), &info);
        if (status == SAM2_OK) status = sam2_image_predictor_create(m.get(), &options, &p);
        return detail::give<image_predictor>(status, [&] { return image_predictor(p, info.mask_side); });
    }
    /// Allocates memory in advance. See sam2_image_predictor_reserve().
    result<void> reserve(std::uint32_t max_points, bool mask_input, std::uint32_t num_images = 1) {
        return detail::done(sam2_image_predictor_reserve(get(), num_images, max_points, mask_input));
    }
    /// Encodes an image, which replaces the previous images.
    result<void> set_image(const sam2_image& image) {
        return detail::done(sam2_image_predictor_set_image(get(), &image));
    }
    /// Encodes several images of any sizes. The `image` of a prompt selects one of them.
    result<void> set_image_batch(span<const sam2_image> images) {
        return detail::done(sam2_image_predictor_set_image_batch(get(), images.data(), images.size()));
    }
    /// Starts set_image() as a job. The pixels must remain valid until it ends.
    result<job<>> set_image_async(const sam2_image& image) { return set_image_batch_async({&image, 1}); }
    /// Starts set_image_batch() as a job. The pixels must remain valid until it ends.
    result<job<>> set_image_batch_async(span<const sam2_image> images) {
        auto out = std::make_shared<detail::kept<void>>();
        sam2_job* j = nullptr;
        auto status = sam2_image_predictor_set_image_batch_async(get(), images.data(), images.size(), nullptr, nullptr, &j);
        return detail::started(status, j, std::move(out));
    }
    /// Ends the call that another thread makes, or the job. See sam2_image_predictor_cancel().
    result<void> cancel() const { return detail::done(sam2_image_predictor_cancel(get())); }
    /// Discards the images.
    result<void> reset() { return detail::done(sam2_image_predictor_reset(get())); }
    /// Takes the features of the current images. See sam2_image_predictor_take_features().
    result<features> take_features() {
        sam2_features* p = nullptr;
        auto status = sam2_image_predictor_take_features(get(), &p);
        return detail::give<features>(status, [&] { return features(p); });
    }
    /// Makes the images of these features the current ones. See sam2_image_predictor_set_features().
    result<void> set_features(features&& f) {
        return f.pass([&](sam2_features* p) { return sam2_image_predictor_set_features(get(), p); });
    }
    /// Values of a feature of an image, of shape (channels, rows, columns).
    struct feature_map {
        std::uint32_t shape[3];
        std::vector<float> values;
    };
    /// Copies a feature of an encoded image.
    result<feature_map> get_features(sam2_feature feature = SAM2_FEATURE_IMAGE_EMBEDDING, std::uint32_t image = 0) {
        feature_map out{};
        auto status = sam2_image_predictor_get_features(get(), feature, image, nullptr, 0, out.shape);
        out.values.resize(std::size_t(out.shape[0]) * out.shape[1] * out.shape[2]);
        if (status == SAM2_OK)
            status = sam2_image_predictor_get_features(
                get(), feature, image, out.values.data(), out.values.size(), out.shape);
        return detail::give<feature_map>(status, [&] { return std::move(out); });
    }
    /// Describes the predictor and one of its images.
    result<sam2_image_predictor_info> info(std::uint32_t image = 0) const {
        sam2_image_predictor_info info = SAM2_IMAGE_PREDICTOR_INFO_INIT;
        auto status = sam2_image_predictor_get_info(get(), image, &info);
        return detail::give<sam2_image_predictor_info>(status, [&] { return info; });
    }

    /// Predicts masks for prompts, ordered by their images: a vector, an array or a list.
    result<prediction> predict(span<const prompt> prompts, predict_options options = {}) {
        return now(call(prompts, options, mask_side_), nullptr);
    }
    /// As above.
    result<prediction> predict(std::initializer_list<prompt> prompts, predict_options options = {}) {
        return predict(span<const prompt>(prompts.begin(), prompts.size()), options);
    }
    /// Predicts masks for one prompt.
    result<prediction> predict(const prompt& one, predict_options options = {}) {
        return predict(span<const prompt>(&one, 1), options);
    }
    /// As predict(), with the masks in a buffer of any format and in any memory.
    result<prediction> predict_into(span<const prompt> prompts, const sam2_mask_buffer& buffer, predict_options options = {}) {
        return now(call(prompts, options, mask_side_), &buffer);
    }
    /// Starts predict() as a job. The masks of prompts must remain valid until it ends.
    result<job<prediction>> predict_async(span<const prompt> prompts, predict_options options = {}) {
        return later(std::make_shared<call>(prompts, options, mask_side_), nullptr);
    }
    /// As above.
    result<job<prediction>> predict_async(std::initializer_list<prompt> prompts, predict_options options = {}) {
        return predict_async(span<const prompt>(prompts.begin(), prompts.size()), options);
    }
    /// As above.
    result<job<prediction>> predict_async(const prompt& one, predict_options options = {}) {
        return predict_async(span<const prompt>(&one, 1), options);
    }
    /// Starts predict_into() as a job. The buffer and the masks of prompts must remain valid until it ends.
    result<job<prediction>> predict_into_async(
        span<const prompt> prompts, const sam2_mask_buffer& buffer, predict_options options = {}) {
        return later(std::make_shared<call>(prompts, options, mask_side_), &buffer);
    }

  private:
    // A prediction and its arguments.
    struct call : detail::kept<prediction> {
        call(span<const prompt> prompts, predict_options options, std::size_t mask_side)
            : flat(prompts.begin(), prompts.end()), side(mask_side) {
            for (const auto& one : flat) list.push_back(one.c);
            value.n = options.multimask ? 3 : 1;
            if (options.multimask) flags |= SAM2_PREDICT_MULTIMASK;
            if (options.normalized) flags |= SAM2_PREDICT_NORMALIZED;
            for (const prompt& one : prompts) {
                if (one.mask_input.size() && one.mask_input.size() != side * side)
                    wrong = "mask_input: logits of an earlier mask, (mask_side, mask_side), are expected; a mask of the image is `mask`";
                if (one.mask.size() != std::size_t(one.mask_width) * one.mask_height)
                    wrong = "mask: mask_width times mask_height bytes are expected";
            }
        }
        // Allocates the results. Masks of a buffer are not allocated.
        sam2_status allocate(const sam2_image_predictor* p, const sam2_mask_buffer* buffer) {
            std::size_t count = list.size() * value.n;
            value.iou_predictions.resize(count);
            value.low_res_masks.resize(count * side * side);
            value.object_score_logits.resize(list.size());
            if (buffer) return masks = *buffer, SAM2_OK;
            std::size_t size = 0;
            for (const sam2_prompt& one : list) {
                sam2_image_predictor_info info = SAM2_IMAGE_PREDICTOR_INFO_INIT;
                auto status = sam2_image_predictor_get_info(p, one.image, &info);
                if (status != SAM2_OK) return status;
                size += std::size_t(info.width) * info.height * value.n;
            }
            value.masks.resize(size);
            masks = mask_buffer::binary(value.masks);
            return SAM2_OK;
        }
        std::vector<detail::flat_prompt> flat;
        std::vector<sam2_prompt> list;
        std::size_t side;
        mask_buffer masks;
        sam2_predict_flags flags = 0;
        const char* wrong = nullptr;
    };

    image_predictor(sam2_image_predictor* p, std::size_t mask_side) : handle(p), mask_side_(mask_side) {}
    result<prediction> now(call c, const sam2_mask_buffer* buffer) {
        if (c.wrong) return detail::wrong<prediction>(c.wrong);
        auto status = c.allocate(get(), buffer);
        auto& out = c.value;
        if (status == SAM2_OK)
            status = sam2_image_predictor_predict(
                get(), c.list.data(), c.list.size(), c.flags, &c.masks, out.iou_predictions.data(),
                out.low_res_masks.data(), out.object_score_logits.data());
        return detail::give<prediction>(status, [&] { return std::move(out); });
    }
    result<job<prediction>> later(std::shared_ptr<call> c, const sam2_mask_buffer* buffer) {
        if (c->wrong) return detail::wrong<job<prediction>>(c->wrong);
        auto status = c->allocate(get(), buffer);
        auto& out = c->value;
        sam2_job* j = nullptr;
        if (status == SAM2_OK)
            status = sam2_image_predictor_predict_async(
                get(), c->list.data(), c->list.size(), c->flags, &c->masks, out.iou_predictions.data(),
                out.low_res_masks.data(), out.object_score_logits.data(), nullptr, nullptr, &j);
        return detail::started<prediction>(status, j, std::move(c));
    }
    std::size_t mask_side_;
};

}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#endif
