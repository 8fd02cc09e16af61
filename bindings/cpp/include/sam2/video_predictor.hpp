/// @file
/// Objects in videos and live streams. License: Apache-2.0.
#ifndef SAM2_VIDEO_PREDICTOR_HPP
#define SAM2_VIDEO_PREDICTOR_HPP

#include <sam2/callback.hpp>
#include <sam2/features.hpp>
#include <sam2/handle.hpp>
#include <sam2/job.hpp>
#include <sam2/model.hpp>
#include <sam2/prompt.hpp>
#include <sam2/result.hpp>
#include <sam2/span.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sam2 {
inline namespace SAM2_CPP_FORM_ {

/// Results of a frame.
struct frame_masks {
    std::uint64_t frame_idx = 0;
    std::uint32_t width = 0, height = 0;             ///< Size of a mask in pixels.
    std::int64_t timestamp = 0;                      ///< Timestamp of the pushed image.
    std::vector<std::int64_t> obj_ids;
    std::vector<float> object_score_logits;          ///< Above 0 if the object is visible.
    std::vector<std::uint8_t> lost;                  ///< 1 if the object is not visible.
    std::vector<std::array<std::int32_t, 4>> boxes;  ///< Left, top, right and bottom of the outermost pixels.
    std::vector<std::uint64_t> areas;                ///< Areas of the masks in pixels.
    std::vector<float> masks;                        ///< (objects, height, width): logits. Empty if a buffer was given.
    std::uint32_t masks_written = 0;                 ///< Number of masks: those of the first objects that fit into a buffer.
};

/// Tracks objects through a video. See ::sam2_video_predictor.
class video_predictor : public detail::handle<sam2_video_predictor, sam2_video_predictor_destroy> {
  public:
    using handle::handle;

    /// Opens a folder of frames or a video file.
    static result<video_predictor> open(
        const model& m, const std::string& path, const sam2_video_predictor_options& options = SAM2_VIDEO_PREDICTOR_OPTIONS_INIT) {
        sam2_video_predictor* p = nullptr;
        auto status = sam2_video_predictor_open(m.get(), path.c_str(), &options, &p);
        return detail::give<video_predictor>(status, [&] { return video_predictor(p); });
    }
    /// Creates a predictor for a live stream of unknown length.
    static result<video_predictor> create_stream(
        const model& m, const sam2_video_predictor_options& options = SAM2_VIDEO_PREDICTOR_OPTIONS_INIT) {
        sam2_video_predictor* p = nullptr;
        auto status = sam2_video_predictor_create_stream(m.get(), &options, &p);
        return detail::give<video_predictor>(status, [&] { return video_predictor(p); });
    }
    /// Forks the predictor. See sam2_video_predictor_fork().
    result<video_predictor> fork() const {
        sam2_video_predictor* p = nullptr;
        auto status = sam2_video_predictor_fork(get(), &p);
        return detail::give<video_predictor>(status, [&] { return video_predictor(p); });
    }
    /// Adds points or a box for an object on a frame. See sam2_video_predictor_add_new_points_or_box().
    result<frame_masks> add_new_points_or_box(
        std::uint64_t frame_idx, std::int64_t obj_id, const prompt& p, sam2_prompt_flags flags = 0,
        const sam2_mask_buffer* masks = nullptr) {
        if (p.mask.size()) return detail::wrong<frame_masks>("a mask is given by add_new_mask");
        detail::flat_prompt flat(p);
        return one([&](sam2_frame_callback on_frame, void* user) {
            return sam2_video_predictor_add_new_points_or_box(
                get(), frame_idx, obj_id, &flat.c, flags, masks, on_frame, user);
        });
    }
    /// Sets the mask of an object on a frame: (height, width), nonzero on the object.
    result<frame_masks> add_new_mask(
        std::uint64_t frame_idx, std::int64_t obj_id, span<const std::uint8_t> mask, std::uint32_t width,
        std::uint32_t height, const sam2_mask_buffer* masks = nullptr) {
        if (mask.size() != std::size_t(width) * height) return detail::wrong<frame_masks>("a mask of another size");
        return one([&](sam2_frame_callback on_frame, void* user) {
            return sam2_video_predictor_add_new_mask(
                get(), frame_idx, obj_id, mask.data(), width, height, masks, on_frame, user);
        });
    }
    /// Sets the mask of an object on a frame from values of which at least 0.5 is on the object. See
    /// sam2_video_predictor_add_new_mask_f32().
    result<frame_masks> add_new_mask(
        std::uint64_t frame_idx, std::int64_t obj_id, span<const float> mask, std::uint32_t width, std::uint32_t height,
        const sam2_mask_buffer* masks = nullptr) {
        if (mask.size() != std::size_t(width) * height) return detail::wrong<frame_masks>("a mask of another size");
        return one([&](sam2_frame_callback on_frame, void* user) {
            return sam2_video_predictor_add_new_mask_f32(
                get(), frame_idx, obj_id, mask.data(), width, height, masks, on_frame, user);
        });
    }
    /// Removes the prompts for an object on a frame.
    result<frame_masks> clear_all_prompts_in_frame(
        std::uint64_t frame_idx, std::int64_t obj_id, const sam2_mask_buffer* masks = nullptr) {
        return one([&](sam2_frame_callback on_frame, void* user) {
            return sam2_video_predictor_clear_all_prompts_in_frame(get(), frame_idx, obj_id, masks, on_frame, user);
        });
    }
    /// Removes an object.
    result<void> remove_object(std::int64_t obj_id) {
        return detail::done(sam2_video_predictor_remove_object(get(), obj_id));
    }
    /// Removes all objects.
    result<void> reset_state() { return detail::done(sam2_video_predictor_reset_state(get())); }

    /// Tracks all objects through the video. `on_frame(frame)` receives the results of each frame and returns whether
    /// to continue. Ending the call in this way is not an error. See sam2_video_predictor_propagate_in_video().
    template <class F>
    result<void> propagate_in_video(
        F on_frame, std::int64_t start_frame_idx = -1, std::int64_t max_frame_num_to_track = -1, bool reverse = false,
        const sam2_mask_buffer* masks = nullptr) {
        visit<F> v(std::move(on_frame));
        return detail::done(v.ended(sam2_video_predictor_propagate_in_video(
            get(), start_frame_idx, max_frame_num_to_track, reverse, masks, visit<F>::call, &v)));
    }
    /// Starts propagate_in_video() as a job. `on_frame` is called on a thread of the library. The memory of `masks` must
    /// remain valid until the job ends.
    template <class F>
    result<job<>> propagate_in_video_async(
        F on_frame, std::int64_t start_frame_idx = -1, std::int64_t max_frame_num_to_track = -1, bool reverse = false,
        const sam2_mask_buffer* masks = nullptr) {
        auto v = std::make_shared<visit<F>>(std::move(on_frame));
        sam2_job* j = nullptr;
        auto status = sam2_video_predictor_propagate_in_video_async(
            get(), start_frame_idx, max_frame_num_to_track, reverse, masks, visit<F>::call, nullptr, v.get(), &j);
        return detail::started<void>(status, j, std::move(v));
    }
    /// Ends the call that another thread makes, or the job. See sam2_video_predictor_cancel().
    result<void> cancel() const { return detail::done(sam2_video_predictor_cancel(get())); }

    /// Passes the next frame to a stream. `masks` may be a buffer for its masks.
    result<frame_masks> push_frame(const sam2_image& image, const sam2_mask_buffer* masks = nullptr) {
        return one([&](sam2_frame_callback on_frame, void* user) {
            return sam2_video_predictor_push_frame(get(), &image, masks, on_frame, user);
        });
    }
    /// Starts push_frame() as a job. The pixels and the buffer must remain valid until it ends.
    result<job<frame_masks>> push_frame_async(const sam2_image& image, const sam2_mask_buffer* masks = nullptr) {
        auto out = std::make_shared<detail::kept<frame_masks>>();
        sam2_job* j = nullptr;
        auto status = sam2_video_predictor_push_frame_async(get(), &image, masks, keep, nullptr, out.get(), &j);
        return detail::started(status, j, std::move(out));
    }
    /// Passes images[i] to videos[i], for several streams at once.
    static result<std::vector<frame_masks>> push_frames(span<video_predictor* const> videos, span<const sam2_image> images) {
        if (videos.size() != images.size()) return detail::wrong<std::vector<frame_masks>>("an image for each video");
        std::vector<detail::kept<frame_masks>> all(videos.size());
        std::vector<sam2_video_push> pushes(videos.size(), SAM2_VIDEO_PUSH_INIT);
        for (std::size_t i = 0; i < videos.size(); i++) {
            pushes[i].video = videos[i]->get(), pushes[i].image = &images[i];
            pushes[i].on_frame = keep, pushes[i].user = &all[i];
        }
        auto status = sam2_video_predictor_push_frames(pushes.data(), pushes.size());
        std::vector<frame_masks> out;
        for (auto& one : all) status = one.ended(status), out.push_back(std::move(one.value));
        return detail::give<std::vector<frame_masks>>(status, [&] { return std::move(out); });
    }
    /// Encodes a frame if it is not the current one, and takes its features. See sam2_video_predictor_take_features().
    result<features> take_features(std::uint64_t frame_idx) {
        sam2_features* p = nullptr;
        auto status = sam2_video_predictor_take_features(get(), frame_idx, &p);
        return detail::give<features>(status, [&] { return features(p); });
    }
    /// Makes the frame of these features the current one. See sam2_video_predictor_set_features().
    result<void> set_features(features&& f) {
        return f.pass([&](sam2_features* p) { return sam2_video_predictor_set_features(get(), p); });
    }
    /// Allocates memory and does one-time work in advance. See sam2_video_predictor_reserve().
    result<void> reserve(std::uint32_t num_objects, std::uint32_t width, std::uint32_t height) {
        return detail::done(sam2_video_predictor_reserve(get(), num_objects, width, height));
    }
    /// Gets the ids of the objects, in the order of their masks.
    result<std::vector<std::int64_t>> obj_ids() const {
        std::size_t count = 0;
        auto status = sam2_video_predictor_get_obj_ids(get(), nullptr, &count);
        std::vector<std::int64_t> ids(count);
        if (status == SAM2_OK && count) status = sam2_video_predictor_get_obj_ids(get(), ids.data(), &count);
        return detail::give<std::vector<std::int64_t>>(status, [&] { return std::move(ids); });
    }
    /// Describes the state of the predictor.
    result<sam2_video_predictor_info> info() const {
        sam2_video_predictor_info info = SAM2_VIDEO_PREDICTOR_INFO_INIT;
        return detail::give<sam2_video_predictor_info>(sam2_video_predictor_get_info(get(), &info), [&] { return info; });
    }
    /// Saves the state of all objects.
    result<std::vector<std::uint8_t>> save_state() const {
        using bytes = detail::kept<std::vector<std::uint8_t>>;
        bytes out;
        auto append = [](void* user, const std::uint8_t* data, std::size_t size) -> std::int32_t {
            auto* to = static_cast<bytes*>(user);
            return to->run([&] { return to->value.insert(to->value.end(), data, data + size), 0; });
        };
        auto status = out.ended(sam2_video_predictor_save_state(get(), append, &out));
        return detail::give<std::vector<std::uint8_t>>(status, [&] { return std::move(out.value); });
    }
    /// Replaces the state with a saved one.
    result<void> load_state(span<const std::uint8_t> state) {
        return detail::done(sam2_video_predictor_load_state(get(), state.data(), state.size()));
    }

  private:
    static frame_masks copy(const sam2_frame& f) {
        std::size_t n = f.num_objects, pixels = n * f.width * f.height;
        frame_masks out;
        out.frame_idx = f.frame_idx, out.width = f.width, out.height = f.height, out.timestamp = f.timestamp;
        out.obj_ids.assign(f.obj_ids, f.obj_ids + n);
        out.object_score_logits.assign(f.object_score_logits, f.object_score_logits + n);
        out.lost.assign(f.lost, f.lost + n);
        out.areas.assign(f.areas, f.areas + n);
        for (std::size_t i = 0; i < n; i++) {
            const std::int32_t* at = f.boxes + 4 * i;
            out.boxes.push_back({at[0], at[1], at[2], at[3]});
        }
        if (f.masks) out.masks.assign(f.masks, f.masks + pixels);
        out.masks_written = f.masks_written;
        return out;
    }
    static std::int32_t keep(void* user, const sam2_frame* f) {
        auto* to = static_cast<detail::kept<frame_masks>*>(user);
        return to->run([&] { return to->value = copy(*f), 0; });
    }
    // Makes a call that returns one frame.
    template <class F> static result<frame_masks> one(F call) {
        detail::kept<frame_masks> out;
        auto status = out.ended(call(keep, &out));
        return detail::give<frame_masks>(status, [&] { return std::move(out.value); });
    }
    template <class F> struct visit : detail::kept<void> {
        explicit visit(F f) : on_frame(std::move(f)) {}
        F on_frame;

        static std::int32_t call(void* user, const sam2_frame* f) {
            auto* v = static_cast<visit*>(user);
            return v->run_until_false([&] { return v->on_frame(copy(*f)); });
        }
    };
};

}  // namespace SAM2_CPP_FORM_
}  // namespace sam2

#endif
